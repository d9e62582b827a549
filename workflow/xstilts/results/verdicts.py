"""How a verdict is made: one rule for text, tables, figures, page and terminal.

1. The variance between runs is pooled over the recipes of a model and target that have two or more
   seeds. Welch's interval, with each recipe's own variance, is shown beside it from three seeds.
   The variance over test examples is added from the bootstrap, with a normal quantile.
2. Estimates that are shown together are a family. Their intervals are simultaneous: with 95 %
   probability all of them hold the truth, also that of the estimate that happens to be the largest.
   Gains share the runs of their baseline, as in Dunnett's test (1955); other families use Šidák's
   inequality (1967).
3. An estimate is significant if its simultaneous interval excludes zero. Nothing else decides,
   with one exception: the share of the variance that order explains has a permutation test.
4. One seed gives an interval, borrowed from the runs of other recipes, but no p, rank or verdict.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

from xstilts.results.statistics import LEVEL, Interval, half_width, t_quantile, t_tail

POWER = 0.8  # "in four of five cases"
DEFAULT_SD = 1.5  # points between runs, before any is measured
MOST_SEEDS = 200
STEPS = 20  # correlations are rounded down to multiples of 1/STEPS, so that limits are cached
# The largest correlation that is used: the nodes of `_normal` are too few for .9, where the error
# rate of 20 estimates would be .058. Runs of equal variance are correlated by .5 at most.
CORRELATED = 0.6


def family(
    intervals: Sequence[Interval],
    blocks: Sequence[Hashable] | None = None,
    shared: Sequence[float] | None = None,
) -> list[Interval]:
    """Return intervals with simultaneous ends and adjusted p; those without p stay as they are.

    The members of a block share the runs of a baseline, which are the part `shared` of their
    variance. A block gets its share of the error by its size; the smallest correlation and the
    fewest degrees of freedom in it hold for all, which is conservative.
    """
    tested = [n for n, interval in enumerate(intervals) if not np.isnan(interval.p)]
    blocks = list(range(len(intervals))) if blocks is None else list(blocks)
    shared = [0.0] * len(intervals) if shared is None else list(shared)
    members: dict[Hashable, list[int]] = {}
    for n in tested:
        members.setdefault(blocks[n], []).append(n)
    adjusted = list(intervals)
    for block in members.values():
        correlation = np.floor(STEPS * min(CORRELATED, *(shared[n] for n in block))) / STEPS
        freedom = min(intervals[n].freedom for n in block)
        for n in block:
            adjusted[n] = _simultaneous(intervals[n], len(block), len(tested), freedom, correlation)
    return adjusted


def _simultaneous(
    interval: Interval, size: int, tests: int, freedom: float, correlation: float
) -> Interval:
    """Return an interval of a block of `size` in a family of `tests`, with ends and p adjusted."""
    if np.isnan(interval.error):  # a test without a t statistic, such as a permutation test
        return replace(interval, p_adjusted=1 - (1 - interval.p) ** tests)
    limits = [critical(size, tests, x, correlation) for x in (freedom, np.inf)]
    half = half_width(interval.error, interval.known, *limits)
    inside = all_within(abs(interval.value) / half * limits[0], size, freedom, correlation)
    p = 1 - inside ** (tests / size)
    ends = {"low": interval.value - half, "high": interval.value + half}
    return replace(interval, **ends, p_adjusted=float(max(p, interval.p)))


@cache
def critical(size: int, tests: int, freedom: float, correlation: float = 0.0) -> float:
    """Return the critical |t| of a block of `size` estimates in a family of `tests`."""
    level = LEVEL ** (size / tests)
    if size == 1 or correlation <= 0:
        return t_quantile((1 + level ** (1 / size)) / 2, freedom)
    low, high = (t_quantile((1 + q) / 2, freedom) for q in (level, level ** (1 / size)))
    return float(brentq(lambda t: all_within(t, size, freedom, correlation) - level, low, high))


def all_within(limit: float, size: int, freedom: float, correlation: float = 0.0) -> float:
    """Probability that `size` equally correlated values of Student's t are within ±limit.

    They share their denominator and, for Dunnett's test, the part `correlation` of their variance.
    Without correlation they count as independent, which is Šidák's bound.
    """
    if size == 1 or correlation <= 0:
        return (1 - 2 * t_tail(limit, freedom)) ** size
    scale, scale_weights = _scales(freedom)
    common, common_weights = _normal()
    loading, rest = np.sqrt(correlation), np.sqrt(1 - correlation)
    upper, shift = limit * scale[:, None], loading * common
    inside = special.ndtr((upper - shift) / rest) - special.ndtr((-upper - shift) / rest)
    return float(scale_weights @ (inside**size @ common_weights))


@cache
def _normal() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the expectation over a standard normal value."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    return nodes, weights / weights.sum()


@cache
def _scales(freedom: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the expectation over sqrt(chi² / freedom), dense where it is small."""
    if np.isinf(freedom):
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(32)
    half = (nodes + 1) / 2
    return np.sqrt(stats.chi2.ppf(half**3, freedom) / freedom), weights / 2 * 3 * half**2


# ---------------------------------------------------------------------------------------- power


def detectable(error: float, freedom: float, tests: int = 1, known: float = 0.0) -> float:
    """Return the smallest effect that four of five studies find, in the unit of its `error`.

    `error` is the standard error, and `known` the part of its square that needs no degrees of
    freedom.
    """
    limits = [critical(1, tests, x) for x in (freedom, np.inf)]
    scale, weights = _scales(freedom)
    estimated = 1 - known / error**2
    limit = np.sqrt(limits[0] ** 2 * scale**2 * estimated + limits[1] ** 2 * (1 - estimated))

    def power(shift: float) -> float:
        return float(weights @ (special.ndtr(shift - limit) + special.ndtr(-shift - limit)))

    return error * float(brentq(lambda shift: power(shift) - POWER, 0, 3 * limits[0] + 5))


def gain_power(sd: float, seeds: int, recipes: int = 1, tests: int = 1, folds: int = 1) -> float:
    """Return the smallest gain in points that four of five studies find, from a run's `sd`.

    The run variance is pooled over the recipes and the baseline, which has `folds` runs per seed.
    They are one value in the pool, so more of them add no degrees of freedom.
    """
    error = sd * np.sqrt((1 + 1 / folds) / seeds)
    return detectable(error, (recipes + 1) * (seeds - 1), tests)


def fewest_seeds(least: Callable[[int], float], effect: float = 1.0) -> str:
    """Return the fewest seeds that find an effect, as text; `least` is what a number finds."""
    number = next((n for n in range(2, MOST_SEEDS + 1) if least(n) <= effect), None)
    return f"{number} seeds" if number else f"more than {MOST_SEEDS} seeds, or more test examples"


def stated_power(
    seeds: int,
    recipes: int,
    tests: int,
    sd: float | None = None,
    name: str = "gain",
    folds: int = 1,
) -> str:
    """Return the smallest gain that a design finds, in words; without `sd`, for an assumed one."""
    seeds, recipes = max(2, seeds), max(1, recipes)
    measured = f"the run SD of {sd:.1f} points measured so far" if sd else None
    basis = measured or f"a run SD of {DEFAULT_SD} points (assumed, as none is measured)"

    def least(seeds: int) -> float:
        return gain_power(sd or DEFAULT_SD, seeds, recipes, tests, folds)

    effect = f"{name} of {least(seeds):.1f} points"
    return power_sentence(seeds, basis, effect, fewest_seeds(least))


def power_sentence(seeds: int, basis: str, effect: str, needed: str) -> str:
    """Return the sentence on power that `plan` and every answer have."""
    return (
        f"With {seeds} seeds and {basis}, four of five studies find a {effect}; one point takes "
        f"{needed}."
    )
