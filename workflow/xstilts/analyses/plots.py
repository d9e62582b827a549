"""The two kinds of figures of an answer: intervals in rows, and values along an axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from xstilts.results.colours import GAIN, GREY, LOSS, RULE, SERIES
from xstilts.results.drawing import COLUMN, LINE, PAGE, TEXT, Canvas, Drawing, note, width, wrap
from xstilts.results.statistics import Interval

FILLED = "Filled: significant, as the simultaneous CI excludes zero."
NOTHING = "Nothing to show yet."
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p"]
_ROW, _HEAD, _FOOT, _EDGE = 0.155, 0.22, 0.42, 0.06  # inches
_LONGEST_NAME, _ACROSS = 1.5, 5  # inches; panels of rows side by side
_BESIDE = 3  # panels of values along an axis side by side


@dataclass(frozen=True)
class Panel:
    """One part of a figure: label -> interval; of `along`, series -> x -> interval."""

    title: str
    rows: Sequence[tuple[str, Interval]] = ()
    series: Mapping[str, Sequence[tuple[float, Interval]]] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Labels of the rows."""
        return [label for label, _ in self.rows]


def intervals(caption: str, panels: Sequence[Panel], unit: str) -> Drawing:
    """Draw a dot with its interval per row, with a line at zero, on one axis for all panels.

    Panels are below each other in a column; where that is longer than a page and they have the
    same rows, they are side by side. A dot is filled if it is significant; its colour is its sign.
    """
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        return note(NOTHING)
    across = 1
    if all(panel.labels == panels[0].labels for panel in panels):
        fitting = (n for n in range(1, _ACROSS) if _height(panels, n) <= PAGE)
        across = min(next(fitting, _ACROSS), len(panels))
    names = [wrap(label, _LONGEST_NAME) for panel in panels for label in panel.labels]
    left = _EDGE + max(map(width, names)) + 0.08
    canvas = Canvas(COLUMN if across == 1 else TEXT, _height(panels, across))
    size = (canvas.width - left - _EDGE) / across
    reach, clipped = _reach([interval for panel in panels for _, interval in panel.rows])
    head = _HEAD * any(panel.title for panel in panels)
    top = _EDGE
    for start in range(0, len(panels), across):
        beside = panels[start : start + across]
        height = len(beside[0].rows) * _row(panels)
        for place, panel in enumerate(beside):
            axes = canvas.axes(left + place * size, top + head, size - 0.08 * (across > 1), height)
            _rows(axes, panel, reach, is_first=place == 0)
            axes.set_title(wrap(panel.title, size, 1), loc="left", weight="bold", pad=3)
            is_last = across > 1 or start + 1 == len(panels)
            axes.tick_params(axis="x", labelbottom=is_last)
            axes.set_xlabel(unit if is_last else "", labelpad=2)
        top += head + height + (_FOOT if across > 1 else 0.06)
    arrows = " Arrowheads: the CI goes beyond the axis." * clipped
    return Drawing(canvas.figure, caption + arrows)


def _height(panels: Sequence[Panel], across: int) -> float:
    rows = [len(panel.rows) for panel in panels[::across]]
    between = _FOOT if across > 1 else 0.06
    head = _HEAD * any(panel.title for panel in panels)
    return _EDGE + sum(rows) * _row(panels) + len(rows) * (head + between) + _FOOT - between


def _row(panels: Sequence[Panel]) -> float:
    """Height of a row; taller if a label needs two lines."""
    labels = (label for panel in panels for label in panel.labels)
    return _ROW + LINE * any(width(label) > _LONGEST_NAME for label in labels)


def _reach(intervals: Sequence[Interval]) -> tuple[tuple[float, float], bool]:
    """Return the ends of the axis, and whether an interval goes beyond them.

    All values are shown, but an interval that is far wider than most is truncated: it would flatten
    the others.
    """
    values = [abs(x.value) for x in intervals if math.isfinite(x.value)]
    ends = [end for x in intervals for end in (x.low, x.high) if math.isfinite(end)]
    # the third quartile of the ends; 1.7 times that is room for all but the widest intervals
    typical = sorted(abs(end) for end in ends)[int(len(ends) * 0.75)] if ends else 1.0
    most = max(1.15 * max(values, default=1.0), 1.7 * typical, 0.5)
    low, high = (min([0, *ends, *map(_value, intervals)]), max([0, *ends, *map(_value, intervals)]))
    margin = 0.04 * (min(high, most) - max(low, -most)) + 0.05
    return (max(low, -most) - margin, min(high, most) + margin), low < -most or high > most


def _value(interval: Interval) -> float:
    return interval.value if math.isfinite(interval.value) else 0.0


def _rows(axes: Axes, panel: Panel, reach: tuple[float, float], is_first: bool) -> None:
    """Draw the rows of a panel; their labels are at the first of those beside each other."""
    low, high = reach
    for place, (_, interval) in enumerate(panel.rows):
        colour = GAIN if interval.value >= 0 else LOSS
        face = colour if interval.significant else "white"
        if math.isfinite(interval.low):
            axes.hlines(place, max(interval.low, low), min(interval.high, high), colour, lw=1)
            cut = {"<": (low, interval.low < low), ">": (high, interval.high > high)}
            for marker, (end, is_cut) in cut.items():
                if is_cut:
                    axes.plot(end, place, marker, color=colour, ms=3, clip_on=False)
        axes.plot(interval.value, place, "o", color=colour, markerfacecolor=face, ms=3.6, mew=0.9)
    axes.axvline(0, color=GREY, lw=0.7, zorder=0)
    labels = [wrap(label, _LONGEST_NAME) for label in panel.labels] if is_first else []
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=reach, ylim=(len(panel.rows) - 0.4, -0.6), axisbelow=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE, lw=0.5)
    axes.spines["left"].set_visible(False)


def along(
    caption: str, panels: Sequence[Panel], labels: tuple[str, str], ticks: Mapping[float, str]
) -> Drawing:
    """Draw values with intervals along a logarithmic x, a colour and marker per series.

    A marker is filled if the value is significant. Points are not joined: nothing is known between
    them. Panels are side by side.
    """
    panels = [panel for panel in panels if any(panel.series.values())]
    if not panels:
        return note(NOTHING)
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    down = math.ceil(len(panels) / _BESIDE)
    across = math.ceil(len(panels) / down)  # rows of equal length: four are two and two
    size = (COLUMN if across == 1 else TEXT, 1.55 * down + 0.3 + LINE * math.ceil(len(names) / 3))
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        for name, points in panel.series.items():
            _series(axes, points, names.index(name), name, len(names))
        axes.axhline(0, color=GREY, lw=0.7, zorder=0)
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.set_xticks(list(ticks), _spaced(ticks))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        axes.grid(axis="y", color=RULE, lw=0.5)
        axes.set_axisbelow(True)
        axes.set_title(wrap(panel.title, size[0] / across, 2), loc="left", weight="bold")
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for place, axes in enumerate(grid[: len(panels)]):
        is_lowest = place + across >= len(panels)  # also above the gap in an incomplete last row
        axes.tick_params(axis="x", labelbottom=is_lowest)
        axes.set_xlabel(labels[0] if is_lowest else "")
        axes.set_ylabel("" if place % across else labels[1])
    if len(names) > 1:
        handles, shown = grid[0].get_legend_handles_labels()
        columns = 3 if across > 1 else 2
        figure.legend(handles, shown, loc="outside lower center", ncols=columns, frameon=False)
    return Drawing(figure, caption)


def _spaced(ticks: Mapping[float, str]) -> list[str]:
    """Return the labels of ticks; those too near the last one shown are left out."""
    ends = [math.log10(x) for x in ticks]
    least, shown, last = (max(ends) - min(ends)) / 7, [], -math.inf
    for place, label in zip(ends, ticks.values(), strict=True):
        shown.append(label if place - last >= least else "")
        last = place if shown[-1] else last
    return shown


def _series(
    axes: Axes, points: Sequence[tuple[float, Interval]], number: int, name: str, count: int
) -> None:
    """Draw a series, shifted a little, so that the bars of several do not cover each other."""
    xs = [x * 1.05 ** (number - (count - 1) / 2) for x, _ in points]
    colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
    bars = [(x, p) for x, (_, p) in zip(xs, points, strict=True) if math.isfinite(p.low)]
    if bars:
        at, known = zip(*bars, strict=True)
        axes.vlines(at, [p.low for p in known], [p.high for p in known], colors=colour, lw=0.9)
    for significant in (True, False):
        own = [
            (x, p.value)
            for x, (_, p) in zip(xs, points, strict=True)
            if p.significant == significant
        ]
        face = {"markerfacecolor": colour if significant else "white"}
        style = {"color": colour, "marker": marker, "ms": 3.8, "mew": 0.9, "lw": 0}
        axes.plot(*(zip(*own, strict=True) if own else ([], [])), **style, **face, label=None)
    axes.plot([], [], marker, color=colour, ms=3.8, label=wrap(name, TEXT / _BESIDE - 0.4, 1))
