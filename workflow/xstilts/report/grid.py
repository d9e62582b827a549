"""The page's tables of gains: each recipe on each target, and each recipe in each language.

The template shows them without a script. After a choice of the reader, `templates/tables.js` fills
the same cells by the same rules; a browser test compares the two.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import pandas as pd

from xstilts.families import family
from xstilts.grid.grid import Grid
from xstilts.languages.names import LEVELS, Language, language
from xstilts.report.view import longer_training
from xstilts.results.colours import limit
from xstilts.results.scores import (
    AVERAGES,
    BASELINE,
    DECIMALS,
    MEAN,
    Results,
    majority_floor,
    ranked,
    summarise,
)
from xstilts.results.tables import ends, signed, target_label

MISSING, ABSENT = "missing", "n/a"
DWARFS = 2  # a CI whose end is this many times the usual ones is cut
ROOM = 1.06  # the axis exceeds the largest gain by half the width of a dot
MARKS = {
    "clipped": "▸ beyond the colour scale",
    "shared": "◥ shares training data with the target: longer training, not transfer",
    "degenerate": "† degenerate runs, not better than the most frequent label",
    "gap": "‡ some seeds are missing",
}


@dataclass(frozen=True)
class Entry:
    """A cell of a table: its text, what is spoken, its CSS classes, and what its style holds."""

    text: str
    spoken: str = ""
    classes: str = ""
    style: str = ""
    link: str = ""
    ends: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table; `kind` is baseline, recipe or floor (a control, the majority class)."""

    kind: str
    recipe: str
    label: str
    entries: list[Entry]
    model: str = ""


@dataclass(frozen=True)
class Block:
    """The rows of a model: the baseline, the recipes by mean gain, the floors."""

    model: str
    label: str
    rows: list[Row]


def key(*names: str) -> str:
    """Return the name of a run, as links and the page's data have it."""
    return ".".join(names)


def share(part: float) -> str:
    """Return a share as CSS: three digits, without a trailing zero."""
    return f"{part:.3f}".rstrip("0").rstrip(".")


def shade(gain: float, saturated: float) -> str:
    """Return the class of a gain's colour: 21 strengths, as cells of one class share a style."""
    return f"t{math.floor(20 * min(1, abs(gain) / saturated) + 0.5)}"


@dataclass(frozen=True)
class Tables:
    """The tables of a study's gains in its main average."""

    grid: Grid
    results: Results

    @property
    def average(self) -> str:
        """Name of the average: zero-shot, or of all languages if only the source is scored."""
        targets = self.results.targets("zero_shot")
        return "zero_shot" if targets or not self.results.metrics else "avg"

    @property
    def targets(self) -> list[str]:
        """The columns: the mean over targets, if there are several, and the targets."""
        targets = self.results.context.targets
        return [MEAN, *targets] if len(targets) > 1 else targets

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Kinds of task above the columns of targets, as in XTREME, with their widths."""
        tasks = self.grid.project.tasks
        kinds = [family(tasks[t].family).CATEGORY for t in self.results.context.targets]
        groups = [(kind, len(list(some))) for kind, some in groupby(kinds)]
        return groups if len(groups) > 1 else []

    @cached_property
    def statistics(self) -> dict[tuple[str, str, str], dict]:
        """Statistics over seeds, in percent and points, by (model, recipe, target)."""
        rounded = dict.fromkeys(("mean", "gain", "low", "high"), DECIMALS)
        statistics = summarise(self.results, self.average).astype(dict.fromkeys(rounded, float))
        return statistics.round(rounded).to_dict("index")

    @cached_property
    def gains(self) -> dict[tuple[str, str, str], dict]:
        """The statistics of which the tables show a gain."""
        models = self.results.context.models
        return {k: s for k, s in self.statistics.items() if k[1] != BASELINE and k[0] in models}

    @cached_property
    def has_intervals(self) -> bool:
        """Whether a gain has a CI."""
        return any(not pd.isna(stats["low"]) for stats in self.gains.values())

    @cached_property
    def limit(self) -> float:
        """The gain at which colours saturate."""
        return limit(stats["gain"] for stats in self.gains.values())

    @cached_property
    def axis(self) -> float:
        """End of the axis: the largest mean gain or end of a CI, but no end that dwarfs others."""
        means = [s for k, s in self.gains.items() if k[2] == MEAN and not pd.isna(s["gain"])]
        ends = [abs(s[end]) for s in means for end in ("low", "high") if not pd.isna(s[end])]
        usual, largest = limit(ends), max(ends, default=0.0)
        shown = 0.0 if largest > DWARFS * usual else largest
        return max(usual, shown, *(ROOM * abs(s["gain"]) for s in means))

    @cached_property
    def shared(self) -> frozenset[tuple[str, str]]:
        """Pairs (recipe, target) that train on the same examples."""
        return longer_training(self.grid)

    @property
    def marks(self) -> dict[str, bool]:
        """Each mark that a table may have, and whether one has it now."""
        entries = [e for block in self.blocks for row in block.rows for e in row.entries]
        used = {name for entry in entries for name in entry.classes.split()}
        return {mark: mark in used for mark in MARKS}

    @cached_property
    def blocks(self) -> list[Block]:
        """A table per model."""
        return [self._block(model) for model in self.results.context.models]

    def _block(self, model: str) -> Block:
        label, rows = self.results.context.label, []
        for recipe in ranked(self.results, model, self.average):
            if recipe == BASELINE:
                rows.append(self._row("baseline", model, recipe, f"{label(recipe)} (score)"))
            else:
                rows.append(self._row("recipe", model, recipe, label(recipe)))
        floors = self.results.context.controls
        rows += [self._row("floor", floor, BASELINE, label(floor)) for floor in floors]
        return Block(model, label(model), [*rows, *self._majority()])

    def _row(self, kind: str, model: str, recipe: str, label: str) -> Row:
        entries = [self._entry(kind, model, recipe, label, target) for target in self.targets]
        return Row(kind, recipe, label, entries, model)

    def _entry(self, kind: str, model: str, recipe: str, label: str, target: str) -> Entry:
        stats = self.statistics.get((model, recipe, target), {})
        is_gain = kind == "recipe"
        value = stats.get("gain" if is_gain else "mean")
        about = f"{label}, {target_label(self.results, target)}: "
        link = key(model, recipe, target)
        if value is None or pd.isna(value):
            text = MISSING if stats.get("wanted") else ABSENT
            return Entry(text, about + text, "empty", link=link)
        shown = signed(value, "+" if is_gain else "")
        if not is_gain:
            marks = self._marks(stats) if kind == "baseline" else []
            return Entry(shown, about + shown, " ".join(["score", *marks]), link=link)
        marks = self._marks(stats, recipe, target)
        is_mean = target == MEAN
        colour = [] if is_mean else [shade(value, self.limit)]
        return Entry(
            text=shown,
            spoken=about + shown + _spoken(stats),
            classes=" ".join([_sign(value), *colour, *marks]),
            style=self._style(stats) if is_mean else "",
            link=link,
            ends=ends(stats["low"], stats["high"]) if target == self.targets[0] else "",
        )

    def _marks(self, stats: Mapping, recipe: str = "", target: str = MEAN) -> list[str]:
        is_clipped = target != MEAN and abs(stats["gain"]) > self.limit
        classes = {
            "strong": recipe and stats["significant"],
            "clipped": recipe and is_clipped,
            "shared": (recipe, target) in self.shared,
            "degenerate": stats["degenerate"],
            "gap": stats["seeds"] < stats["wanted"],
        }
        return [name for name, holds in classes.items() if holds]

    def _style(self, stats: Mapping) -> str:
        """Return the places of a mean gain and of its CI on the axis, in percent."""
        gain = stats["gain"]

        def place(value: float) -> float:
            return 50 + 50 * max(-1, min(1, (gain if pd.isna(value) else value) / self.axis))

        places = {"l": stats["low"], "v": gain, "h": stats["high"]}
        return ";".join(f"--{name}:{share(place(value))}" for name, value in places.items())

    # ------------------------------------------------------------------------- in each language

    @cached_property
    def languages(self) -> list[Language]:
        """The languages of the targets, by resource level, family and name."""
        known = [language(code) for code in {code for _, _, code in self.by_language}]
        return sorted(known, key=lambda x: (LEVELS.index(x.resource), x.family, x.code))

    @property
    def levels(self) -> list[str]:
        """The resource levels that the study's languages have, except the unknown."""
        return [level for level in LEVELS[:-1] if any(x.resource == level for x in self.languages)]

    @cached_property
    def by_language(self) -> dict[tuple[str, str, str], tuple[float, bool]]:
        """Gain over all targets in points and its verdict, by (model, recipe, language).

        The targets' source languages are left out of a zero-shot table.
        """
        gains = self.results.gains
        left_out = {*AVERAGES, *(self.results.sources.values() if self.average != "avg" else ())}
        rows = gains[(gains["target"] == self.targets[0]) & ~gains["language"].isin(list(left_out))]
        verdicts = zip(rows["gain"].round(DECIMALS), rows["significant"], strict=True)
        keys = rows[["model", "recipe", "language"]].itertuples(index=False, name=None)
        return dict(zip(keys, verdicts, strict=True))

    @cached_property
    def maps(self) -> list[Block]:
        """A table per model: each recipe in each language, a mean over targets."""
        context = self.results.context
        saturated = limit(gain for gain, _ in self.by_language.values())
        blocks = []
        for model in context.models if self.languages else ():
            rows = [
                Row(
                    *("recipe", recipe, context.label(recipe)),
                    [_shade(*gain, saturated) for gain in self._means(model, recipe)],
                    model,
                )
                for recipe in ranked(self.results, model, self.average)
                if recipe != BASELINE
            ]
            blocks.append(Block(model, context.label(model), rows))
        return blocks

    def _means(self, model: str, recipe: str) -> list[tuple[float | None, bool]]:
        """Return the mean of all languages, of each resource level, and each language."""
        unknown = (None, False)
        gains = [self.by_language.get((model, recipe, x.code), unknown) for x in self.languages]
        pairs = list(zip(gains, self.languages, strict=True))
        levels = [[gain for (gain, _), x in pairs if x.resource == level] for level in self.levels]
        means = [_mean(some) for some in ([gain for gain, _ in gains], *levels)]
        return [*((gain, False) for gain in means), *gains]

    def _majority(self) -> list[Row]:
        """Return the row of the most frequent label, if a target has such a score."""
        values = majority_floor(self.results, self.average)
        label = "majority class"
        texts = [signed(values[t]) if t in values else ABSENT for t in self.targets]
        entries = [Entry(text, classes="empty" if text == ABSENT else "score") for text in texts]
        return [Row("floor", "", label, entries)] if values else []


def _mean(gains: list[float | None]) -> float | None:
    known = [gain for gain in gains if gain is not None]
    return math.fsum(known) / len(known) if known else None


def _shade(gain: float | None, significant: bool, saturated: float) -> Entry:
    if gain is None:
        return Entry("", classes="empty")
    classes = f"{_sign(gain)} {shade(gain, saturated)}" + " strong" * significant
    return Entry(signed(gain, "+"), classes=classes)


def _sign(gain: float) -> str:
    return "loss" if signed(gain).startswith("−") else "gain"


def _spoken(stats: Mapping) -> str:
    """Return what follows a gain when it is read aloud."""
    if pd.isna(stats["low"]):
        return " points"
    verdict = ", significant" if stats["significant"] else ""
    return f" points, 95 % CI {signed(stats['low'])} to {signed(stats['high'])}{verdict}"
