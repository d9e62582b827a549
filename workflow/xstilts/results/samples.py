"""The scores of a study as samples over seeds and over bootstrap replicates of examples."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import astuple
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.results.scores import AVERAGES, BASELINE, MEAN, Results
from xstilts.results.statistics import Sample, cohen_h, holm, mean, ratio_replicates

ZERO_SHOT = "zero_shot"
# Columns of `gains.csv`. `language` may be an average, `target` the mean over targets; `effect` is
# Cohen's h, `n` the number of test examples, `degenerate` the number of such runs.
GAIN_COLUMNS = [
    *["model", "recipe", "target", "language", "gain", "low", "high", "p", "p_holm", "effect"],
    *["seeds", "n", "degenerate"],
]
Examples = Callable[[Cell], pd.DataFrame | None]
Subset = Mapping[str, Collection[str]]  # language -> ids of examples


def read_examples(path: Path) -> pd.DataFrame | None:
    """Return the terms of a cell's main metric: language, id, top, bottom.

    None if the metric is not a ratio of sums over examples. Raises InputError that names the file
    if it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        examples = pa.parquet.ParquetFile(path).read().to_pandas()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        state = "missing" if isinstance(error, FileNotFoundError) else "damaged, not Parquet"
        raise InputError(f"{path}: {state}; run the workflow to score the cell again") from None
    return examples if len(examples) else None


class Samples:
    """Scores and gains of a study's cells.

    A language may be an average, and a target the mean over targets. `subsets` restrict a target
    to examples by id. Samples are computed on request, the replicates of each target only once.
    """

    def __init__(
        self, results: Results, examples: Examples, subsets: Mapping[str, Subset] | None = None
    ):
        self.results = results
        self.subsets = subsets or {}
        self.seeds = results.context.seeds
        self.examples = examples
        self._scored = {Cell(*key) for key in results.scored.iloc[:, :4].itertuples(index=False)}
        keys = ["model", "recipe", "target", "seed", "language"]
        self._points = results.frame[results.frame["headline"]].set_index(keys)["value"].to_dict()
        self.score = cache(self._score)
        self._block = cache(self._replicates)

    def languages(self, target: str, language: str = "avg") -> list[str]:
        """Return the languages of an average, or the given language itself."""
        if language not in AVERAGES:
            return [language]
        names, source = self.results.languages(target), self.results.sources.get(target)
        return [name for name in names if language == "avg" or name != source]

    def _score(self, model: str, recipe: str, target: str, language: str = ZERO_SHOT) -> Sample:
        """Return the main metric in percent; NaN for seeds without a score."""
        if target == MEAN:
            targets = self.results.targets(language)
            return mean([self.score(model, recipe, t, language) for t in targets])
        if language in AVERAGES:
            names = self.languages(target, language)
            if not names:
                return self._nothing()
            return mean([self.score(model, recipe, target, name) for name in names])
        keys = [(model, recipe, target, seed, language) for seed in self.seeds]
        points = np.array([self._points.get(key, np.nan) for key in keys])
        _, replicates = self._block(target, None).get(language, (None, None))
        return self._sample(points, replicates, model, recipe, target)

    def subset_score(
        self, model: str, recipe: str, target: str, language: str, name: str
    ) -> Sample:
        """Return the main metric on the examples of a subset that the study names."""
        if language in AVERAGES:
            subset = self.subsets[name]
            names = [x for x in self.languages(target, language) if subset.get(x)]
            if not names:
                return self._nothing()
            parts = [self.subset_score(model, recipe, target, x, name) for x in names]
            return mean(parts)
        points, replicates = self._block(target, name).get(language, (None, None))
        if points is None:
            return self._nothing()
        columns = self._columns(target)
        at = [columns.get((model, recipe, seed)) for seed in self.seeds]
        values = np.array([np.nan if column is None else points[column] for column in at])
        return self._sample(values, replicates, model, recipe, target)

    def has_examples(self, target: str) -> bool:
        """Whether scores of the target's single examples are known."""
        return bool(self._block(target, None))

    def gain(self, model: str, recipe: str, target: str, language: str = ZERO_SHOT) -> Sample:
        """Return the score minus the baseline's with the same model, target and seed."""
        baseline = self.score(model, BASELINE, target, language)
        return self.score(model, recipe, target, language) - baseline

    def _nothing(self) -> Sample:
        return Sample(np.full(len(self.seeds), np.nan), None)

    def _sample(
        self,
        points: np.ndarray,
        replicates: np.ndarray | None,
        model: str,
        recipe: str,
        target: str,
    ) -> Sample:
        runs = {(model, recipe): points}
        if replicates is None:
            return Sample(points, None, runs)
        columns = self._columns(target)
        at = [columns.get((model, recipe, seed)) for seed in self.seeds]
        missing = np.full(len(replicates), np.nan, np.float32)
        drawn = [missing if column is None else replicates[:, column] for column in at]
        return Sample(points, np.stack(drawn, axis=1), runs)

    def _cells(self, target: str) -> list[Cell]:
        return [c for c in self.results.context.cells if c.target == target and c in self._scored]

    def _columns(self, target: str) -> dict[tuple[str, str, int], int]:
        cells = self._cells(target)
        return {(cell.model, cell.recipe, cell.seed): n for n, cell in enumerate(cells)}

    def _replicates(
        self, target: str, name: str | None
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return language -> (scores [cells], replicates [replicates, cells]).

        Empty if a cell has no scores of single examples.
        """
        subset = self.subsets[name] if name else None
        cells = self._cells(target)
        tables = [self.examples(cell) for cell in cells]
        if not tables or any(table is None for table in tables):
            return {}
        by_cell = [dict(list(t.groupby("language", observed=True))) for t in tables]
        names, aligned = [], []
        for language in self.results.languages(target):
            parts = [by_language.get(language) for by_language in by_cell]
            if any(part is None for part in parts):
                continue
            ids, top, bottom = _align(parts)
            if subset is not None:
                kept = np.isin(ids, list(subset.get(language, ())))
                ids, top, bottom = ids[kept], top[kept], bottom[kept]
            if len(ids):
                names.append(language)
                aligned.append((ids, top, bottom))
        if not names:
            return {}
        codes = {id: n for n, id in enumerate(sorted({i for ids, *_ in aligned for i in ids}))}
        groups = [(np.array([codes[id] for id in ids]), *rest) for ids, *rest in aligned]
        points = [
            100 * np.divide(t.sum(0), b.sum(0), out=np.zeros(t.shape[1]), where=b.sum(0) > 0)
            for _, t, b in groups
        ]
        return dict(zip(names, zip(points, ratio_replicates(groups), strict=True), strict=True))


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


def gains(samples: Samples) -> pd.DataFrame:
    """Return all gains over the baseline, with the columns of `gains.csv`.

    p_holm is corrected over the family that is shown together: the gains of one average on all
    targets, the means over targets of one average, or all gains in single languages.
    """
    context = samples.results.context
    keys = ["model", "recipe", "target", "language"]
    frame = samples.results.frame[samples.results.frame["headline"]]
    counts = frame.groupby(keys)["n"].first().to_dict()
    degenerate = samples.results.scored.groupby(keys[:3])["degenerate"].sum().to_dict()
    rows = [
        _gain_row(samples, gain, counts, degenerate, (model, recipe, target, language))
        for model, recipe, target in product(
            context.models, context.recipes, [*context.targets, MEAN]
        )
        if recipe != BASELINE
        for language in _shown(samples, target)
        if (gain := samples.gain(model, recipe, target, language)).seeds
    ]
    columns = [name for name in GAIN_COLUMNS if name != "p_holm"]
    table = pd.DataFrame(rows, columns=columns)
    single = ~table["language"].isin(list(AVERAGES))
    family = table["language"].mask(single, "single") + (table["target"] == MEAN).map(str)
    table["p_holm"] = table["p"].groupby(family).transform(holm)
    return table[GAIN_COLUMNS]


def _gain_row(
    samples: Samples,
    gain: Sample,
    counts: Mapping[tuple[str, str, str, str], int],
    degenerate: Mapping[tuple[str, str, str], int],
    key: tuple[str, str, str, str],
) -> tuple:
    """Return one row of `gains.csv`, without p_holm."""
    model, recipe, target, language = key
    paired = ~np.isnan(gain.by_seed)
    scores = [
        float(samples.score(model, r, target, language).by_seed[paired].mean())
        for r in (recipe, BASELINE)
    ]
    targets = samples.results.targets(language) if target == MEAN else [target]
    return (
        *key,
        *astuple(gain.interval),
        *(cohen_h(*scores), gain.seeds),
        sum(counts[model, recipe, t, language] for t in targets),
        sum(degenerate[model, r, t] for r in (recipe, BASELINE) for t in targets),
    )


def _shown(samples: Samples, target: str) -> list[str]:
    """Return the averages and languages for which a target's gains are listed."""
    if target == MEAN:
        return [average for average in AVERAGES if samples.results.targets(average)]
    averages = [average for average in AVERAGES if samples.languages(target, average)]
    return [*averages, *samples.results.languages(target)]
