"""The figures of a study: a heat map of gains, and the scores of each language.

All places are in inches from the top left, so that a figure grows with its content and text keeps
its size.
"""

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from xstilts.results.colours import GAIN, LOSS, OKABE_ITO, ZERO
from xstilts.results.scores import BASELINE, MEAN, Results, plain, summarise
from xstilts.results.tables import MISSING, STAR, ends, marks, metric_label, signed, target_label

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 9,
    "text.parse_math": False,  # a label may hold a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "xstilts",
    "hatch.linewidth": 0.6,
}
DPI, LONGEST = 160, 20_000  # of a PNG: dots per inch, and the most dots along a side
METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
GAINS = LinearSegmentedColormap.from_list("gains", [LOSS, ZERO, GAIN])
MARKERS = ["s", "^", "D", "v", "P", "X", "p"]
LINES = ["-", "--", ":", "-."]
GREY, SLATE, PALE, DARK = "#8A8A8A", "#5A5A5A", "#F1F1F1", "#222222"
CHARACTER = 0.078  # inches, of the base font, generous


def render(draw: Callable[[Results], Figure], results: Results) -> Iterator[tuple[str, bytes]]:
    """Yield (format, file content) of the figure that `draw` returns; equal for equal results."""
    with style.context(["default", STYLE]):
        figure = draw(results)
        dpi = min(DPI, LONGEST / max(figure.get_size_inches()))
        for kind, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
            figure.set_layout_engine("none")  # once is enough, and takes long
            yield kind, buffer.getvalue()


class Canvas:
    """A figure measured in inches from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), facecolor="white")
        self.width, self.height = width, height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """New axes; the box holds the plotting area alone, without tick labels."""
        bottom = self.height - top - height
        return self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )

    def text(self, left: float, top: float, text: str, **style: object) -> None:
        """Text whose top left corner is given."""
        self.figure.text(left / self.width, 1 - top / self.height, text, va="top", **style)


def wrap(label: str, width: int, lines: int = 2) -> str:
    """A label in at most `lines` lines of at most `width` characters."""
    return "\n".join(textwrap.wrap(label, width, max_lines=lines, placeholder=" …"))


def note(text: str) -> Figure:
    """Return the figure of a study that has nothing to draw: the reason in words."""
    canvas = Canvas(7, 1.2)
    canvas.text(0.3, 0.45, text, fontsize=11, color=DARK)
    return canvas.figure


# ------------------------------------------------------------------------------------- heat map

# inches; the gap sets the baseline and the mean apart
CELL_WIDTH, CELL_HEIGHT, GAP = 1.02, 0.5, 0.14


def heatmap(results: Results) -> Figure:
    """Draw the zero-shot gain of each recipe (rows) on each target (columns), a panel per model.

    The first row has the baseline's scores. Colours are symmetric about zero and saturate at the
    95th percentile of the absolute gains, so that one outlier does not pale the others.
    """
    context = results.context
    stats = summarise(results, "zero_shot")
    panels = [m for m in context.models if len(stats.loc[m].index.unique("recipe")) > 1]
    targets = [*results.targets("zero_shot"), MEAN]
    if not panels or len(targets) == 1:
        return note("No gains to show: only the baseline, or only the source language.")
    gains = stats["gain"].drop(BASELINE, level="recipe", errors="ignore").abs().dropna()
    limit = max(1.0, float(gains.quantile(0.95))) if len(gains) else 1.0
    scale = ScalarMappable(Normalize(-limit, limit), GAINS)

    labels = {r: wrap(context.label(r), 28) for r in context.recipes}
    longest = max(len(line) for label in labels.values() for line in label.splitlines())
    left, top = 0.35 + longest * CHARACTER, 0.75
    head = 0.6 + 0.5 * (len(panels) > 1)
    wide = len(targets) * CELL_WIDTH + GAP
    heights = [CELL_HEIGHT * len(stats.loc[m].index.unique("recipe")) + GAP for m in panels]
    canvas = Canvas(max(left + wide + 1.2, 7.4), top + sum(heights) + head * len(panels) + 0.45)
    baseline = wrap(context.label(BASELINE), 30, 1)
    canvas.text(
        0.2, 0.15, f"Zero-shot gain over {baseline}", fontsize=13, weight="bold", color=DARK
    )
    canvas.text(0.2, 0.45, _subtitle(results), fontsize=8.5, color=SLATE)
    for model, height in zip(panels, heights, strict=True):
        if len(panels) > 1:
            title = wrap(context.label(model), 50, 1)
            canvas.text(0.2, top + 0.22, title, fontsize=11, weight="bold", color=DARK)
        axes = canvas.axes(left, top + head, wide, height)
        _heatmap_panel(axes, results, stats.loc[model], targets, labels, scale)
        top += head + height
    bar = canvas.axes(left + wide + 0.25, top - heights[-1], 0.16, min(heights[-1], 3.0))
    clipped = "both" if len(gains) and gains.max() > limit else "neither"
    canvas.figure.colorbar(scale, cax=bar, extend=clipped, label="gain (points)")
    bar.spines["outline"].set_visible(False)
    canvas.text(left, top + 0.12, _heatmap_key(stats), fontsize=8, color=GREY)
    return canvas.figure


def _subtitle(results: Results) -> str:
    seeds = len(results.context.seeds)
    over = f"{seeds} seeds, 95 % CIs in brackets" if seeds > 1 else "one seed"
    first = "first row: the baseline's scores" + " ± SD" * (seeds > 1)
    study = wrap(plain(results.context.study), 30, 1)
    return f"Study {study} · points · {over} · {first}"


def _heatmap_key(stats: pd.DataFrame) -> str:
    keys = {
        f"{STAR} and bold: significant": stats["significant"],
        "hatched: no gain yet": stats["gains"] == 0,
        "‡ some seeds missing": stats["gains"].between(1, stats["wanted"] - 1),
        "† some runs degenerate": stats["degenerate"] > 0,
    }
    return " · ".join(key for key, applies in keys.items() if applies.any())


def _heatmap_panel(
    axes: Axes,
    results: Results,
    stats: pd.DataFrame,
    targets: list[str],
    labels: dict[str, str],
    scale: ScalarMappable,
) -> None:
    """Draw one model; `stats` is indexed by (recipe, target). One unit of the axes is one inch."""
    recipes = [r for r in labels if r in stats.index.unique("recipe")]
    recipes.sort(key=lambda recipe: recipe != BASELINE)
    lefts = [i * CELL_WIDTH + GAP * (t == MEAN) for i, t in enumerate(targets)]
    tops = [i * CELL_HEIGHT + GAP * (r != BASELINE) for i, r in enumerate(recipes)]
    cells = stats.to_dict("index")
    for recipe, top in zip(recipes, tops, strict=True):
        for target, left in zip(targets, lefts, strict=True):
            _heatmap_cell(axes, left, top, cells[recipe, target], recipe, scale)
    axes.set_xlim(0, len(targets) * CELL_WIDTH + GAP)
    axes.set_ylim(len(recipes) * CELL_HEIGHT + GAP, 0)
    axes.set_yticks([top + CELL_HEIGHT / 2 for top in tops], [labels[r] for r in recipes])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for target, left in zip(targets, lefts, strict=True):
        middle, style = left + CELL_WIDTH / 2, {"ha": "center", "va": "bottom"}
        head = wrap(target_label(results, target), 12)
        axes.text(middle, -0.24, head, weight="bold", color=DARK, **style)
        under = "over targets" if target == MEAN else metric_label(results.metrics.get(target, ""))
        axes.text(middle, -0.07, wrap(under, 16, 1), fontsize=7.5, color=GREY, **style)


def _heatmap_cell(
    axes: Axes, left: float, top: float, stats: Mapping, recipe: str, scale: ScalarMappable
) -> None:
    is_baseline = recipe == BASELINE
    value, count = (stats[x] for x in (["mean", "seeds"] if is_baseline else ["gain", "gains"]))
    box = {
        "xy": (left + 0.015, top + 0.015),
        "width": CELL_WIDTH - 0.03,
        "height": CELL_HEIGHT - 0.03,
    }
    middle, centre = left + CELL_WIDTH / 2, top + CELL_HEIGHT / 2
    if np.isnan(value):
        axes.add_patch(Rectangle(**box, facecolor="white", edgecolor="#C4C4C4", hatch="////", lw=0))
        axes.text(middle, centre, MISSING, ha="center", va="center", color=GREY)
        return
    face = PALE if is_baseline else scale.to_rgba(value)
    axes.add_patch(Rectangle(**box, facecolor=face, lw=0))
    luminance = np.dot(scale.to_rgba(value)[:3], (0.299, 0.587, 0.114))
    ink = "white" if luminance < 0.5 and not is_baseline else DARK
    under = ends(stats["low"], stats["high"])
    if is_baseline:
        under = "" if np.isnan(stats["sd"]) else f"± {stats['sd']:.1f}"
    star = STAR * bool(stats["significant"])
    number = signed(value, "" if is_baseline else "+") + star + marks(stats, count)
    style = {"ha": "center", "va": "center", "color": ink}
    weight = "bold" if star else "normal"
    axes.text(middle, centre - 0.06 * bool(under), number, fontsize=10.5, weight=weight, **style)
    axes.text(middle, centre + 0.12, under, fontsize=7, **style)


# ------------------------------------------------------------------------------------ languages

PAGE, MARGIN, GUTTER = 11.0, 0.75, 0.75  # inches: width of the figure, left of a panel, between two
FOOT = 0.45  # below a panel
ROOM = PAGE - MARGIN - 0.25  # for panels, in width


@dataclass(frozen=True)
class Series:
    """A series with one look in all panels: a recipe of the panel's model, or a control."""

    label: str
    recipe: str
    control: str | None  # the control model
    colour: str
    shape: str  # marker; of a control, line style


@dataclass(frozen=True)
class Panel:
    """One target of one model; `stats` has `mean` and `std` over seeds of each language."""

    title: str
    metric: str
    source: str | None
    languages: list[str]
    stats: dict[Series, pd.DataFrame]

    @property
    def is_dense(self) -> bool:
        """Whether the languages do not fit on the x axis, which makes a dot plot."""
        return len(self.languages) > 40 or len(self.languages) * len(self.stats) > 200

    @property
    def is_half(self) -> bool:
        """Whether two panels of this size fit side by side."""
        return len(self.languages) <= 16 and len(self.languages) * len(self.stats) <= 50

    @property
    def height(self) -> float:
        """Inches of the plotting area; a dot plot has two columns."""
        if not self.is_dense:
            return 2.2
        return max(0.2, 0.035 * len(self.stats)) * math.ceil(len(self.languages) / 2)

    @property
    def head(self) -> float:
        """Inches above the plotting area: the title, and in a dot plot also tick labels."""
        return 0.7 if self.is_dense else 0.5

    @property
    def scale(self) -> tuple[float, float]:
        """Ends of the axis of scores; a dot plot ignores controls, which are often far below."""
        shown = pd.concat(
            stats for s, stats in self.stats.items() if not (s.control and self.is_dense)
        )
        low, high = (shown["mean"] + sign * shown["std"].fillna(0) for sign in (-1, 1))
        margin = max(0.05 * (high.max() - low.min()), 0.5)
        return low.min() - margin, high.max() + margin


def languages(results: Results) -> Figure:
    """Draw the score of each language, a panel per model and target, a marker per recipe.

    A few languages are on the x axis; many make a dot plot that grows with them.
    """
    context = results.context
    series = _series(results)
    panels = [
        p for m in context.models for t in context.targets if (p := _panel(results, series, m, t))
    ]
    if not panels:
        return note("No scores yet.")
    rows: list[list[Panel]] = []
    for panel in panels:
        if panel.is_half and rows and len(rows[-1]) == 1 and rows[-1][0].is_half:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    drawn = [s for s in series if any(s in panel.stats for panel in panels)]
    across = max(1, int((PAGE - 0.4) / (0.55 + CHARACTER * max(len(s.label) for s in drawn))))
    top = 0.65 + 0.21 * math.ceil(len(drawn) / across)
    canvas = Canvas(PAGE, top + sum(row[0].head + row[0].height + FOOT for row in rows))
    canvas.text(0.2, 0.15, "Score of each language", fontsize=13, weight="bold", color=DARK)
    below = any(p.is_dense and any(s.control for s in p.stats) for p in panels)
    canvas.text(0.2, 0.45, _languages_subtitle(results, below), fontsize=8.5, color=SLATE)
    _legend(canvas, drawn, across)
    half = (ROOM - GUTTER) / 2
    for row in rows:
        head = row[0].head
        for place, panel in enumerate(row):
            left, width = MARGIN + place * (half + GUTTER), half if panel.is_half else ROOM
            title = wrap(panel.title, int(width / 0.11), 1)
            canvas.text(left, top + 0.2, title, fontsize=10.5, weight="bold", color=DARK)
            if panel.is_dense:
                _dot_plot(canvas, panel, top + head)
            else:
                _on_x(canvas.axes(left, top + head, width, panel.height), panel)
        top += head + row[0].height + FOOT
    return canvas.figure


def _languages_subtitle(results: Results, below: bool) -> str:
    seeds = len(results.context.seeds)
    bars = f"bars: ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    end = " · ◂ grey: control below the axis" if below else ""
    study = wrap(plain(results.context.study), 40, 1)
    return f"Study {study} · {bars} · shaded: the source language{end}"


def _series(results: Results) -> list[Series]:
    context = results.context
    others = [recipe for recipe in context.recipes if recipe != BASELINE]
    series = [Series(wrap(context.label(BASELINE), 40, 1), BASELINE, None, "black", "o")]
    for i, recipe in enumerate(others):
        colour, shape = OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)]
        series.append(Series(wrap(context.label(recipe), 40, 1), recipe, None, colour, shape))
    for i, model in enumerate(context.controls):
        label = wrap(f"{context.label(BASELINE)} ({context.label(model)})", 40, 1)
        series.append(Series(label, BASELINE, model, GREY, LINES[i % len(LINES)]))
    return series


def _panel(results: Results, series: list[Series], model: str, target: str) -> Panel | None:
    rows = results.headline()
    rows = rows[rows["target"] == target]
    stats = rows.groupby(["model", "recipe", "language"])["value"].agg(["mean", "std"])
    drawn = {s: (s.control or model, s.recipe) for s in series}
    drawn = {s: stats.loc[key] for s, key in drawn.items() if key in stats.index.droplevel(2)}
    if all(s.control for s in drawn):
        return None
    context, metric = results.context, metric_label(results.metrics[target])
    names = [target] if len(context.models) == 1 else [target, model]
    title = " · ".join(map(context.label, names))
    scored = set().union(*(stats.index for stats in drawn.values()))
    order = [name for name in results.languages(target) if name in scored]
    return Panel(title, metric, results.sources[target], order, drawn)


def _legend(canvas: Canvas, series: list[Series], across: int) -> None:
    handles = [
        Line2D([], [], color=s.colour, linestyle=s.shape, lw=1.6)
        if s.control
        else Line2D([], [], color=s.colour, marker=s.shape, markersize=5.5, linestyle="")
        for s in series
    ]
    canvas.figure.legend(
        handles,
        [s.label for s in series],
        loc="upper left",
        bbox_to_anchor=(0.12 / canvas.width, 1 - 0.66 / canvas.height),
        ncols=across,
        frameon=False,
        borderaxespad=0,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def _on_x(axes: Axes, panel: Panel) -> None:
    """Draw languages on the x axis, scores on the y axis."""
    _points(axes, panel, panel.languages, upright=True)
    long = max(map(len, panel.languages)) * len(panel.languages) * CHARACTER
    crowded = long > axes.get_position().width * PAGE * 0.9
    axes.set_xticks(range(len(panel.languages)), panel.languages, rotation=90 if crowded else 0)
    axes.set_ylabel(f"{panel.metric} (%)")
    axes.grid(axis="y", color="#E4E4E4", lw=0.7)


def _dot_plot(canvas: Canvas, panel: Panel, top: float) -> None:
    """Draw languages in two columns on one scale, the best baseline first."""
    means = next(iter(panel.stats.values()))["mean"]
    order = sorted(
        panel.languages, key=lambda name: (name != panel.source, -means.get(name, -np.inf), name)
    )
    size, width = math.ceil(len(order) / 2), (ROOM - GUTTER) / 2
    for i, part in enumerate([order[:size], order[size:]]):
        left = MARGIN + i * (width + GUTTER)
        axes = canvas.axes(left, top, width, panel.height * len(part) / size)
        _points(axes, panel, part, upright=False)
        axes.set_yticks(range(len(part)), part, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{panel.metric} (%)", fontsize=8, labelpad=1)
        axes.tick_params(axis="x", labelsize=8, pad=2, labeltop=True)
        axes.grid(axis="x", color="#E4E4E4", lw=0.7)


def _points(axes: Axes, panel: Panel, order: list[str], upright: bool) -> None:
    """Draw some languages of a panel, one unit each, on the scale of all of them."""
    spans, lines, bars = (
        (axes.axvspan, axes.hlines, axes.vlines)
        if upright
        else (axes.axhspan, axes.vlines, axes.hlines)
    )
    for i, name in enumerate(order):
        if name == panel.source:
            spans(i - 0.5, i + 0.5, color="#FFF3D6", lw=0)
        elif not upright and i % 2:
            spans(i - 0.5, i + 0.5, color="#F6F6F6", lw=0)
    low, high = panel.scale
    recipes = [s for s in panel.stats if not s.control]
    places = np.arange(len(order))
    sds = []  # (place, low, high, colour) of each bar; drawing them one by one takes minutes
    for series, stats in panel.stats.items():
        mean, sd = stats["mean"].reindex(order), stats["std"].reindex(order)
        if series.control:
            lines(mean, places - 0.42, places + 0.42, color=GREY, linestyles=series.shape, lw=1.6)
            below = places[mean < low]  # in a dot plot alone
            if len(below):
                axes.plot([low] * len(below), below, "<", color=GREY, markersize=4, clip_on=False)
            continue
        if upright and series.recipe == BASELINE:
            lines(mean, places - 0.42, places + 0.42, color=series.colour, lw=0.6)
        shift = (recipes.index(series) - (len(recipes) - 1) / 2) * 0.72 / len(recipes)
        axes.plot(
            *((places + shift, mean) if upright else (mean, places + shift)),
            series.shape,
            color=series.colour,
            markersize=5 if upright else 4,
            markeredgewidth=0,
        )
        ends = zip(places + shift, mean - sd, mean + sd, strict=True)
        sds += [(*end, series.colour) for end in ends if not np.isnan(end[1])]
    if sds:
        at, ends_low, ends_high, colours = zip(*sds, strict=True)
        bars(at, ends_low, ends_high, colors=colours, lw=1.1 if upright else 0.7)
    axes.set_axisbelow(True)
    scores, names = (axes.set_ylim, axes.set_xlim) if upright else (axes.set_xlim, axes.set_ylim)
    scores(low, high)
    ends = (-0.5, len(order) - 0.5)
    names(*(ends if upright else reversed(ends)))
