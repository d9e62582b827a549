"""The bootstrap, ranks and permutation tests against closed forms and counted permutations."""

import numpy as np
import pytest

from xstilts.results.resampling import permutation_p, ranking, ratio_replicates
from xstilts.results.statistics import Sample


def test_bootstrap_has_the_standard_error_of_a_share():
    random = np.random.default_rng(1)
    right = (random.random((500, 2)) < [0.6, 0.8]).astype(float)
    [drawn] = ratio_replicates([(np.arange(500), right, np.ones_like(right))], 2000)
    shares = right.mean(0)
    expected = 100 * np.sqrt(shares * (1 - shares) / 500)
    assert drawn.std(0) == pytest.approx(expected, rel=0.06)
    assert drawn.mean(0) == pytest.approx(100 * shares, abs=0.2)


def test_bootstrap_pairs_systems_and_translations():
    random = np.random.default_rng(1)
    right = (random.random((300, 1)) < 0.7).astype(float)
    codes, ones = np.arange(300), np.ones((300, 2))
    both = np.hstack([right, right])
    first, second, other = ratio_replicates(
        [(codes, both, ones), (codes, both, ones), (codes + 300, both, ones)]
    )
    assert np.array_equal(first[:, 0], first[:, 1])  # a difference of equal systems is nothing
    assert np.array_equal(first, second)  # translations of one example are drawn together
    assert abs(np.corrcoef(first[:, 0], other[:, 0])[0, 1]) < 0.1


def test_a_ratio_of_sums_is_bootstrapped_as_one():
    random = np.random.default_rng(2)
    bottom = random.integers(1, 9, (400, 1)).astype(float)
    top = random.binomial(bottom.astype(int), 0.5).astype(float)
    [drawn] = ratio_replicates([(np.arange(400), top, bottom)], 2000)
    ratio = top.sum() / bottom.sum()
    residual = top - ratio * bottom
    expected = 100 * np.sqrt((residual**2).sum()) / bottom.sum()  # the delta method
    assert drawn.std() == pytest.approx(expected, rel=0.06)


def test_replicates_do_not_depend_on_block_size(monkeypatch):
    groups = [(np.arange(50), np.ones((50, 1)), np.ones((50, 1)) * 2)]
    whole = ratio_replicates(groups, 100)[0]
    monkeypatch.setattr("xstilts.results.resampling.BLOCK", 500)
    assert np.array_equal(whole, ratio_replicates(groups, 100)[0])


def test_ranks_are_certain_only_if_systems_differ():
    def system(value, seed):
        noise = np.random.default_rng(seed).normal(size=(1001, 3))
        return Sample(value + noise[0], value + noise[0] + noise[1:])

    best, twin, other, worst = ranking([system(v, n) for n, v in enumerate([20, 10, 10, 0])])
    assert (best.rank, best.low, best.high, best.best) == (1, 1, 1, 1.0)
    assert (twin.low, twin.high) == (other.low, other.high) == (2, 3)
    assert (worst.rank, worst.low) == (4, 4)


def test_permutation_p_exchanges_orders_within_a_seed():
    table = np.array([[1.0, 11, 21], [2, 12, 22], [3, 13, 23]])  # seeds differ more than orders

    def between(table):
        return np.var(np.mean(table, axis=-1), axis=-1)

    assert permutation_p(between, table) == pytest.approx(1 / 36, abs=0.02)  # 6³ ways, 6 as extreme
    assert permutation_p(between, table[:, ::-1]) < 0.05
    shuffled = np.array([[1.0, 12, 23], [2, 13, 21], [3, 11, 22]])  # all orders have mean 12
    assert permutation_p(between, shuffled) == 1
