"""The colours of all figures and of the page, safe for colour-blind readers."""

import math
from collections.abc import Iterable

SATURATED = 0.95  # share of the gains within the colour scale
# from the largest loss over zero to the largest gain
LOSS, ZERO, GAIN = "#B8432F", "#F3F4F6", "#1F6FB2"
# of a line per recipe, whose values are gains and losses: neither red nor blue
SERIES = ["#009E73", "#CC79A7", "#E69F00", "#222222", "#7B5AA6", "#8C7A3D"]
GREY, PALE, RULE = "#8A8A8A", "#ECECEC", "#E4E4E4"


def limit(values: Iterable[float], least: float = 1.0) -> float:
    """Return the gain at which colours saturate: one outlier does not pale the others.

    SATURATED of the values are no larger in size; it is at least `least`.
    """
    sizes = sorted(abs(value) for value in values if not math.isnan(value))
    return max(least, sizes[math.ceil(SATURATED * (len(sizes) - 1))]) if sizes else least
