"""The statistics of the analyses, on numpy and scipy: pure functions and `Sample`.

A `Sample` is a quantity that is linear in scores (a score, a gain, a mean of gains, a slope): its
value for every seed and, for each seed, its bootstrap replicates over the examples. All samples of
a study use the same seeds and the same replicates, so that differences are paired.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import stats

LEVEL, ALPHA = 0.95, 0.05
REPLICATES = 1000
_SEED = 20200513
BLOCK = 1 << 24  # bootstrap weights in memory at the same time


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % CI and a two-sided p against zero; NaN where the data say nothing."""

    value: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside the interval; false without an interval."""
        return self.low > 0 or self.high < 0


NOTHING = Interval(np.nan)


@dataclass(frozen=True, eq=False)
class Sample:
    """A quantity's value for each seed [seeds], and its replicates over examples.

    A missing seed is NaN, also in every combination with other samples. `examples` has the
    replicates [replicates, seeds]; it is None if scores of single examples are unknown. `runs` are
    the terms of `by_seed`, by training: the values of different keys vary independently. Without
    `runs`, the sample counts as one training.
    """

    by_seed: np.ndarray
    examples: np.ndarray | None
    runs: Mapping[Hashable, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        if not self.runs:
            object.__setattr__(self, "runs", {None: self.by_seed})

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
        """95 % CI of the mean over seeds, for new seeds and new examples.

        With one seed it is for new examples only, and holds for this training only.
        """
        variance, freedom = self.error
        if np.isnan(variance):
            return Interval(self.mean)
        return t_interval(self.mean, float(np.sqrt(variance)), freedom)

    @cached_property
    def error(self) -> tuple[float, float]:
        """Variance of the mean over seeds (NaN if unknown), and its degrees of freedom.

        Seeds and examples are crossed random effects: Var = Σ s²/S + V − I/S, where s² is the
        variance of each of `runs` over S seeds, V the variance of the mean over bootstrap
        replicates, and I the variance of their interaction, which is part of both s² and V. The
        degrees of freedom are those of Welch (1947) and Satterthwaite (1946). If only seeds vary,
        they are between S − 1 and S − 1 times the number of `runs`; otherwise they are higher.
        Runs with the same seed are taken as independent. If they are positively correlated, the
        CI of a difference is too wide, never too narrow.
        """
        count = self.seeds
        if not count or (count == 1 and self.examples is None):
            return np.nan, np.nan
        here = ~np.isnan(self.by_seed)
        parts = np.zeros(1)
        if count > 1:
            parts = np.array([run[here].var(ddof=1) / count for run in self.runs.values()])
        seeds, examples, interaction = float(parts.sum()), 0.0, 0.0
        if self.examples is not None:
            kept = self.examples[:, here]
            examples = float(kept.mean(axis=1).var(ddof=1))
            if count > 1:
                single = kept.var(axis=0, ddof=1).mean()
                interaction = max(0.0, single - examples) / (count - 1)
        variance = max(seeds + examples - interaction, seeds, examples)
        freedom = (count - 1) * variance**2 / (parts**2).sum() if seeds > 0 else np.inf
        return variance, freedom

    def replicates(self, draws: np.ndarray) -> np.ndarray:
        """Return bootstrap replicates of the mean; `draws` come from `seed_draws`."""
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
    fixed, freedom = total.error
    between = np.var([sample.mean for sample in samples], ddof=1) / groups if groups > 1 else 0.0
    if not between > 0:
        return total.interval
    parts = [(float(between), groups - 1), (0.0 if np.isnan(fixed) else fixed, freedom)]
    variance = sum(part for part, _ in parts)
    inverse = sum(part**2 / own for part, own in parts if part > 0)
    return t_interval(total.mean, float(np.sqrt(variance)), variance**2 / inverse)


def slope_weights(x: Sequence[float]) -> np.ndarray:
    """Weights whose sum with the values at `x` is the slope of the least-squares line."""
    centred = np.asarray(x, float) - np.mean(x)
    return centred / (centred @ centred)


def t_interval(value: float, error: float, freedom: float) -> Interval:
    """Return the CI and p by Student's t; without a standard error, the value alone."""
    if not error > 0:
        return Interval(value, value, value, 1.0 if value == 0 else np.nan)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom))
    return Interval(value, value - half, value + half, p)


def mean_interval(values: Sequence[float]) -> Interval:
    """Return Student's CI of the mean of independent values; NaN ends below two values."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return Interval(float(values.mean())) if len(values) else NOTHING
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return t_interval(float(values.mean()), error, len(values) - 1)


def line_interval(x: Sequence[float], y: Sequence[float]) -> Interval:
    """Return Student's CI of a least-squares slope from its residuals; NaN ends below 3 points."""
    if len(x) < 3:
        return Interval(float(slope_weights(x) @ np.asarray(y, float)))
    line = stats.linregress(x, y)
    return t_interval(float(line.slope), float(line.stderr), len(x) - 2)


# ------------------------------------------------------------------------------------ bootstrap


def ratio_replicates(
    groups: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], replicates: int = REPLICATES
) -> list[np.ndarray]:
    """Return bootstrap replicates of 100 Σ top / Σ bottom: [replicates, systems] per group.

    A group (a language) is (codes of its examples [n], top [n, systems], bottom [n, systems]).
    An example has the same Poisson(1) weight for all systems and for all groups that share its
    code, so the translations of an example are drawn together. If equal codes are different
    examples, this does no harm: independent values stay uncorrelated. An undefined ratio is 0.
    """
    random = np.random.default_rng(_SEED)
    count = 1 + max(int(codes.max()) for codes, _, _ in groups)
    blocks: list[list[np.ndarray]] = [[] for _ in groups]
    step = max(1, BLOCK // count)
    for start in range(0, replicates, step):
        size = (min(step, replicates - start), count)
        weights = random.poisson(1.0, size).astype(np.float32)
        for block, (codes, top, bottom) in zip(blocks, groups, strict=True):
            chosen = weights[:, codes]
            sums, totals = chosen @ top.astype(np.float32), chosen @ bottom.astype(np.float32)
            block.append(100 * np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0))
    return [np.concatenate(block) for block in blocks]


def seed_draws(seeds: int, replicates: int = REPLICATES) -> np.ndarray:
    """Return uniform numbers [replicates, seeds - 1], by which `Sample.replicates` draws seeds.

    S − 1 of S seeds are drawn, with replacement. S draws would give (S − 1) / S of the true
    variance (Rao and Wu 1988), which is a half for two seeds.
    """
    return np.random.default_rng(_SEED + 1).random((replicates, max(seeds - 1, 1)))


@dataclass(frozen=True)
class Rank:
    """A system's rank, 1 for the best; 95 % of the replicates are from low to high."""

    rank: int
    low: int
    high: int
    best: float  # share of the replicates in which it is first


def ranking(samples: Sequence[Sample]) -> list[Rank]:
    """Return the ranks of systems by their mean, with ranges from the bootstrap."""
    draws = seed_draws(len(samples[0].by_seed))
    values = np.stack([sample.replicates(draws) for sample in samples], axis=1)
    ranks = stats.rankdata(-values, axis=1, method="min")
    observed = stats.rankdata([-sample.mean for sample in samples], method="min").astype(int)
    low, high = np.percentile(ranks, [2.5, 97.5], axis=0, method="nearest").astype(int)
    shares = (ranks == 1).mean(axis=0)
    return [
        Rank(*map(int, row), float(b)) for *row, b in zip(observed, low, high, shares, strict=True)
    ]


# ------------------------------------------------------------------------------ tests and effects


def holm(p: Sequence[float]) -> np.ndarray:
    """Return Holm's (1979) corrected p of a family of tests; NaN stays NaN and does not count."""
    p = np.asarray(p, float)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def cohen_h(score: float, other: float) -> float:
    """Cohen's h of two scores in percent: 0.2 is small, 0.5 medium, 0.8 large (Cohen 1988).

    It is the difference of arcsine-transformed shares. For F1 it is only a scale, because F1 is not
    a share.
    """
    first, second = (2 * np.arcsin(np.sqrt(np.clip(x, 0, 100) / 100)) for x in (score, other))
    return float(first - second)


def permutation_p(statistic: Callable[[np.ndarray], float], groups: Sequence[int]) -> float:
    """Return the one-sided p of a statistic of exchangeable group labels (large is extreme)."""
    groups = np.asarray(groups)
    random = np.random.default_rng(_SEED)
    observed = statistic(groups)
    permuted = [statistic(random.permutation(groups)) for _ in range(REPLICATES * 2 - 1)]
    hits = np.sum(np.asarray(permuted) >= observed * (1 - 1e-12))
    return float((1 + hits) / (1 + len(permuted)))


# --------------------------------------------------------------------------- variance, agreement


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


def kendall_w(table: np.ndarray) -> tuple[float, float]:
    """Return Kendall's W, the agreement of judges [judges, items] on the order of items, and p.

    W is 0 to 1 and corrected for ties; p is from permuting the ranks of each judge. Both are NaN
    below two judges or three items.
    """
    table = np.asarray(table, float)
    judges, items = table.shape if table.ndim == 2 else (0, 0)
    if judges < 2 or items < 3:
        return np.nan, np.nan
    ranks = stats.rankdata(table, axis=1)
    ties = sum((np.unique(row, return_counts=True)[1] ** 3).sum() - items for row in ranks)
    scale = judges**2 * (items**3 - items) - judges * ties
    if scale == 0:
        return np.nan, np.nan

    def agreement(ranks: np.ndarray) -> np.ndarray:
        totals = ranks.sum(axis=-2)
        return 12 * ((totals - totals.mean(-1, keepdims=True)) ** 2).sum(-1) / scale

    observed = float(agreement(ranks))
    random = np.random.default_rng(_SEED)
    shuffled = random.permuted(np.broadcast_to(ranks, (1999, judges, items)), axis=2)
    hits = np.sum(agreement(shuffled) >= observed * (1 - 1e-12))
    return observed, float((1 + hits) / 2000)
