"""The rule of verdicts: against scipy, against published tables, and by simulated error rates."""

from functools import partial

import numpy as np
import pytest
from scipy import integrate, stats

from tests.simulated import gains_of_runs
from xstilts.results.statistics import Interval, Sample, t_interval
from xstilts.results.verdicts import (
    CORRELATED,
    all_within,
    critical,
    detectable,
    family,
    fewest_seeds,
    gain_power,
)

LIMIT = 0.05


def standard_error(rate: float, studies: int) -> float:
    """Standard error of a simulated rate."""
    return float(np.sqrt(rate * (1 - rate) / studies))


def judged(gains: dict[tuple[int, int], Sample]) -> list[Interval]:
    """Return the verdicts of gains over recipe 0, as gains.csv has them."""
    return family(
        [gain.interval for gain in gains.values()],
        [target for _, target in gains],
        [gain.share(("m", 0)) for gain in gains.values()],
    )


# ------------------------------------------------------------------------------ distributions


def test_gains_over_one_baseline_are_judged_as_by_dunnett():
    random = np.random.default_rng(0)
    groups = [random.normal(mean, 1, 3) for mean in (0, 2, 1, -1, 0)]
    expected = stats.dunnett(*groups[1:], control=groups[0])
    table = np.stack(groups)
    scores = [
        Sample(own, None, {("m", n): np.vstack([own, np.delete(table, n, axis=0)])})
        for n, own in enumerate(table)
    ]
    verdicts = judged({(n, 0): score - scores[0] for n, score in enumerate(scores) if n})
    assert [v.p_adjusted for v in verdicts] == pytest.approx(expected.pvalue, abs=1e-3)
    limits = expected.confidence_interval()
    assert [v.low for v in verdicts] == pytest.approx(limits.low, abs=0.01)
    assert [v.high for v in verdicts] == pytest.approx(limits.high, abs=0.01)


@pytest.mark.parametrize("freedom", [2, 8, np.inf])
def test_without_a_shared_baseline_sidak_holds(freedom):
    limit = critical(1, 20, freedom)
    assert 2 * stats.t.sf(limit, freedom) == pytest.approx(1 - 0.95 ** (1 / 20))
    assert all_within(limit, 20, freedom) == pytest.approx(0.95)
    assert critical(20, 20, freedom, 0.5) < critical(20, 20, freedom) == pytest.approx(limit)


@pytest.mark.parametrize("limit", [1, 3, 30])
def test_values_with_one_denominator_follow_the_multivariate_t(limit):
    joint = stats.multivariate_t(shape=[[1, 0.5], [0.5, 1]], df=2, seed=0)
    expected = joint.cdf([limit, limit], lower_limit=[-limit, -limit], maxpts=200_000)
    assert 1 - all_within(limit, 2, 2, 0.5) == pytest.approx(1 - expected, rel=0.02)


@pytest.mark.parametrize("correlation", [0.25, 0.5, CORRELATED])
def test_correlated_values_are_within_the_limit(correlation):
    limit, size = critical(20, 20, np.inf, correlation), 20

    def inside(common):
        mean, sd = np.sqrt(correlation) * common, np.sqrt(1 - correlation)
        return np.diff(stats.norm.cdf([-limit, limit], mean, sd))[0] ** size

    probability = integrate.quad(lambda z: inside(z) * stats.norm.pdf(z), -9, 9, limit=200)[0]
    assert probability == pytest.approx(0.95, abs=3e-4)


def test_higher_correlations_count_as_the_largest():
    intervals = [t_interval(value, 0.5, 200) for value in (1.0, 2.0)]
    highest = family(intervals, ["a", "a"], [0.99, 1.0])
    assert highest == family(intervals, ["a", "a"], [CORRELATED] * 2)


def test_interval_verdict_and_p_agree():
    random = np.random.default_rng(1)
    for _ in range(20):
        for verdict in judged(gains_of_runs(random, seeds=2, recipes=3, gain=4.0)):
            excludes = verdict.low > 0 or verdict.high < 0
            assert verdict.significant == excludes == (verdict.p_adjusted < 0.05)
            assert verdict.p_adjusted >= verdict.p


def test_a_value_without_p_gets_no_verdict_and_costs_none():
    tested, untested = t_interval(2.0, 0.5, 4), Interval(9.0, 8.0, 10.0)
    [alone] = family([tested])
    first, second = family([tested, untested])
    assert first == alone
    assert second == untested
    assert not second.significant


# ---------------------------------------------------------------------------------------- power

# effect found with 80 % power: {(seeds, run SD): (one gain, in a family of 20)}, by another program
DETECTABLE = {
    (2, 1): (5.7, 25), (2, 3): (17, 76), (3, 1): (3.1, 6.9), (3, 2): (6.1, 14),
    (5, 1): (2.0, 3.4), (5, 3): (6.1, 10), (10, 2): (2.7, 4.0),
}  # fmt: skip


@pytest.mark.parametrize(("design", "effects"), DETECTABLE.items())
def test_detectable_effects_are_those_of_the_table(design, effects):
    seeds, sd = design
    error, freedom = sd * np.sqrt(2 / seeds), 2 * (seeds - 1)
    for tests, expected in zip((1, 20), effects, strict=True):
        assert detectable(error, freedom, tests) == pytest.approx(expected, rel=0.03)


def test_one_point_takes_these_seeds():
    needed = [fewest_seeds(partial(gain_power, sd)) for sd in (0.5, 1, 1.5, 2)]
    assert needed == ["6 seeds", "17 seeds", "37 seeds", "64 seeds"]
    assert gain_power(1, 2, recipes=5) < gain_power(1, 2)  # a pooled variance is better known
    assert fewest_seeds(partial(gain_power, 5), 0.1).startswith("more than 200 seeds")
    assert gain_power(1, 17) <= 1 < gain_power(1, 16)


def test_power_is_reached():
    """The stated effect is found in four of five simulated studies (standard error .02)."""
    effect = gain_power(1.5, 3, recipes=5, tests=1)
    random, found = np.random.default_rng(2), []
    for _ in range(400):
        gain = gains_of_runs(random, seeds=3, targets=1, own_sd=0, gain=effect)[1, 0]
        found.append(family([gain.interval])[0].significant)
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


# ---------------------------------------------------------------------------------- error rates

REGIMES = [  # seeds, SD of runs, of a recipe's examples, of both together
    (2, 1.5, 1, 0), (2, 3, 1, 0), (2, 5, 1.5, 1), (2, 0.5, 2, 0),
    (3, 3, 1, 0), (3, 5, 1.5, 1), (5, 3, 1, 0),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("recipes", [1, 5])
@pytest.mark.parametrize(("seeds", "run", "own", "cross"), REGIMES)
def test_no_effect_is_found_in_five_of_a_hundred_studies(seeds, run, own, cross, recipes):
    """Familywise error of all gains on four targets: 400 studies, standard error .011."""
    studies, wrong, covered = 400, 0, []
    for number in range(studies):
        gains = gains_of_runs(
            np.random.default_rng(number),
            **{"seeds": seeds, "recipes": recipes, "run_sd": run, "own_sd": own, "cross_sd": cross},
        )
        wrong += any(verdict.significant for verdict in judged(gains))
        covered += [gain.interval.low <= 0 <= gain.interval.high for gain in gains.values()]
    assert wrong / studies <= LIMIT + 2 * standard_error(LIMIT, studies)
    assert np.mean(covered) >= 0.94


@pytest.mark.slow
def test_large_planted_gains_are_found():
    """10 points are 5.3 standard errors, three seeds; a rate of .9 has a standard error of .03."""
    found = [
        np.mean(
            [
                v.significant
                for v in judged(gains_of_runs(np.random.default_rng(n), seeds=3, gain=10))
            ]
        )
        for n in range(100)
    ]
    assert np.mean(found) > 0.9
