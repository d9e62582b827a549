"""Resampling: bootstrap replicates over examples and seeds, ranks, and permutation tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xstilts.results.statistics import Sample

REPLICATES = 1000
_SEED = 20200513
BLOCK = 1 << 24  # bootstrap weights in memory at the same time


def ratio_replicates(
    groups: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    replicates: int = REPLICATES,
    count: int | None = None,
) -> list[np.ndarray]:
    """Return bootstrap replicates of 100 Σ top / Σ bottom: [replicates, systems] per group.

    A group (a language) is (codes of its examples [n], top [n, systems], bottom [n, systems]).
    An example has the same Poisson(1) weight for all systems and for all groups that share its
    code, so the translations of an example are drawn together. If equal codes are different
    examples, this does no harm: independent values stay uncorrelated. An undefined ratio is 0.
    `count` is the number of codes: with the same one, a subset has the weights of the complete set.
    """
    random = np.random.default_rng(_SEED)
    count = count or 1 + max(int(codes.max()) for codes, _, _ in groups)
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


def seed_draws(seeds: int) -> np.ndarray:
    """Return uniform numbers [REPLICATES, seeds - 1], by which `Sample.replicates` draws seeds.

    S − 1 of S seeds are drawn, with replacement. S draws would give (S − 1) / S of the true
    variance (Rao and Wu 1988), which is a half for two seeds.
    """
    return np.random.default_rng(_SEED + 1).random((REPLICATES, max(seeds - 1, 1)))


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


def permuted(table: np.ndarray) -> np.ndarray:
    """Return REPLICATES copies of [orders, seeds], each seed's values permuted on their own.

    Missing values stay where they are.
    """
    random = np.random.default_rng(_SEED)
    copies = np.broadcast_to(table, (REPLICATES, *table.shape)).copy()
    for seed in range(table.shape[1]):
        known = np.flatnonzero(~np.isnan(table[:, seed]))
        copies[:, known, seed] = random.permuted(copies[:, known, seed], axis=1)
    return copies


def permutation_p(statistic: Callable[[np.ndarray], np.ndarray], table: np.ndarray) -> float:
    """Return the one-sided p of a statistic of [..., orders, seeds] if orders do not matter.

    A seed's values are exchanged only with each other, so what a seed's runs share is no evidence.
    """
    hits = np.sum(statistic(permuted(table)) >= statistic(table) * (1 - 1e-12))
    return float((1 + hits) / (1 + REPLICATES))
