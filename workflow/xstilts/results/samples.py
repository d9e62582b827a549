"""The scores of a study as samples over seeds and over bootstrap replicates of examples."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.identity import file_sha256
from xstilts.results.resampling import ratio_replicates
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import AVERAGES, BASELINE, MEAN, Results, gains_frame
from xstilts.results.statistics import Interval, Sample, cohen_h, mean
from xstilts.results.verdicts import family

ZERO_SHOT = "zero_shot"
Examples = Callable[[Cell], pd.DataFrame | None]
Subset = Mapping[str, Collection[str]]  # language -> ids of examples
Part = tuple[str, bool]  # a subset's name; whether inside of it, or its languages' other examples
Key = tuple[str, str, str, str]  # model, recipe, target, language


def read_examples(path: Path) -> pd.DataFrame | None:
    """Return the terms of a cell's main metric: language, id, top, bottom.

    None if the metric is not a ratio of sums over examples. Raises InputError that names the file
    if it is missing or damaged.
    """
    import pyarrow.parquet

    again = "run the workflow to score the cell again"
    if not path.exists():
        raise InputError(f"{path}: missing; {again}")
    try:
        score = path.with_suffix(".json")
        stated = ScoreFile.read(score).provenance.get("examples") if score.exists() else None
        if stated not in (None, file_sha256(path)):
            raise ValueError  # not the file that the score was written with
        examples = pyarrow.parquet.ParquetFile(path).read().to_pandas()
    except (OSError, ValueError):  # pyarrow raises either
        raise InputError(f"{path}: damaged; delete it and {again}") from None
    return examples if len(examples) else None


class Samples:
    """Scores and gains of a study's cells.

    A language may be an average, and a target the mean over targets. `subsets` restrict a target
    to examples by id. Samples are computed on request, the replicates of each target only once.
    """

    def __init__(
        self, results: Results, examples: Examples, subsets: Mapping[str, Subset] | None = None
    ):
        self.results, self.context = results, results.context
        self.label, self.seeds = results.context.label, results.context.seeds
        self.targets = results.targets(ZERO_SHOT)
        self.examples = examples
        self.subsets = subsets or {}
        keys = ["target", "language", "model", "recipe", "seed"]
        self._points = results.headlines.set_index(keys)["value"].to_dict()
        self.score = cache(self._score)
        self._columns = cache(self._runs)
        self._block = cache(self._replicates)
        self._aligned = cache(self._align_target)

    def languages(self, target: str, language: str = "avg") -> list[str]:
        """Return the languages of an average, or the given language itself."""
        if language not in AVERAGES:
            return [language]
        names, source = self.results.languages(target), self.results.sources.get(target)
        return [name for name in names if language == "avg" or name != source]

    def _score(
        self,
        model: str,
        recipe: str,
        target: str,
        language: str = ZERO_SHOT,
        subset: Part | None = None,
    ) -> Sample:
        """Return the main metric in percent; NaN for seeds without a score.

        With a `subset`, it is on these examples alone.
        """
        if target == MEAN:
            return mean(
                [self.score(model, recipe, t, language) for t in self.results.targets(language)]
            )
        if language in AVERAGES:
            names = self.languages(target, language)
            if subset:
                names = [name for name in names if name in self._block(target, subset)]
            if not names:
                return Sample(np.full(len(self.seeds), np.nan), None)
            return mean([self.score(model, recipe, target, name, subset) for name in names])
        points, replicates = self._block(target, subset).get(language, ({}, None))
        points = points if subset else self._points
        values = {
            other: np.array(
                [
                    [points.get((target, language, model, other, s), np.nan) for s in fold]
                    for fold in self.context.folds(other)
                ]
            )
            for other in (recipe, *self.context.recipes)
        }
        return self._sample(values, replicates, model, recipe, target)

    @cached_property
    def intervals(self) -> dict[Key, Interval]:
        """All gains over the baseline, with their verdicts.

        A family is what is shown together: the gains of one average on all targets, the means over
        targets of one average, all gains in single languages, or their means over targets.
        """
        recipes = [recipe for recipe in self.context.recipes if recipe != BASELINE]
        gains = {
            (*names, language): gain
            for names in product(self.context.models, recipes, [*self.context.targets, MEAN])
            for language in _shown(self, names[-1])
            if (gain := self.gain(*names, language)).seeds
        }
        families: dict[tuple, dict[Key, Sample]] = defaultdict(dict)
        for (*names, target, language), gain in gains.items():
            average = language if language in AVERAGES else None
            families[average, target == MEAN][*names, target, language] = gain
        intervals = {}
        for members in families.values():
            intervals |= judged_gains(members)
        return {key: intervals[key] for key in gains}

    @cached_property
    def gains(self) -> pd.DataFrame:
        """The same gains as in gains.csv."""
        keys = ["model", "recipe", "target", "language"]
        counts = self.results.headlines.groupby(keys)["n"].first().to_dict()
        return gains_frame([_gain_row(self, *item, counts) for item in self.intervals.items()])

    @cached_property
    def judged(self) -> Results:
        """The results with their gains."""
        return replace(self.results, gains=self.gains)

    def has_examples(self, target: str) -> bool:
        """Whether scores of the target's single examples are known."""
        return bool(self._block(target, None))

    def gain(
        self,
        model: str,
        recipe: str,
        target: str,
        language: str = ZERO_SHOT,
        subset: Part | None = None,
    ) -> Sample:
        """Return the score minus the baseline's with the same model, target and seed."""
        baseline = self.score(model, BASELINE, target, language, subset)
        return self.score(model, recipe, target, language, subset) - baseline

    def _sample(
        self,
        by_recipe: Mapping[str, np.ndarray],
        replicates: np.ndarray | None,
        model: str,
        recipe: str,
        target: str,
    ) -> Sample:
        """Return the values of one recipe; the others of the model share its run variance.

        `by_recipe` has the values [folds, seeds] of each. The value of a seed is the mean over its
        folds, so its variance is that of a run divided by their number. The other recipes are
        scaled by the mean of this ratio over seeds: one factor, as seeds may lack some folds.
        """
        points = _over_folds(by_recipe[recipe])
        folds = (~np.isnan(by_recipe[recipe])).sum(axis=0)
        scale = np.sqrt(np.mean(1 / folds[folds > 0])) if folds.any() else 1.0
        others = [run for other, runs in by_recipe.items() if other != recipe for run in runs]
        runs = {(model, recipe): np.stack([points, *(run * scale for run in others)])}
        if replicates is None:
            return Sample(points, None, runs)
        columns, folds = self._columns(target), self.context.folds(recipe)
        at = [[columns.get(Cell(model, recipe, target, s), -1) for s in fold] for fold in folds]
        missing = np.full((len(replicates), 1), np.nan, np.float32)
        drawn = np.hstack([replicates, missing])[:, at]
        return Sample(points, _over_folds(drawn), runs)

    def _runs(self, target: str) -> dict[Cell, int]:
        """Return the scored cells of a target and their numbers."""
        rows = self.results.scored[self.results.scored["target"] == target]
        keys = rows[["model", "recipe", "target", "seed"]].itertuples(index=False, name=None)
        return {Cell(*key): n for n, key in enumerate(keys)}

    def _align_target(self, target: str) -> tuple[dict[str, tuple], int]:
        """Return language -> (ids, codes, top, bottom) of a target's examples; number of codes.

        Empty if a cell has no scores of single examples.
        """
        tables = [self.examples(cell) for cell in self._columns(target)]
        if not tables or any(table is None for table in tables):
            return {}, 0
        by_cell = [dict(list(t.groupby("language", observed=True))) for t in tables]
        aligned = {
            language: _align([by_language[language] for by_language in by_cell])
            for language in self.results.languages(target)
            if all(language in by_language for by_language in by_cell)
        }
        aligned = {language: terms for language, terms in aligned.items() if len(terms[0])}
        known = sorted({id for ids, *_ in aligned.values() for id in ids})
        codes = {id: n for n, id in enumerate(known)}
        coded = {
            language: (ids, np.array([codes[id] for id in ids]), *rest)
            for language, (ids, *rest) in aligned.items()
        }
        return coded, len(codes)

    def _replicates(
        self, target: str, subset: Part | None
    ) -> dict[str, tuple[dict[tuple, float], np.ndarray]]:
        """Return language -> (score of each run, replicates [replicates, cells]).

        A subset selects examples after they are numbered, so that it shares the bootstrap weights
        of the complete target.
        """
        coded, count = self._aligned(target)
        groups = {}
        for language, (ids, *terms) in coded.items():
            kept = np.full(len(ids), True)
            if subset:
                name, inside = subset
                chosen = self.subsets[name].get(language, ())
                kept = np.isin(ids, list(chosen)) == inside if chosen else ~kept
            if kept.any():
                groups[language] = tuple(term[kept] for term in terms)
        if not groups:
            return {}
        points = {}
        for language, (_, top, bottom) in groups.items():
            top, bottom = top.sum(axis=0), bottom.sum(axis=0)
            scores = 100 * np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)
            runs = [(target, language, c.model, c.recipe, c.seed) for c in self._columns(target)]
            points[language] = dict(zip(runs, scores, strict=True))
        replicates = ratio_replicates(list(groups.values()), count=count)
        return dict(zip(groups, zip(points.values(), replicates, strict=True), strict=True))


def _over_folds(values: np.ndarray) -> np.ndarray:
    """Return the mean of [..., folds, seeds] over the folds that exist; NaN without any."""
    known, kind = ~np.isnan(values), np.result_type(values, np.float32)
    total, count = np.where(known, values, 0).sum(axis=-2), known.sum(axis=-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(kind)


def _align(parts: list[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids [n], top and bottom [n, cells]; 0 for an example that a cell does not have."""
    ids = parts[0]["id"].to_numpy()
    if any(not np.array_equal(ids, part["id"].to_numpy()) for part in parts[1:]):
        ids = np.array(sorted({id for part in parts for id in part["id"]}))
        parts = [
            part.set_index("id").reindex(ids).fillna({"top": 0, "bottom": 0}) for part in parts
        ]
    top, bottom = (np.stack([part[name] for part in parts], axis=1) for name in ("top", "bottom"))
    return ids, top, bottom


def judge(results: Results, examples: Examples = lambda cell: None) -> Results:
    """Return results with their gains and verdicts; without `examples`, CIs are over seeds."""
    return Samples(results, examples).judged


def judged_gains(gains: Mapping[Key, Sample]) -> dict[Key, Interval]:
    """Return the intervals of a family of gains, by the same keys.

    Gains of one model, target and language share the runs of their baseline.
    """
    blocks = [(model, target, language) for model, _, target, language in gains]
    shared = [gain.share((key[0], BASELINE)) for key, gain in gains.items()]
    intervals = family([gain.interval for gain in gains.values()], blocks, shared)
    return dict(zip(gains, intervals, strict=True))


def _gain_row(samples: Samples, key: Key, interval: Interval, counts: Mapping[Key, int]) -> tuple:
    """Return one row of `gains.csv`."""
    (model, recipe, target, language), gain = key, samples.gain(*key)
    paired = ~np.isnan(gain.by_seed)
    scores = [
        float(samples.score(model, r, target, language).by_seed[paired].mean())
        for r in (recipe, BASELINE)
    ]
    targets = samples.results.targets(language) if target == MEAN else [target]
    degenerate = samples.results.degenerate
    flags = np.vstack([degenerate[model, r, t] for r in (recipe, BASELINE) for t in targets])
    learned = gain.by_seed[paired & ~flags.any(axis=0)]
    return (
        *key,
        *(interval.value, interval.low, interval.high, interval.p, interval.p_adjusted),
        *(interval.significant, cohen_h(*scores), gain.seeds),
        sum(counts[model, recipe, t, language] for t in targets),
        int(flags.sum()),
        float(learned.mean()) if len(learned) else np.nan,
        *(gain.welch.low, gain.welch.high, gain.welch.p),
    )


def _shown(samples: Samples, target: str) -> list[str]:
    """Return the averages and languages for which a target's gains are listed.

    The mean in a language is over the targets that have it.
    """
    if target == MEAN:
        results = samples.results
        languages = dict.fromkeys(x for t in samples.context.targets for x in results.languages(t))
        return [*(average for average in AVERAGES if results.targets(average)), *languages]
    averages = [average for average in AVERAGES if samples.languages(target, average)]
    return [*averages, *samples.results.languages(target)]
