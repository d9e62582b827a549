"""Maps of gains, by target and by language: a row per recipe, a panel per model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xstilts.languages import names
from xstilts.results.colours import GAIN, LOSS, PALE, ZERO, limit
from xstilts.results.drawing import COLUMN, LINE, TEXT, Canvas, Drawing, ink, note, width, wrap
from xstilts.results.scores import AVERAGES, BASELINE, MEAN, Results, ranked, summarise
from xstilts.results.tables import STAR, half_width, marks, signed, target_label
from xstilts.units import count

GAINS = LinearSegmentedColormap.from_list("gains", [LOSS, ZERO, GAIN])
MARGIN, GAP, ROW = 0.05, 0.06, 0.145  # around a figure; between groups of columns; of a row
NARROWEST, WIDEST = 0.118, 0.9  # column; with an upright name above it it may be narrow
LONGEST_NAME, LONGEST_HEAD = 1.5, 1.0  # of a recipe, above a column
ONLY_BASELINE = "No gains to show: only the baseline, or only the source language."


@dataclass(frozen=True)
class Panel:
    """The gains of one model.

    `gains` has the columns gain, low, high, significant and marks, by (row, column); a row without
    an entry is missing. `scores` are the baseline's, by column.
    """

    title: str
    rows: Mapping[str, str]  # name -> label
    gains: pd.DataFrame
    scores: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def cells(self) -> dict[tuple[str, str], dict]:
        """The gains by (row, column), as a mapping."""
        return self.gains.to_dict("index")


@dataclass(frozen=True)
class Columns:
    """Columns that are set apart from the others; with a title above them if it is not empty."""

    labels: Mapping[str, str]  # name -> label
    title: str = ""


class _Layout:
    """Sizes of a map. Numbers are drawn if all of them fit in their columns."""

    def __init__(self, panels: Sequence[Panel], groups: Sequence[Columns], count: int) -> None:
        names = [label for panel in panels for label in panel.rows.values()]
        texts = [x for panel in panels for gain in panel.cells.values() for x in _texts(gain)]
        number = max((width(text, "bold") for text in texts), default=0.0) + 0.05
        gaps = GAP * (len(groups) - 1)
        self.left = MARGIN + min(max(map(width, names)), LONGEST_NAME) + 0.08
        narrow = self.left + count * max(number, 0.36) + gaps + MARGIN <= COLUMN
        self.width = COLUMN if narrow else TEXT
        self.column = min((self.width - self.left - MARGIN - gaps) / count, WIDEST)
        self.numbered = self.column >= number
        self.two_lines = self.numbered and any(not p.gains["low"].isna().all() for p in panels)
        self.row = ROW + 0.1 * self.two_lines
        self.above = (LINE + 0.05) * any(group.title for group in groups)
        self._set_heads([label for group in groups for label in group.labels.values()])
        self.places, place = {}, -GAP  # left ends of the columns
        for group in groups:
            place += GAP
            for name in group.labels:
                self.places[name], place = place, place + self.column
        self.across = place

    def _set_heads(self, heads: Sequence[str]) -> None:
        """Set the texts above the columns and their height; upright if they do not fit else."""
        texts = {head: wrap(head, self.column - 0.04) for head in heads}
        self.upright = any(text.replace("\n", " ") != head for head, text in texts.items())
        if self.upright:
            lines = 1 + (self.column > 2.2 * LINE)
            texts = {head: wrap(head, LONGEST_HEAD, lines) for head in heads}
            self.head = 0.06 + max(map(width, texts.values()))
        else:
            self.head = 0.06 + LINE * max(text.count("\n") + 1 for text in texts.values())
        self.heads = texts

    def height(self, panel: Panel) -> float:
        """Height of a panel with its heads."""
        title = (LINE + 0.05) * bool(panel.title)
        return title + self.above + self.head + self.first(panel) + len(panel.rows) * self.row

    def first(self, panel: Panel) -> float:
        """Height of the row of the baseline's scores."""
        return (ROW + GAP) * bool(panel.scores and self.numbered)


def gain_maps(panels: Sequence[Panel], groups: Sequence[Columns], baseline: str) -> Figure:
    """Draw gains as coloured cells, panels below each other.

    Colours are symmetric about zero. Numbers are left out where they do not fit; then a dot marks
    what is significant, and a colour bar is below the map.
    """
    values = pd.concat([panel.gains["gain"] for panel in panels]).abs()
    saturated = limit(values)
    scale = ScalarMappable(Normalize(-saturated, saturated), GAINS)
    parts = _parts(groups)
    most = sum(len(group.labels) for group in parts[0])
    layouts = [(part, _Layout(panels, part, most)) for part in parts]
    drawn = [(panel, part, layout) for panel in panels for part, layout in layouts]
    layout = drawn[0][2]
    foot = 0.0 if layout.numbered else 0.35
    height = sum(own.height(panel) + 0.1 for panel, _, own in drawn)
    canvas, top = Canvas(layout.width, MARGIN + height + foot), MARGIN
    for panel, part, own in drawn:
        _draw_panel(canvas, top, panel, part, own, scale, baseline)
        top += own.height(panel) + 0.1
    if foot:
        bar = canvas.axes(layout.left, top, 1.5, 0.07)
        clipped = "both" if values.max() > saturated else "neither"
        canvas.figure.colorbar(scale, cax=bar, orientation="horizontal", extend=clipped)
        bar.spines["outline"].set_visible(False)
        canvas.text(layout.left + 1.65, top - 0.02, "gain (points)   ● significant")
    return canvas.figure


def _parts(groups: Sequence[Columns]) -> list[list[Columns]]:
    """Split columns that are too many for the width of the text."""
    most = int((TEXT - LONGEST_NAME - 0.25) / NARROWEST)
    names = [(group, name) for group in groups for name in group.labels]
    chunks = [names[start : start + most] for start in range(0, len(names), most)]
    return [
        [Columns(labels, group.title) for group in groups if (labels := _labels(group, chunk))]
        for chunk in chunks
    ]


def _labels(group: Columns, chunk: list[tuple[Columns, str]]) -> dict[str, str]:
    return {name: group.labels[name] for other, name in chunk if other is group}


def _draw_panel(
    canvas: Canvas,
    top: float,
    panel: Panel,
    groups: Sequence[Columns],
    layout: _Layout,
    scale: ScalarMappable,
    baseline: str,
) -> None:
    """Draw one model. One unit of the axes is one inch."""
    if panel.title:
        title = wrap(panel.title, layout.width - 2 * MARGIN, 1)
        canvas.text(MARGIN, top, title, weight="bold")
        top += LINE + 0.05
    body = layout.first(panel) + len(panel.rows) * layout.row
    axes = canvas.axes(layout.left, top + layout.above + layout.head, layout.across, body)
    axes.set(xlim=(0, layout.across), ylim=(body, 0), xticks=[])
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)
    for group in groups:
        _heads(axes, group, layout)
    first = layout.first(panel)
    rows = {layout.row * n + first: name for n, name in enumerate(panel.rows)}
    ticks = {place + layout.row / 2: panel.rows[name] for place, name in rows.items()}
    if first:
        ticks = {ROW / 2: baseline} | ticks
        for column, score in panel.scores.items():
            left = layout.places.get(column)
            if left is not None:
                _box(axes, left, 0, layout.column, ROW, PALE)
                _write(axes, left + layout.column / 2, ROW / 2, signed(score), "black")
    lines = 1 + layout.two_lines
    axes.set_yticks(list(ticks), [wrap(label, LONGEST_NAME, lines) for label in ticks.values()])
    for place, row in rows.items():
        for column, left in layout.places.items():
            _cell(axes, left, place, layout, panel.cells.get((row, column)), scale)


def _heads(axes: Axes, group: Columns, layout: _Layout) -> None:
    for name, label in group.labels.items():
        middle = layout.places[name] + layout.column / 2
        turned = {"rotation": 90, "va": "bottom"} if layout.upright else {"va": "bottom"}
        axes.text(middle, -0.04, layout.heads[label], ha="center", linespacing=1, **turned)
    if group.title:
        left = layout.places[next(iter(group.labels))]
        axes.text(left, -layout.head - 0.04, group.title, weight="bold", va="bottom")


def _box(axes: Axes, left: float, top: float, width: float, height: float, colour, **style) -> None:
    box = Rectangle((left, top), width, height, facecolor=colour, edgecolor="white", lw=0.5)
    axes.add_patch(box)
    box.set(**style)


def _write(axes: Axes, middle: float, centre: float, text: str, colour: str, **style) -> None:
    axes.text(middle, centre, text, ha="center", va="center_baseline", color=colour, **style)


def _texts(gain: Mapping) -> tuple[str, str]:
    """Return a gain with its marks, and the half-width of its CI."""
    text = signed(gain["gain"], "+") + gain["marks"] + STAR * bool(gain["significant"])
    return text, half_width(gain["low"], gain["high"])


def _cell(
    axes: Axes,
    left: float,
    top: float,
    layout: _Layout,
    gain: Mapping | None,
    scale: ScalarMappable,
) -> None:
    """Draw a gain: its colour, and its number or a dot; hatched without a gain."""
    size = layout.column, layout.row
    middle, centre = left + layout.column / 2, top + layout.row / 2
    if gain is None or np.isnan(gain["gain"]):
        _box(axes, left, top, *size, "white", edgecolor="#C4C4C4", hatch="/////", lw=0)
        return
    face = scale.to_rgba(gain["gain"])
    _box(axes, left, top, *size, face)
    colour = ink(face)
    if not layout.numbered:
        if gain["significant"]:
            axes.plot(middle, centre, "o", color=colour, markersize=2.6, markeredgewidth=0)
        return
    weight = "bold" if gain["significant"] else "normal"
    text, half = _texts(gain)
    apart = 0.052 * bool(half)
    _write(axes, middle, centre + 0.005 - apart, text, colour, weight=weight)
    _write(axes, middle, centre + 0.005 + apart, half, colour)


# ------------------------------------------------------------------------- by target, by language


def heatmap(results: Results) -> Drawing:
    """Draw the zero-shot gain of each recipe on each target, and the mean over targets first."""
    targets = results.targets("zero_shot")
    stats = summarise(results, "zero_shot")
    if not targets or all(
        len(stats.loc[m].index.unique("recipe")) < 2 for m in results.context.models
    ):
        return note(ONLY_BASELINE)
    stats["marks"] = [marks(row, row["gains"]) for row in stats.to_dict("records")]
    panels = []
    for model in results.context.models:
        own = stats.loc[model]
        scores = own.loc[BASELINE]["mean"].dropna() if BASELINE in own.index else {}
        panels += model_panels(results, model, own, dict(scores))
    groups = [Columns({t: target_label(results, t) for t in targets})]
    if len(targets) > 1:
        groups.insert(0, Columns({MEAN: target_label(results, MEAN)}))
    baseline = results.context.label(BASELINE)
    figure = gain_maps(panels, groups, baseline)
    first = "; first row: its scores" if any(panel.scores for panel in panels) else ""
    gaps = {
        "Hatched: no gain yet.": stats["gains"] == 0,
        "‡: some seeds are missing.": stats["marks"].str.contains("‡"),
        "†: some runs are degenerate.": stats["marks"].str.contains("†"),
    }
    caption = [
        f"Zero-shot gain over {baseline} in points{first}.",
        legend(results, stats),
        "Rows are sorted by mean gain.",
        *(text for text, applies in gaps.items() if applies.any()),
    ]
    return Drawing(figure, " ".join(caption))


def legend(results: Results, gains: pd.DataFrame) -> str:
    """Return the sentence of a caption on intervals and marks of a map."""
    seeds = len(results.context.seeds)
    if not gains["low"].notna().any():
        return f"{count(seeds, 'seed')}, no CI."
    verdict = (
        f"{STAR} and bold, or a dot: significant, as the CI excludes zero."
        if seeds > 1
        else "One seed: no verdict."
    )
    over = f"simultaneous over the figure ({count(seeds, 'seed')})"
    return f"±: half-width of the 95 % CI, {over}. {verdict}"


def model_panels(
    results: Results, model: str, gains: pd.DataFrame, scores: Mapping[str, float] | None = None
) -> list[Panel]:
    """Return the panel of a model, if it has gains; rows are sorted by the mean gain."""
    context = results.context
    known = set(gains.index.unique("recipe")) - {BASELINE}
    rows = {r: context.label(r) for r in ranked(results, model) if r in known}
    title = context.label(model) if len(context.models) > 1 else ""
    return [Panel(title, rows, gains, scores or {})] if rows else []


def languages(results: Results) -> Drawing:
    """Draw the gain of each recipe in each language, as the mean over the language's targets."""
    context, gains = results.context, results.gains
    gains = gains[(gains["target"] == MEAN) & ~gains["language"].isin(list(AVERAGES))]
    if not len(gains):
        return note(ONLY_BASELINE)
    gains = gains.assign(marks="").set_index(["model", "recipe", "language"])
    panels = [
        panel
        for model in context.models
        if model in gains.index
        for panel in model_panels(results, model, gains.loc[model])
    ]
    order = list(gains.groupby("language")["gain"].mean().sort_values(ascending=False).index)
    sources = {source for source in results.sources.values() if source in order}
    labels = names.labels(order)
    groups = [
        Columns({x: labels[x] for x in order if (x in sources) == first}) for first in (True, False)
    ]
    figure = gain_maps(panels, [group for group in groups if group.labels], "")
    over = "" if len(results.metrics) == 1 else ", mean over the targets that have it"
    caption = (
        f"Gain over {context.label(BASELINE)} in each language, in points{over}. "
        f"{legend(results, gains)} Rows and columns are sorted by mean gain"
        f"{'; the source language is first' if groups[0].labels else ''}."
    )
    return Drawing(figure, caption)
