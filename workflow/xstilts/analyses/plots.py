"""The two kinds of figures of an answer: intervals in rows, and values along an axis."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from xstilts.results.colours import OKABE_ITO
from xstilts.results.figures import DARK, GREY, MARKERS, SLATE, note, wrap
from xstilts.results.statistics import Interval

FILLED = "Filled dot: significant, as the simultaneous CI excludes zero."
_ROW, _HEAD, _FOOT = 0.3, 1.0, 0.65  # inches
_ACROSS = 3  # panels side by side


@dataclass(frozen=True)
class Panel:
    """One part of a figure: label -> interval; of `along`, series -> x -> interval."""

    title: str
    rows: Sequence[tuple[str, Interval]] = ()
    series: Mapping[str, Sequence[tuple[float, Interval]]] = field(default_factory=dict)


def intervals(title: str, subtitle: str, panels: Sequence[Panel], unit: str) -> Figure:
    """Draw a dot with its interval per row, in panels below each other, with a line at zero.

    A dot is filled and coloured by its sign if it is significant; others are grey.
    """
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        return note("Nothing to show yet.")
    counts = [len(panel.rows) for panel in panels]
    height = _HEAD + _FOOT + sum(counts) * _ROW + 0.35 * len(panels)
    figure = Figure(figsize=(7.2, height), facecolor="white", layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        by_colour = defaultdict(list)  # colour -> places: errorbar is slow, row by row
        for place, (_, interval) in enumerate(panel.rows):
            colour = OKABE_ITO[interval.value < 0] if interval.significant else GREY
            by_colour[colour].append(place)
        for colour, places in by_colour.items():
            rows = [panel.rows[place][1] for place in places]
            ends = [[_gap(x.value, x.low) for x in rows], [_gap(x.high, x.value) for x in rows]]
            face = "white" if colour == GREY else colour
            style = {"fmt": "o", "ms": 5.5, "color": colour, "capsize": 2.5, "lw": 1.4}
            values = [x.value for x in rows]
            axes.errorbar(values, places, xerr=ends, markerfacecolor=face, **style)
        axes.axvline(0, color=DARK, lw=0.8, zorder=0)
        axes.set_yticks(range(len(panel.rows)), [wrap(label, 34) for label, _ in panel.rows])
        axes.set_ylim(len(panel.rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#E4E4E4", lw=0.6)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.set_title(wrap(panel.title, 80, 1), loc="left", fontsize=9.5, weight="bold")
    grid[-1].set_xlabel(unit)
    _heading(figure, title, subtitle)
    return figure


def along(
    title: str,
    subtitle: str,
    panels: Sequence[Panel],
    labels: tuple[str, str],
    ticks: Mapping[float, str],
    notes: Mapping[tuple[str, float], str] | None = None,
) -> Figure:
    """Draw values with intervals along a logarithmic x, a colour and marker per series.

    A marker is filled if the value is significant.

    Panels are side by side; `notes` are short texts next to the point of a series at x.
    """
    panels = [panel for panel in panels if any(panel.series.values())]
    if not panels:
        return note("Nothing to show yet.")
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    height = _HEAD + 0.5 + 2.6 * down
    width = max(6.4, 3.4 * across)
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    for axes, panel in zip(grid, panels, strict=False):
        for name, points in panel.series.items():
            _series(axes, points, names.index(name), name, len(names))
            for x, interval in points:
                if text := (notes or {}).get((name, x)):
                    _note_beside(axes, panel, x, interval.value, text)
        axes.axhline(0, color=DARK, lw=0.8, zorder=0)
        axes.set_xscale("log")
        axes.margins(x=0.12)  # for the notes
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        axes.set_xlabel(labels[0])
        axes.grid(color="#E9E9E9", lw=0.6)
        axes.set_axisbelow(True)
        axes.set_title(wrap(panel.title, 36, 1), loc="left", fontsize=9.5, weight="bold")
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[::across]:
        axes.set_ylabel(labels[1])
    if len(names) > 1:
        handles, shown = grid[0].get_legend_handles_labels()
        figure.legend(handles, shown, loc="outside lower center", ncols=4, frameon=False)
    _heading(figure, title, subtitle)
    return figure


def _series(
    axes: Axes,
    points: Sequence[tuple[float, Interval]],
    number: int,
    name: str,
    count: int,
) -> None:
    """Draw a series, shifted a little, so that the bars of several do not cover each other."""
    shift = number - (count - 1) / 2
    xs = [x * 1.04**shift for x, _ in points]
    ends = [[_gap(p.value, p.low) for _, p in points], [_gap(p.high, p.value) for _, p in points]]
    colour, marker = OKABE_ITO[number % len(OKABE_ITO)], MARKERS[number % len(MARKERS)]
    style = {"color": colour, "marker": marker, "ms": 5, "lw": 1.3, "capsize": 2.5}
    axes.errorbar(xs, [p.value for _, p in points], yerr=ends, label=wrap(name, 28, 1), **style)
    open_ = [(x, p.value) for x, (_, p) in zip(xs, points, strict=True) if not p.significant]
    if open_:
        style |= {"lw": 0, "markerfacecolor": "white", "zorder": 3}
        axes.plot(*zip(*open_, strict=True), **{k: v for k, v in style.items() if k != "capsize"})


def _note_beside(axes: Axes, panel: Panel, x: float, value: float, text: str) -> None:
    """Write a text right of a point, above or below it, so that texts of two series do not meet."""
    here = [p.value for points in panel.series.values() for at, p in points if at == x]
    axes.annotate(
        text,
        (x, value),
        xytext=(7, -12 if value < sum(here) / len(here) else 5),
        textcoords="offset points",
        size=7,
        color=SLATE,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def _gap(upper: float, lower: float) -> float:
    """Length of an error bar; 0 without an interval."""
    return max(0.0, upper - lower) if math.isfinite(upper - lower) else 0.0


def _heading(figure: Figure, title: str, subtitle: str) -> None:
    """Write title and subtitle above the panels, at the left."""
    width, height = figure.get_size_inches()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.72 / height), h_pad=0.08)
    style = {"ha": "left", "va": "top", "x": 0.02}
    figure.text(y=1 - 0.14 / height, s=title, fontsize=12.5, weight="bold", color=DARK, **style)
    figure.text(
        y=1 - 0.42 / height, s=wrap(subtitle, int(width * 14.5)), fontsize=8.5, color=SLATE, **style
    )
