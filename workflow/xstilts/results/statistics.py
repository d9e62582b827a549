"""The statistics of the analyses, on numpy and scipy: pure functions and `Sample`.

A `Sample` is a quantity that is linear in scores (a score, a gain, a mean of gains, a slope): its
value for every seed and, for each seed, its bootstrap replicates over the examples. All samples of
a study use the same seeds and the same replicates, so that differences are paired.
`verdicts` has the rule by which intervals become verdicts.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import special, stats

LEVEL, ALPHA = 0.95, 0.05


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % CI and a two-sided p against zero; NaN where the data say nothing.

    `p_adjusted` is corrected over a family of intervals; then `low` and `high` are simultaneous.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    error: float = np.nan  # standard error
    freedom: float = np.inf
    known: float = 0.0  # part of the variance that needs no degrees of freedom
    p_adjusted: float = np.nan

    @property
    def significant(self) -> bool:
        """Whether the simultaneous CI excludes zero; false before the correction.

        Of a value without standard error, such as a share of variance, its own test decides.
        """
        return self.p_adjusted < ALPHA


NOTHING = Interval(np.nan)


class Error(NamedTuple):
    """The variance of a sample's mean: total, degrees of freedom, and its parts."""

    variance: float
    freedom: float  # of the runs' variance
    by_run: Mapping[Hashable, float]  # variance from run to run, by key of `runs`

    @property
    def seeds(self) -> float:
        """Variance of the mean that more seeds reduce."""
        return sum(self.by_run.values())

    @property
    def examples(self) -> float:
        """The rest, which only more test examples reduce."""
        return self.variance - self.seeds


UNKNOWN = Error(np.nan, np.nan, {})


@dataclass(frozen=True, eq=False)
class Sample:
    """A quantity's value for each seed [seeds], and its replicates over examples.

    A missing seed is NaN, also in every combination with other samples. `examples` has the
    replicates [replicates, seeds]; it is None if scores of single examples are unknown.

    `runs` are the terms of `by_seed`, by training, such as (model, recipe): the values of different
    keys vary independently. A term is [recipes, seeds]: its own values, then the same quantity of
    other recipes whose runs vary as much. The variance of a run is pooled over these rows. The
    first part of a key names the pool. Without `runs`, the sample counts as one training.
    """

    by_seed: np.ndarray
    examples: np.ndarray | None
    runs: Mapping[Hashable, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        runs = self.runs or {None: self.by_seed}
        object.__setattr__(self, "runs", {key: np.atleast_2d(run) for key, run in runs.items()})

    def __add__(self, other: "Sample") -> "Sample":
        both = self.examples is not None and other.examples is not None
        replicates = self.examples + other.examples if both else None
        runs = dict(self.runs)
        for key, values in other.runs.items():
            runs[key] = runs[key] + values if key in runs else values
        return Sample(self.by_seed + other.by_seed, replicates, runs)

    def __mul__(self, factor: float) -> "Sample":
        replicates = None if self.examples is None else self.examples * factor
        runs = {key: values * factor for key, values in self.runs.items()}
        return Sample(self.by_seed * factor, replicates, runs)

    def __sub__(self, other: "Sample") -> "Sample":
        return self + other * -1

    @property
    def values(self) -> np.ndarray:
        """Values of the seeds that are not missing."""
        return self.by_seed[~np.isnan(self.by_seed)]

    @property
    def seeds(self) -> int:
        """Number of seeds that are not missing."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return float(self.values.mean()) if self.seeds else np.nan

    @cached_property
    def interval(self) -> Interval:
        """95 % CI of the mean over seeds, for new seeds and new examples; no p with one seed.

        One seed borrows the variance of other recipes' runs. Without any, the CI is for new
        examples only, and holds for this training only.
        """
        return self._interval(self.error)

    @cached_property
    def welch(self) -> Interval:
        """The same CI with each training's own variance (Welch 1947); no ends below 3 seeds."""
        return self._interval(self._error(pooled=False)) if self.seeds > 2 else Interval(self.mean)

    def _interval(self, error: Error) -> Interval:
        if np.isnan(error.variance):
            return Interval(self.mean)
        sd = float(np.sqrt(error.variance))
        interval = t_interval(self.mean, sd, error.freedom, error.examples)
        return interval if self.seeds > 1 else replace(interval, p=np.nan)

    def share(self, run: Hashable) -> float:
        """Part of the variance that is due to one of `runs`; 0 if unknown."""
        part = self.error.by_run.get(run, 0.0)
        return min(1.0, part / self.error.variance) if part > 0 else 0.0

    @cached_property
    def error(self) -> Error:
        """Variance of the mean over seeds, NaN if unknown; the runs' variance is pooled."""
        return self._error(pooled=True)

    def _error(self, pooled: bool) -> Error:
        """Return the variance of the mean over seeds.

        Seeds and examples are crossed random effects: Var = Σ s²/S + V − I/S, where s² is the
        variance of each of `runs` over S seeds, V the variance of the mean over bootstrap
        replicates, and I the variance of their interaction, which is part of both s² and V. The
        degrees of freedom are Satterthwaite's (1946), for the runs' variance alone.
        Runs with the same seed are taken as independent. If they are positively correlated, the
        CI of a difference is too wide, never too narrow.
        """
        here = ~np.isnan(self.by_seed)
        count = int(here.sum())
        terms = {k: run_variance(r if pooled else r[:1, here]) for k, r in self.runs.items()}
        known = count and all(freedom for _, freedom in terms.values())
        if not known and (count != 1 or self.examples is None):
            return UNKNOWN
        by_run = {key: variance / count if known else 0.0 for key, (variance, _) in terms.items()}
        seeds, examples, interaction = sum(by_run.values()), 0.0, 0.0
        if self.examples is not None:
            kept = self.examples[:, here]
            examples = float(kept.mean(axis=1).var(ddof=1))
            if count > 1:
                single = kept.var(axis=0, ddof=1).mean()
                interaction = max(0.0, single - examples) / (count - 1)
        variance = max(seeds + examples - interaction, seeds, examples)
        freedom = _satterthwaite(by_run, terms, pooled) if seeds > 0 else np.inf
        return Error(variance, freedom, by_run)

    def replicates(self, draws: np.ndarray) -> np.ndarray:
        """Return bootstrap replicates of the mean; `draws` come from `resampling.seed_draws`."""
        kept = ~np.isnan(self.by_seed)
        count, number = int(kept.sum()), len(draws)
        if self.examples is None:
            drawn = np.broadcast_to(self.by_seed[kept], (number, count))
        else:
            drawn = self.examples[:number, kept]
        if count < 2:
            return drawn[:, 0]
        chosen = (draws[:, : count - 1] * count).astype(int)
        return np.take_along_axis(drawn, chosen, axis=1).mean(axis=1)


def run_variance(rows: np.ndarray) -> tuple[float, int]:
    """Return the variance within rows [recipes, seeds], and its degrees of freedom.

    Missing values are NaN. The variance is pooled over the rows: the sum of squares from the rows'
    means over Σ (seeds − 1).
    """
    known = ~np.isnan(rows)
    counts = known.sum(axis=1, keepdims=True)
    centred = np.where(known, rows, 0)
    centred = np.where(known, rows - centred.sum(axis=1, keepdims=True) / np.maximum(counts, 1), 0)
    freedom = int(np.maximum(counts - 1, 0).sum())
    return (float((centred**2).sum()) / freedom, freedom) if freedom else (np.nan, 0)


def _satterthwaite(
    by_run: Mapping[Hashable, float], terms: Mapping[Hashable, tuple[float, int]], pooled: bool
) -> float:
    """Return the degrees of freedom of a sum of variances.

    Runs of one pool share their estimate, so they count as one, with the fewest of their degrees.
    """
    pools: dict[Hashable, list[Hashable]] = {}
    for key in by_run:
        pools.setdefault(key[0] if pooled and isinstance(key, tuple) else key, []).append(key)
    parts = [
        (sum(by_run[key] for key in keys), min(terms[key][1] for key in keys))
        for keys in pools.values()
    ]
    return sum(part for part, _ in parts) ** 2 / sum(part**2 / own for part, own in parts)


def combine(samples: Sequence[Sample], weights: Iterable[float]) -> Sample:
    """Return the weighted sum of one or more samples."""
    terms = [sample * weight for sample, weight in zip(samples, weights, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def mean(samples: Sequence[Sample]) -> Sample:
    """Return the unweighted mean of samples."""
    return combine(samples, [1 / len(samples)] * len(samples))


def random_mean(samples: Sequence[Sample]) -> Interval:
    """Return the mean of samples that are random themselves, such as languages or chains.

    The variance is s²/G, where s² is the variance between the means of G samples, plus the
    variance with these samples fixed. Both contain the variation within a sample, so the CI is
    rather too wide. It uses Student's t with Satterthwaite's degrees of freedom. A single sample
    keeps its own CI.
    """
    samples = [sample for sample in samples if sample.seeds]
    if not samples:
        return NOTHING
    total, groups = mean(samples), len(samples)
    error = total.error
    between = np.var([sample.mean for sample in samples], ddof=1) / groups if groups > 1 else 0.0
    if not between > 0:
        return total.interval
    parts = [(float(between), groups - 1), (error.seeds, error.freedom)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / own for part, own in parts if part > 0)
    known = 0.0 if np.isnan(error.variance) else error.examples
    interval = t_interval(total.mean, float(np.sqrt(variance + known)), freedom, known)
    return interval if any(sample.seeds > 1 for sample in samples) else replace(interval, p=np.nan)


def t_interval(value: float, error: float, freedom: float, known: float = 0.0) -> Interval:
    """Return the CI and p by Student's t; without a standard error, the value alone.

    `known` is the part of the variance that is known, such as that of the bootstrap. Its quantile
    is the normal one (Banerjee 1960). Satterthwaite's degrees of freedom for the sum would be too
    many if the runs agree by chance: false verdicts were up to four times the nominal ones.
    """
    if not error > 0:
        return Interval(value, value, value, 1.0 if value == 0 else np.nan)
    quantile = t_quantile((1 + LEVEL) / 2, freedom)
    half = half_width(error, known, quantile, t_quantile((1 + LEVEL) / 2, np.inf))
    p = 2 * t_tail(abs(value) / half * quantile, freedom)
    return Interval(value, value - half, value + half, p, error, freedom, known)


def t_quantile(level: float, freedom: float) -> float:
    """Return a quantile of Student's t; much faster than that of scipy.stats."""
    return float(special.ndtri(level) if np.isinf(freedom) else special.stdtrit(freedom, level))


def t_tail(value: float, freedom: float) -> float:
    """Return the probability that Student's t is above a value."""
    return float(special.ndtr(-value) if np.isinf(freedom) else special.stdtr(freedom, -value))


def half_width(error: float, known: float, quantile: float, normal: float) -> float:
    """Return half of a CI's width, from the quantiles for the estimated and the known variance."""
    return float(np.sqrt(quantile**2 * (error**2 - known) + normal**2 * known))


def within(x: Sequence[float], groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Return x [n] minus the mean of its group; one group by default."""
    x = np.asarray(x, float)
    _, group = np.unique(groups or np.zeros(len(x)), return_inverse=True)
    return x - (np.bincount(group, x) / np.bincount(group))[group]


def slope_weights(x: Sequence[float], groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Return the weights [n] whose sum with the values at `x` [n] is their least-squares slope.

    With groups, it is the common slope of parallel lines, one per group (analysis of covariance).
    """
    centred = within(x, groups)
    return centred / (centred @ centred)


def line_interval(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable] | None = None
) -> Interval:
    """Return Student's CI of a (common) slope from residuals; NaN ends without freedom."""
    weights, centred = slope_weights(x, groups), within(x, groups)
    slope = float(weights @ np.asarray(y, float))
    freedom = len(x) - len(set(groups or [None])) - 1
    if freedom < 1:
        return Interval(slope)
    residuals = within(y, groups) - slope * centred
    error = np.sqrt(residuals @ residuals / freedom / (centred @ centred))
    return t_interval(slope, float(error), freedom)


def cohen_h(score: float, other: float) -> float:
    """Cohen's h of two scores in percent: 0.2 is small, 0.5 medium, 0.8 large (Cohen 1988).

    It is the difference of arcsine-transformed shares. For F1 it is only a scale, because F1 is not
    a share.
    """
    first, second = (2 * np.arcsin(np.sqrt(np.clip(x, 0, 100) / 100)) for x in (score, other))
    return float(first - second)


@dataclass(frozen=True)
class Components:
    """Variance between and within groups, and the share of the former with its 95 % CI."""

    between: float
    within: float
    share: Interval


def variance_components(groups: Sequence[Sequence[float]]) -> Components:
    """Return one-way random effects by analysis of variance; NaN if each group has one value.

    A negative estimate of the variance between groups becomes 0. The CI of the share is exact for
    balanced groups (Searle 1971); unbalanced groups use their mean size.
    """
    groups = [np.asarray(group, float) for group in groups if len(group)]
    total, count = sum(map(len, groups)), len(groups)
    if count < 2 or total <= count:
        return Components(np.nan, np.nan, NOTHING)
    grand = np.concatenate(groups).mean()
    between = sum(len(g) * (g.mean() - grand) ** 2 for g in groups) / (count - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (total - count)
    size = (total - sum(len(g) ** 2 for g in groups) / total) / (count - 1)
    variance = max(0.0, (between - within) / size)
    if within == 0:
        return Components(variance, 0.0, Interval(1.0 if variance else np.nan))
    ratio, freedom = between / within, (count - 1, total - count)
    ends = [ratio / stats.f.ppf(q, *freedom) for q in ((1 + LEVEL) / 2, (1 - LEVEL) / 2)]
    low, high = (max(0.0, (end - 1) / (end + size - 1)) for end in ends)
    share = variance / (variance + within)
    return Components(
        variance, within, Interval(share, low, high, float(stats.f.sf(ratio, *freedom)))
    )


def spearman(x: Sequence[float], y: Sequence[float]) -> Interval:
    """Return Spearman's correlation; CI by Fisher's z with Bonett and Wright's (2000) variance.

    p is exact below nine pairs, otherwise Student's. All is NaN below three pairs, with a missing
    value, or without variation; the ends are NaN below four pairs or for a perfect correlation.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 3 or np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return NOTHING
    rho, p = map(float, stats.spearmanr(x, y))
    if len(x) < 9:
        ranks = stats.rankdata(y)
        test = stats.permutation_test(
            (stats.rankdata(x),),
            lambda first: np.corrcoef(first, ranks)[0, 1],
            permutation_type="pairings",
            n_resamples=np.inf,
        )
        p = float(test.pvalue)
    if len(x) < 4 or abs(rho) > 1 - 1e-12:
        return Interval(rho, p=p)
    half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Interval(rho, float(low), float(high), p)
