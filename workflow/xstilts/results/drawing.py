"""Common parts of all figures: sizes and fonts of a paper, wrapped labels, files of equal bytes.

Lengths are in inches. A figure is as wide as a column or as the text of a paper, so that it goes
into one unchanged; its caption is a text of its own, not part of the drawing.
"""

import io
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

COLUMN, TEXT, PAGE = 3.25, 6.75, 9.0  # widths of a column and of the text, height of a page
POINTS, LINE = 7, 0.115  # size of all texts, and the height of a line
DPI, LONGEST = 300, 20_000  # of a PNG: dots per inch, and the most dots along a side
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": POINTS,
    **dict.fromkeys(["axes.titlesize", "axes.labelsize", "legend.fontsize"], POINTS),
    **dict.fromkeys(["xtick.labelsize", "ytick.labelsize"], POINTS),
    **dict.fromkeys(["axes.linewidth", "xtick.major.width", "ytick.major.width"], 0.5),
    **dict.fromkeys(["xtick.major.size", "ytick.major.size"], 2),
    "text.parse_math": False,  # a label may hold a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # journals refuse the default
    "svg.hashsalt": "xstilts",
    "hatch.linewidth": 0.4,
}
METADATA = {
    "pdf": dict.fromkeys(["CreationDate", "Creator", "Producer"]),
    "svg": dict.fromkeys(["Date", "Creator"]),
    "png": {"Software": None},
}


class Drawing(NamedTuple):
    """A figure and its caption."""

    figure: Figure
    caption: str


def render(draw: Callable[[], Drawing]) -> Iterator[tuple[str, bytes]]:
    """Yield (ending, file content) of a drawing and its caption; equal for equal results."""
    with style.context(["default", STYLE]):
        figure, caption = draw()
        yield "txt", f"{caption}\n".encode()
        dpi = min(DPI, LONGEST / max(figure.get_size_inches()))
        for kind, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
            yield kind, buffer.getvalue()


class Canvas:
    """A figure measured in inches from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), facecolor="white")
        self.width, self.height = width, height

    def axes(self, left: float, top: float, width: float, height: float, **style: object) -> Axes:
        """Return new axes; the box holds the plotting area alone, without tick labels."""
        bottom = self.height - top - height
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box, **style)

    def text(self, left: float, top: float, text: str, **style: object) -> None:
        """Write a text whose top left corner is given."""
        self.figure.text(left / self.width, 1 - top / self.height, text, va="top", **style)


def note(text: str) -> Drawing:
    """Return the drawing of a study that has nothing to draw: the reason in words."""
    canvas = Canvas(COLUMN, 0.5)
    canvas.text(0.1, 0.15, wrap(text, COLUMN - 0.2))
    return Drawing(canvas.figure, text)


@cache
def _font(weight: str):
    return get_font(findfont(f"DejaVu Sans:weight={weight}"))


@cache
def width(text: str, weight: str = "normal") -> float:
    """Return the width of the longest line of a text in inches."""
    font = _font(weight)
    font.set_size(POINTS, 72)

    def points(line: str) -> float:
        font.set_text(line)
        return font.get_width_height()[0] / 64

    return max(map(points, text.split("\n"))) / 72


def wrap(label: str, room: float, lines: int = 2) -> str:
    """Return a label in at most `lines` lines that fit in `room` inches, truncated if longer."""
    for count in range(min(len(label), int(lines * room / 0.02)), 3, -1):
        parts = textwrap.wrap(label, count, max_lines=lines, placeholder=" …")
        if width("\n".join(parts)) <= room:
            return "\n".join(parts)
    return label[:3]


def ink(face: tuple[float, ...]) -> str:
    """Return black or white, whichever contrasts more with the colour `face` (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in face[:3]]
    luminance = np.dot(linear, (0.2126, 0.7152, 0.0722))
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"
