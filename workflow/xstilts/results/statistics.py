"""The statistics of the analyses, on numpy and scipy: pure functions and `Sample`.

A `Sample` is a quantity that is linear in scores (a score, a gain, a mean of gains, a slope) with
its value in every seed and, for each seed, in bootstrap replicates of the examples. All samples of
a study share the replicates' examples and the seeds, so that differences are paired.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import stats

LEVEL = 0.95
REPLICATES = 1000
_SEED = 20200513
_BLOCK = 1 << 24  # bootstrap weights that are in memory at once


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its 95 % interval and a two-sided p against zero.

    NaN where there is nothing to estimate it from.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside of the interval; false without one."""
        return self.low > 0 or self.high < 0


NOTHING = Interval(np.nan)


@dataclass(frozen=True, eq=False)
class Sample:
    """A quantity's value in each seed [seeds], and in replicates of examples [replicates, seeds].

    A seed that is not there yet is NaN, and so it stays in every combination with others.
    `examples` is None where no scores of single examples are known. `runs` are the terms of
    `by_seed` by what was trained: two keys are trainings apart, which chance makes differ on its
    own; without it all is one.
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
        """The seeds that there are."""
        return self.by_seed[~np.isnan(self.by_seed)]

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Over seeds; NaN without any."""
        return float(self.values.mean()) if self.seeds else np.nan

    @cached_property
    def interval(self) -> Interval:
        """The 95 % interval of the mean over seeds, for new seeds and new examples alike.

        One seed: for examples only, and for this training only.
        """
        variance, freedom = self.error
        if np.isnan(variance):
            return Interval(self.mean)
        return t_interval(self.mean, float(np.sqrt(variance)), freedom)

    @cached_property
    def error(self) -> tuple[float, float]:
        """Variance of the mean over seeds, NaN where nothing tells it, and degrees of freedom.

        Seeds and examples are crossed random effects: Var = Σ s²/S + V − I/S, with s² the variance
        of each of `runs` over S seeds, V that of the mean over bootstrap replicates of the
        examples, and I that of their interaction, which both of the former hold. The degrees of
        freedom are those of Welch (1947) and Satterthwaite (1946): between S − 1 and S − 1 for
        each of `runs` if only seeds vary, more if examples do. Runs of one seed count as
        independent; if they go up and down together, the interval of a difference is too wide,
        never too narrow.
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
                each = kept.var(axis=0, ddof=1).mean()
                interaction = max(0.0, each - examples) / (count - 1)
        variance = max(seeds + examples - interaction, seeds, examples)
        freedom = (count - 1) * variance**2 / (parts**2).sum() if seeds > 0 else np.inf
        return variance, freedom

    def replicates(self, draws: np.ndarray) -> np.ndarray:
        """Bootstrap replicates of the mean over seeds and examples; `draws` from `seed_draws`."""
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
    """The weighted sum of samples, of which there is one at least."""
    terms = [sample * weight for sample, weight in zip(samples, weights, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def mean(samples: Sequence[Sample]) -> Sample:
    """The unweighted mean of samples."""
    return combine(samples, [1 / len(samples)] * len(samples))


def random_mean(samples: Sequence[Sample]) -> Interval:
    """The mean of samples that are drawn, too: of languages or chains, for others of their kind.

    Its variance is s²/G, with s² between the means of G samples, and that with these samples fixed.
    Both hold what varies within a sample, so that the interval is rather too wide. Student's t with
    Satterthwaite's degrees of freedom. One sample: its own interval.
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
    spread = sum(part**2 / own for part, own in parts if part > 0)
    return t_interval(total.mean, float(np.sqrt(variance)), variance**2 / spread)


def slope_weights(x: Sequence[float]) -> np.ndarray:
    """Weights that make of values at `x` the slope of their least-squares line."""
    centred = np.asarray(x, float) - np.mean(x)
    return centred / (centred @ centred)


def t_interval(value: float, error: float, freedom: float) -> Interval:
    """Interval and p from a standard error and Student's t; without error, the value alone."""
    if not error > 0:
        return Interval(value, value, value, 1.0 if value == 0 else np.nan)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom))
    return Interval(value, value - half, value + half, p)


def mean_interval(values: Sequence[float]) -> Interval:
    """Student's interval of the mean of independent values; NaN ends below two."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return Interval(float(values.mean())) if len(values) else NOTHING
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return t_interval(float(values.mean()), error, len(values) - 1)


def line_interval(x: Sequence[float], y: Sequence[float]) -> Interval:
    """Student's interval of a least-squares slope, by the residuals.

    NaN ends below three points.
    """
    if len(x) < 3:
        return Interval(float(slope_weights(x) @ np.asarray(y, float)))
    line = stats.linregress(x, y)
    return t_interval(float(line.slope), float(line.stderr), len(x) - 2)


# ------------------------------------------------------------------------------------ bootstrap


def ratio_replicates(
    groups: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], replicates: int = REPLICATES
) -> list[np.ndarray]:
    """Bootstrap replicates of 100 Σ top / Σ bottom, per group, an array [replicates, systems].

    A group (a language) is (codes of its examples [n], top [n, systems], bottom [n, systems]).
    Examples get Poisson(1) weights, the same for all systems, and, where groups share a code, in
    all groups: the translations of one example are drawn together. Where equal codes are not the
    same example this does no harm: independent values stay uncorrelated. An undefined ratio is 0.
    """
    random = np.random.default_rng(_SEED)
    count = 1 + max(int(codes.max()) for codes, _, _ in groups)
    blocks: list[list[np.ndarray]] = [[] for _ in groups]
    step = max(1, _BLOCK // count)
    for start in range(0, replicates, step):
        size = (min(step, replicates - start), count)
        weights = random.poisson(1.0, size).astype(np.float32)
        for found, (codes, top, bottom) in zip(blocks, groups, strict=True):
            chosen = weights[:, codes]
            sums, totals = chosen @ top.astype(np.float32), chosen @ bottom.astype(np.float32)
            found.append(100 * np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0))
    return [np.concatenate(found) for found in blocks]


def seed_draws(seeds: int, replicates: int = REPLICATES) -> np.ndarray:
    """Uniform numbers [replicates, seeds - 1] that `Sample.replicates` draws seeds by.

    Of S seeds S − 1 are drawn, with replacement: S draws would give a variance that is
    (S − 1) / S of the true one (Rao and Wu 1988), a half of it for two seeds.
    """
    return np.random.default_rng(_SEED + 1).random((replicates, max(seeds - 1, 1)))


@dataclass(frozen=True)
class Rank:
    """A system's place, 1 the best: 95 % of the replicates lie in low … high."""

    rank: int
    low: int
    high: int
    best: float  # share of the replicates in which it is first


def ranking(samples: Sequence[Sample]) -> list[Rank]:
    """Places of systems by their mean, with the bootstrap over examples and seeds as doubt."""
    draws = seed_draws(len(samples[0].by_seed))
    values = np.stack([sample.replicates(draws) for sample in samples], axis=1)
    ranks = stats.rankdata(-values, axis=1, method="min")
    place = stats.rankdata([-sample.mean for sample in samples], method="min").astype(int)
    low, high = np.percentile(ranks, [2.5, 97.5], axis=0, method="nearest").astype(int)
    shares = (ranks == 1).mean(axis=0)
    return [
        Rank(*map(int, row), float(b)) for *row, b in zip(place, low, high, shares, strict=True)
    ]


# ------------------------------------------------------------------------------ tests and effects


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's (1979) corrected p of a family of tests; NaN is no test and stays NaN."""
    p = np.asarray(p, float)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def cohen_h(score: float, other: float) -> float:
    """Cohen's h of two scores in percent: 0.2 is small, 0.5 medium, 0.8 large (Cohen 1988).

    The difference of arcsine-transformed shares; for F1 it is a scale, not a distribution.
    """
    first, second = (2 * np.arcsin(np.sqrt(np.clip(x, 0, 100) / 100)) for x in (score, other))
    return float(first - second)


def permutation_p(statistic: Callable[[np.ndarray], float], groups: Sequence[int]) -> float:
    """One-sided p of a statistic of group labels when these are exchangeable (large is extreme)."""
    groups = np.asarray(groups)
    random = np.random.default_rng(_SEED)
    observed = statistic(groups)
    found = [statistic(random.permutation(groups)) for _ in range(REPLICATES * 2 - 1)]
    return float((1 + np.sum(np.asarray(found) >= observed * (1 - 1e-12))) / (1 + len(found)))


# --------------------------------------------------------------------------- variance, agreement


@dataclass(frozen=True)
class Components:
    """Variance between and within groups, and the share of the first with its 95 % interval."""

    between: float
    within: float
    share: Interval


def variance_components(groups: Sequence[Sequence[float]]) -> Components:
    """One-way random effects by the analysis of variance; NaN where groups have one value each.

    Negative estimates of the variance between groups are 0. The interval of the share is the exact
    one of balanced groups (Searle 1971), with the mean group size if they are not.
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
    """Spearman's correlation; interval by Fisher's z with Bonett and Wright's (2000) variance.

    p is exact below nine pairs, else Student's. NaN below three pairs, with a gap or without
    variation; ends are NaN below four pairs, or where the correlation is perfect.
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
    """Agreement of judges [judges, items] on the order of items, 0 to 1, corrected for ties, and p.

    p is by permuting each judge's ranks on its own. NaN below two judges or three items.
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
