"""The statistics against closed forms, other implementations and simulations with a known truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from xstilts.results.resampling import ratio_replicates
from xstilts.results.statistics import (
    Sample,
    cohen_h,
    combine,
    line_interval,
    mean,
    random_mean,
    slope_weights,
    spearman,
    t_interval,
    variance_components,
)


def mean_interval(values):
    """Return Student's CI of the mean of independent values."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return t_interval(float(np.mean(values)), error, len(values) - 1)


def covered(truth, make, times=400):
    """Return the share of simulated data sets whose interval contains the truth."""
    intervals = [make(np.random.default_rng(seed)) for seed in range(times)]
    return np.mean([x.low <= truth <= x.high for x in intervals])


# --------------------------------------------------------------------------------------- samples


def simulated_gain(random, *, gain=3.0, seeds=3, n=300, seed_sd=1.0):
    """Return a gain between two systems with `seeds` runs each on the same n examples."""
    hard = random.normal(size=(n, 1))
    shift = random.normal(0, 1, 2 * seeds) * seed_sd + np.repeat([0.0, gain], seeds)
    own = np.sqrt(0.6) * hard + np.sqrt(0.4) * random.normal(size=(n, 2 * seeds))
    right = (stats.norm.cdf(own) < (60 + shift) / 100).astype(float)
    [drawn] = ratio_replicates([(np.arange(n), right, np.ones_like(right))], 200)
    points = 100 * right.mean(0)
    table = points.reshape(2, seeds)
    first, second = (
        Sample(own, replicates, {("xlmr", name): np.stack([own, other])})
        for name, own, other, replicates in (
            ("none", *table, drawn[:, :seeds]),
            ("nli", *table[::-1], drawn[:, seeds:]),
        )
    )
    return second - first


@pytest.mark.parametrize(
    ("seeds", "seed_sd"),
    [
        (2, 4.0),
        (3, 1.0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(1, 0.0), (2, 0.0), (3, 4.0), (3, (1, 6)), (5, 2.0)]
        ),
    ],
)
def test_the_interval_of_a_gain_covers_it(seeds, seed_sd):
    deviations = np.repeat(seed_sd, seeds) if isinstance(seed_sd, tuple) else seed_sd
    share = covered(
        3.0, lambda random: simulated_gain(random, seeds=seeds, seed_sd=deviations).interval
    )
    # without variation between runs, two seeds give 2 degrees of freedom to an error of nothing
    assert 0.92 <= share <= (0.999 if (seeds, seed_sd) == (2, 0) else 0.995)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_the_interval_of_a_slope_covers_it(seeds, shared):
    """Also if runs of one seed are correlated, which widens it."""
    weights = np.concatenate([slope_weights([1, 2, 3, 4]), -slope_weights([1, 2, 3, 4])])

    def make(random):
        common = np.sqrt(shared) * random.normal(size=seeds)
        runs = common + np.sqrt(1 - shared) * random.normal(size=(8, seeds))
        return combine([Sample(r, None, {n: r}) for n, r in enumerate(runs)], weights).interval

    assert 0.93 <= covered(0, make) <= 0.999


def test_two_trainings_give_welchs_interval():
    first, second = np.array([1.0, 4.0, 2.0]), np.array([7.0, 1.0, 9.0])
    found = (Sample(first, None, {"a": first}) - Sample(second, None, {"b": second})).welch
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p == pytest.approx(expected.pvalue)


def test_scores_of_one_training_are_paired():
    first, second = np.array([1.0, 4.0, 2.0]), np.array([2.0, 5.0, 3.5])
    difference = Sample(first, None, {"a": first}) - Sample(second, None, {"a": second})
    assert difference.interval == mean_interval(first - second)


def test_without_a_gain_p_is_rarely_small():
    made = (np.random.default_rng(1000 + seed) for seed in range(400))
    p = [simulated_gain(random, gain=0.0).interval.p for random in made]
    assert np.mean(np.array(p) < 0.05) <= 0.08


def test_one_seed_without_examples_has_no_interval():
    found = Sample(np.array([2.0, np.nan]), None).interval
    assert found.value == 2
    assert np.isnan([found.low, found.high, found.p]).all()
    assert not found.significant


def test_seeds_alone_give_students_interval():
    values = np.array([1.0, 2.5, 4.0, 2.0])
    found = Sample(values, None).interval
    expected = stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p == pytest.approx(expected.pvalue)
    assert found == mean_interval(values)


def test_missing_seeds_stay_missing_in_combinations():
    first = Sample(np.array([1.0, np.nan, 3.0]), np.ones((9, 3)))
    second = Sample(np.array([1.0, 1.0, 2.0]), np.ones((9, 3)))
    assert list((first - second).values) == [0, 1]
    assert mean([first, second]).seeds == 2


def test_a_slope_is_that_of_least_squares():
    x, random = [1.0, 2.0, 4.0, 8.0], np.random.default_rng(3)
    table = random.normal(size=(4, 3))
    slope = combine([Sample(row, None) for row in table], slope_weights(x))
    expected = [stats.linregress(x, column).slope for column in table.T]
    assert slope.by_seed == pytest.approx(expected)


def test_the_slope_through_points_is_covered():
    x = np.array([5.0, 6, 7, 8])

    def make(random):
        return line_interval(x, 2 * x + random.normal(size=4))

    assert 0.92 <= covered(2, make) <= 0.98
    assert line_interval([1, 2], [3, 5]).value == pytest.approx(2)
    assert np.isnan(line_interval([1, 2], [3, 5]).low)


# ------------------------------------------------------------------------------ tests and effects


def test_cohens_h():
    assert cohen_h(75, 50) == pytest.approx(np.pi / 6)  # 2 asin √¾ − 2 asin √½
    assert cohen_h(50, 75) == -cohen_h(75, 50)
    assert cohen_h(100, 0) == pytest.approx(np.pi)


# --------------------------------------------------------------------------- variance, agreement


def test_variance_components_by_hand():
    found = variance_components([[1, 3], [5, 7], [9, 11]])
    assert found.within == 2
    assert found.between == (32 - 2) / 2
    assert found.share.value == 15 / 17
    assert found.share.p == pytest.approx(stats.f_oneway([1, 3], [5, 7], [9, 11]).pvalue)
    assert np.isnan(variance_components([[1], [2]]).share.value)
    assert variance_components([[1, 3], [1, 3]]).between == 0


def test_the_share_of_variance_is_covered():
    def make(random):
        groups = random.normal(0, 2, 8)[:, None] + random.normal(0, 2, (8, 3))
        return variance_components(groups).share

    assert 0.92 <= covered(0.5, make) <= 0.98


@pytest.mark.parametrize(("groups", "seeds"), [(4, 2), (6, 3), (10, 5)])
def test_the_mean_over_drawn_groups_is_covered(groups, seeds):
    def make(random):
        table = random.normal(0, 1, (groups, 1)) + random.normal(0, 1, (1, seeds))
        table = 2 + table + random.normal(0, 0.5, (groups, seeds))
        return random_mean([Sample(row, None, {"runs": row}) for row in table])

    assert 0.93 <= covered(2, make) <= 0.999


def test_equal_groups_add_no_variance():
    row = Sample(np.array([1.0, 2.0, 4.0]), None)
    assert random_mean([row, row]) == random_mean([row]) == row.interval
    one_seed = [Sample(np.array([value, np.nan]), None) for value in (1.0, 2.0, 6.0)]
    assert random_mean(one_seed) == replace(mean_interval([1, 2, 6]), p=np.nan)  # no verdict
    assert np.isnan(random_mean([]).value)


def test_spearman():
    x, y = np.arange(12.0), np.array([1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10.0])
    found = spearman(x, y)
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low < found.value < found.high < 1
    assert found.p < 0.001
    perfect = spearman([1, 2, 3, 4], [10, 20, 30, 50])
    assert perfect.value == pytest.approx(1)
    assert perfect.p == pytest.approx(2 / 24)  # as small as it can be with four
    assert np.isnan(perfect.low)
    assert np.isnan(spearman([1, 2], [1, 2]).value)
    assert np.isnan(spearman([1, 2, 3], [1, 2, np.nan]).value)
    assert np.isnan(spearman([1, 1, 1, 1], [1, 2, 3, 4]).value)


def test_spearman_covers_the_correlation():
    rho = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's of a bivariate normal with 0.6

    def make(random):
        x = random.normal(size=25)
        return spearman(x, 0.6 * x + 0.8 * random.normal(size=25))

    assert 0.92 <= covered(rho, make) <= 0.98
