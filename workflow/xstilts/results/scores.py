"""The scores of a study: tidy data from the score files, and statistics over seeds.

A *headline* is the main metric of a target, averaged over languages: `avg` over all, as XTREME
does, `zero_shot` over all except the source language. Partial results are normal: a cell without
a score file is shown and counted as missing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from xstilts.errors import InputError, nearest
from xstilts.grid.artefacts import Cell
from xstilts.recipe import NONE
from xstilts.results.score_file import ScoreFile

BASELINE = NONE
IMPORTED = "imported"  # takes the place of a recipe: the scores of another system
MEAN = "mean"  # takes the place of a target: the mean over targets
AVERAGES = {
    "avg": "Average over all languages",
    "zero_shot": "Zero-shot: average over all languages except the source",
}
# Columns of `gains.csv` and their types. `language` may be an average, `target` the mean over
# targets; `low` and `high` are simultaneous over the family, as are `p_adjusted` and `significant`;
# `p` and the Welch columns are of this gain alone. `effect` is Cohen's h, `n` the number of test
# examples, `degenerate` the number of such runs, `gain_learned` the gain without them.
GAINS = {
    **dict.fromkeys(["model", "recipe", "target", "language"], str),
    **dict.fromkeys(["gain", "low", "high", "p", "p_adjusted"], float),
    **{"significant": bool, "effect": float, "seeds": int, "n": int, "degenerate": int},
    **dict.fromkeys(["gain_learned", "welch_low", "welch_high", "welch_p"], float),
}
DECIMALS = 4  # of the numbers in CSV files; texts and drawings show those, rounded
CSV_COLUMNS = ["model", "recipe", "target", "seed", "language", "metric", "value", "n", "cell"]
CSV = {"index": False, "float_format": f"%.{DECIMALS}f", "na_rep": "NA", "lineterminator": "\n"}


@dataclass(frozen=True)
class Context:
    """The facts about a study that its score files do not contain.

    Models, recipes, targets and seeds are ordered by their first appearance in `cells`.
    """

    study: str
    cells: tuple[Cell, ...]
    labels: Mapping[str, str] = field(default_factory=dict)  # of models, recipes and targets
    short_names: Mapping[str, str] = field(default_factory=dict)  # of a recipe -> its notation
    notes: tuple[str, ...] = ()  # for the captions
    warnings: tuple[str, ...] = ()
    versions: str = ""  # a warning if library versions differ
    imported: tuple[ScoreFile, ...] = ()  # scores of other systems

    def label(self, name: str) -> str:
        """Return the label of a name, as one line of printable characters."""
        return plain(self.labels.get(name, name)) or plain(name)

    @cached_property
    def _recipes_of(self) -> dict[str, set[str]]:
        recipes: dict[str, set[str]] = {}
        for cell in self.cells:
            recipes.setdefault(cell.model, set()).add(cell.recipe)
        return recipes

    @cached_property
    def controls(self) -> list[str]:
        """Models that run only the baseline while others run more: a floor for the others."""
        only = [m for m, recipes in self._recipes_of.items() if recipes == {BASELINE}]
        return only if len(only) < len(self._recipes_of) else []

    @cached_property
    def models(self) -> list[str]:
        """The models in study order, without controls."""
        return [model for model in self._recipes_of if model not in self.controls]

    @property
    def all_models(self) -> list[str]:
        """The models in study order, then the controls."""
        return [*self.models, *self.controls]

    @cached_property
    def recipes(self) -> list[str]:
        """The recipes in study order."""
        return list(dict.fromkeys(cell.recipe for cell in self.cells))

    @cached_property
    def targets(self) -> list[str]:
        """The targets in study order."""
        return list(dict.fromkeys(cell.target for cell in self.cells))

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of the recipes in study order; of the baseline, if nothing else runs."""
        recipes = [cell for cell in self.cells if cell.recipe != BASELINE]
        return list(dict.fromkeys(cell.seed for cell in recipes or self.cells))

    @cached_property
    def all_seeds(self) -> list[int]:
        """The seeds of the recipes, then those that only the baseline has."""
        return list(dict.fromkeys([*self.seeds, *(cell.seed for cell in self.cells)]))

    def folds(self, recipe: str) -> list[tuple[int | None, ...]]:
        """Return the seeds [folds, seeds] of a recipe; only the baseline has more than one fold.

        A study that runs only some cells may have an incomplete fold, which is filled with None.
        """
        seeds = self.all_seeds if recipe == BASELINE else self.seeds
        return list(zip_longest(*[iter(seeds)] * len(self.seeds)))


@dataclass(frozen=True)
class Results:
    """All scores of a study.

    `frame` has the columns of `scores.csv`, where `language` may be `avg` or `zero_shot`, and three
    more: `headline` (whether the metric is the main one), `majority` (the score of the most
    frequent label, NaN if undefined) and `degenerate` (whether the cell is).
    """

    context: Context
    frame: pd.DataFrame
    metrics: dict[str, str]  # target -> main metric; only targets that have a score
    sources: dict[str, str | None]  # target -> source language
    warnings: tuple[str, ...]
    scores: Mapping[Cell, ScoreFile]  # in study order
    gains: pd.DataFrame = field(default_factory=lambda: gains_frame([]))  # empty until judged

    def headline(self, language: str) -> pd.DataFrame:
        """Return the rows of the main metric for one language or average."""
        return self.headlines[self.headlines["language"] == language]

    @cached_property
    def headlines(self) -> pd.DataFrame:
        """The rows of the main metrics."""
        return self.frame[self.frame["headline"]]

    @cached_property
    def _languages(self) -> dict[str, set[str]]:
        """Languages and averages of each target that has a score; cached, as each cell needs it."""
        return self.headlines.groupby("target")["language"].agg(set).to_dict()

    def languages(self, target: str) -> list[str]:
        """Return the languages scored for a target, the source language first."""
        names = self._languages.get(target, set()) - set(AVERAGES)
        return sorted(names, key=lambda name: (name != self.sources.get(target), name))

    def targets(self, average: str) -> list[str]:
        """Return the targets for which an average exists or is still possible.

        Of a language, they are the targets that have it.
        """
        return [
            target
            for target in self.context.targets
            if average in self._languages.get(target, ())
            or (average in AVERAGES and target not in self.metrics)
        ]

    @cached_property
    def scored(self) -> pd.DataFrame:
        """One row per cell that has a score: its key and whether it is degenerate."""
        keys = ["model", "recipe", "target", "seed", "degenerate"]
        return self.headline("avg")[keys]

    @cached_property
    def degenerate(self) -> dict[tuple[str, str, str], np.ndarray]:
        """(model, recipe, target) -> whether each run [folds, seeds] is degenerate."""
        flags = {}
        for key, rows in self.scored.groupby(["model", "recipe", "target"]):
            seeds = set(rows.loc[rows["degenerate"], "seed"])
            folds = self.context.folds(key[1])
            flags[key] = np.array([[seed in seeds for seed in fold] for fold in folds])
        return flags


def gains_frame(rows: Sequence[tuple]) -> pd.DataFrame:
    """Return gains as a data frame with the columns of `gains.csv`."""
    return pd.DataFrame(rows, columns=list(GAINS)).astype(GAINS)


def plain(text: str) -> str:
    """A text on one line, with single spaces for white space and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def collect(paths: Iterable[Path], context: Context) -> Results:
    """Read the score files of a study; a path that does not exist is a missing cell.

    Raises:
        InputError: for a damaged file, two files of one cell, a cell that is not in the study, or
            two main metrics of one target.
    """
    expected = set(context.cells)
    scores: dict[Cell, ScoreFile] = {}
    origin: dict[Cell, Path] = {}
    first_of: dict[str, Cell] = {}  # target -> the first cell read
    for path in filter(Path.exists, paths):
        score = ScoreFile.read(path)
        cell = score.cell
        if cell not in expected:
            hint = nearest(str(cell), [str(known) for known in expected])
            raise InputError(f"{path}: cell {cell} is not in study {context.study!r}; {hint}")
        if cell in scores:
            raise InputError(
                f"{path}: cell {cell} has a second score file, {origin[cell]}; "
                "delete both and run the workflow again"
            )
        first = first_of.setdefault(score.target, cell)
        scores[cell], origin[cell] = score, path
        if score.main_metric != scores[first].main_metric:
            raise InputError(
                f"{path}: key 'main_metric': target {score.target!r} has {score.main_metric!r} "
                f"here and {scores[first].main_metric!r} in {origin[first]}"
            )
    scores = {cell: scores[cell] for cell in context.cells if cell in scores}
    ordered = list(scores.values())
    rows = [row for score in ordered for row in _rows(score)]
    flags = ["headline", "majority", "degenerate"]
    frame = pd.DataFrame(rows, columns=[*CSV_COLUMNS, *flags]).astype(
        {"seed": int, "value": float, "majority": float, "headline": bool, "degenerate": bool}
    )
    return Results(
        context,
        frame,
        metrics={score.target: score.main_metric for score in ordered},
        sources={score.target: score.source_language for score in ordered},
        warnings=(
            *context.warnings,
            *filter(None, [context.versions]),
            *_language_warnings(ordered, context),
        ),
        scores=scores,
    )


def scores_csv(results: Results) -> str:
    """Return the text of `scores.csv`: a row per cell, language or average, and metric.

    Rows of other systems come last; their recipe is `imported`.

    For an average, `n` is the sum over its languages; in `value` all languages weigh the same.
    """
    frame = results.frame[CSV_COLUMNS]
    if others := [row for score in results.context.imported for row in _rows(score)]:
        rows = pd.DataFrame([row[: len(CSV_COLUMNS)] for row in others], columns=CSV_COLUMNS)
        frame = pd.concat([frame, rows]) if len(frame) else rows
    return frame.to_csv(**CSV)


def summarise(results: Results, average: str) -> pd.DataFrame:
    """Return statistics of the headline over seeds, per (model, recipe, target), in study order.

    `MEAN`, the mean over targets, uses only seeds for which every target is scored. A gain is
    that of gains.csv, else the mean over seeds of the score minus the baseline's with the same
    model and target (zero for the baseline itself). Standard deviations divide by n − 1 and are NaN
    below two seeds.

    Columns: wanted (seeds in the study), seeds (scored), mean, sd, gains (pairs), gain, degenerate
    (runs), and the verdict of gains.csv: low, high, significant.
    """
    targets, keys = results.targets(average), ["model", "recipe", "seed"]
    cells = pd.DataFrame(map(asdict, results.context.cells), columns=[*keys, "target"])
    index = pd.MultiIndex.from_frame(cells[keys].drop_duplicates())

    def wide(rows: pd.DataFrame, column: str) -> pd.DataFrame:
        pivoted = rows.pivot(index=keys, columns="target", values=column)
        return pivoted.reindex(index=index, columns=targets)

    rows = results.headline(average)
    score = wide(rows, "value").astype(float)
    score[MEAN] = score.mean(axis=1, skipna=False)
    wanted = wide(cells.assign(one=1), "one")
    wanted[MEAN] = wanted.max(axis=1)
    degenerate = wide(rows, "degenerate").eq(True)
    degenerate[MEAN] = degenerate.any(axis=1)
    is_baseline = index.get_level_values("recipe") == BASELINE
    baseline = score[is_baseline].droplevel("recipe").reindex(index.droplevel("recipe"))
    gain = score - baseline.to_numpy()

    def over_seeds(frame: pd.DataFrame, statistic: str) -> pd.Series:
        groups = frame.groupby(["model", "recipe"], sort=False)
        return groups.agg(statistic).rename_axis(columns="target").stack(future_stack=True)

    summary = pd.DataFrame(
        {
            "wanted": over_seeds(wanted, "sum").astype(int),
            "seeds": over_seeds(score, "count"),
            "mean": over_seeds(score, "mean"),
            "sd": over_seeds(score, "std"),
            "gains": over_seeds(gain, "count"),
            "gain": over_seeds(gain, "mean"),
            "degenerate": over_seeds(degenerate, "sum").astype(int),
        }
    )
    rows = results.gains[results.gains["language"] == average]
    verdicts = rows.set_index(["model", "recipe", "target"])[["gain", "low", "high", "significant"]]
    summary["gain"] = verdicts.pop("gain").reindex(summary.index).fillna(summary["gain"])
    return summary.join(verdicts).fillna({"significant": False})


def ranked(results: Results, model: str, average: str = "zero_shot") -> list[str]:
    """Return a model's recipes: the baseline first, then by their mean gain in an average.

    Without gains, they are in study order.
    """
    context, gains = results.context, results.gains
    own = {cell.recipe for cell in context.cells if cell.model == model}
    rows = gains[(gains["model"] == model) & (gains["language"] == average)]
    known = rows[rows["target"] == MEAN].set_index("recipe")["gain"].to_dict()
    return sorted(
        [recipe for recipe in context.recipes if recipe in own],
        key=lambda recipe: (recipe != BASELINE, -known.get(recipe, -np.inf)),
    )


def majority_floor(results: Results, average: str) -> dict[str, float]:
    """Return target -> score of the most frequent label in percent, where it is defined.

    `MEAN` is the mean over targets, if all targets of the average have such a score.
    """
    rows, targets = results.headline(average).dropna(subset="majority"), results.targets(average)
    values = rows.groupby("target")["majority"].first().to_dict()
    if values and not set(targets) - set(values):
        values[MEAN] = sum(values[target] for target in targets) / len(targets)
    return values


def _rows(score: ScoreFile) -> Iterable[tuple]:
    """Yield the rows of a cell: the source language, the others by name, the averages."""
    languages, main = score.languages, score.main_metric
    ordered = sorted(languages, key=lambda name: (name != score.source_language, name))
    members = {"avg": ordered, "zero_shot": [x for x in ordered if x != score.source_language]}
    entries = [(name, languages[name].metrics, [name]) for name in ordered]
    entries += [(x, score.averages[x], members[x]) for x in AVERAGES if x in score.averages]
    for name, metrics, over in entries:
        floors = [(languages[x].majority or {}).get(main) for x in over]
        floor = sum(floors) / len(floors) if floors and None not in floors else None
        n = sum(languages[x].n for x in over)
        for metric in sorted(metrics, key=lambda metric: (metric != main, metric)):
            is_main = metric == main
            yield (
                *(*astuple(score.cell), name, metric, metrics[metric], n, str(score.cell)),
                *(is_main, floor if is_main else None, score.degenerate),
            )


def _language_warnings(scores: list[ScoreFile], context: Context) -> list[str]:
    """Return a warning for each target whose averages are over different languages."""
    kinds = Counter(t for t, _ in {(s.target, frozenset(s.languages)) for s in scores})
    return [
        f"{context.label(target)}: runs cover different languages, so averages are not comparable."
        for target in context.targets
        if kinds[target] > 1
    ]
