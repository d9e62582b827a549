"""Scores as samples: paired, by language, on subsets, and with gaps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.simulated import LANGUAGES, from_points, simulate
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.results.samples import Samples, read_examples
from xstilts.results.scores import GAINS, MEAN, summarise
from xstilts.results.verdicts import detectable, gain_power


def study(tmp_path, **changes):
    return simulate(
        tmp_path / "scores",
        lambda cell, language: 60 + 5 * (cell.recipe == "nli"),
        **{"targets": ("qa", "pos"), **changes},
    )


def test_gains_are_those_of_the_table(tmp_path):
    samples = study(tmp_path)
    table = samples.gains.set_index(["recipe", "target", "language"])
    for average in ("avg", "zero_shot"):
        expected = summarise(samples.results, average).loc[("xlmr", "nli")]
        for target in ("qa", "pos", MEAN):
            row = table.loc[("nli", target, average)]
            assert row["gain"] == pytest.approx(expected.loc[target, "gain"])
            assert row["seeds"] == expected.loc[target, "gains"] == 3
            assert row["low"] < row["gain"] < row["high"]
    assert table.loc[("nli", "qa", "zero_shot"), "n"] == 300
    assert table.loc[("nli", MEAN, "zero_shot"), "n"] == 600


def test_verdicts_follow_simultaneous_intervals(tmp_path):
    table = study(tmp_path, recipes=("none", "nli", "qqp")).gains
    assert list(table) == list(GAINS)
    assert (table["significant"] == (table["p_adjusted"] < 0.05)).all()
    assert (table["significant"] == ((table["low"] > 0) | (table["high"] < 0))).all()
    assert 0 < table["significant"].sum() < len(table)
    assert (table["p_adjusted"] >= table["p"]).all()
    mean_gain = table[(table["target"] == MEAN) & (table["language"] == "zero_shot")]
    cells = table[(table["target"] != MEAN) & (table["language"] == "zero_shot")]
    assert (mean_gain["high"] - mean_gain["low"]).max() < (cells["high"] - cells["low"]).max()


def test_a_subset_shares_the_bootstrap_of_its_target(tmp_path):
    """Else the error of a difference between both would be that of two test sets."""
    half = {x: set(map(str, range(100, 200))) for x in LANGUAGES}  # not the first examples
    samples = study(tmp_path, targets=("qa",), subsets={"half": half})
    whole = samples.score("xlmr", "nli", "qa", "xa").examples[:, 0]
    inside, outside = (
        samples.score("xlmr", "nli", "qa", "xa", ("half", part)).examples[:, 0]
        for part in (True, False)
    )
    assert np.corrcoef(whole, inside)[0, 1] > 0.5
    assert np.corrcoef(whole, outside)[0, 1] > 0.5
    assert abs(np.corrcoef(inside, outside)[0, 1]) < 0.15


def test_a_subset_is_scored_on_its_own_examples(tmp_path):
    chosen = {"xa": {"1", "2", "3"}, "xb": {"4"}}
    samples = study(tmp_path, subsets={"few": chosen})
    few = ("few", True)
    found = samples.score("xlmr", "nli", "qa", "zero_shot", few)
    parts = [samples.score("xlmr", "nli", "qa", x, few).by_seed for x in ("xa", "xb")]
    assert found.by_seed == pytest.approx(np.mean(parts, axis=0))
    whole = Samples(samples.results, samples.examples, {"all": {"xa": set(map(str, range(200)))}})
    assert whole.score("xlmr", "nli", "qa", "xa", ("all", True)).by_seed == pytest.approx(
        samples.score("xlmr", "nli", "qa", "xa").by_seed
    )


def test_without_examples_intervals_are_over_seeds(tmp_path):
    samples = study(tmp_path)
    bare = Samples(samples.results, lambda cell: None)
    gain = bare.gain("xlmr", "nli", "qa")
    assert not bare.has_examples("qa")
    assert gain.examples is None
    assert gain.by_seed == pytest.approx(samples.gain("xlmr", "nli", "qa").by_seed)
    assert np.isfinite(gain.interval.low)


def test_systems_with_other_examples_are_aligned_by_id(tmp_path):
    """BUCC: only sentences with a gold or a predicted pair count, and predictions differ."""
    samples = study(tmp_path, targets=("qa",))

    def half(cell):
        found = samples.examples(cell)
        return found[found["id"].astype(int) % 2 == (cell.recipe == "nli")]

    found = Samples(samples.results, half)
    replicates = found.score("xlmr", "nli", "qa", "xa").examples
    own = half(samples.results.context.cells[-1])
    expected = 100 * own[own["language"] == "xa"]["top"].mean()
    assert replicates[:, -1].mean() == pytest.approx(expected, abs=1)


def test_a_missing_or_damaged_file_is_named(tmp_path):
    path = tmp_path / "cell.parquet"
    with pytest.raises(InputError, match=r"cell\.parquet: missing"):
        read_examples(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"cell\.parquet: damaged"):
        read_examples(path)
    pd.DataFrame({"id": []}).to_parquet(path)
    assert read_examples(path) is None


def test_a_study_without_a_baseline_has_scores_but_no_gains(tmp_path):
    samples = study(tmp_path, recipes=("nli", "qqp"))
    assert samples.score("xlmr", "nli", "qa").seeds == 3
    assert samples.gain("xlmr", "nli", "qa").seeds == 0
    assert not len(samples.gains)


def with_extra_baselines(extra: list[float]) -> Samples:
    scores = {"none": [50, 52, 54, *extra], "nli": [57, 55, 59]}
    return from_points(
        {Cell("m", r, "qa", s): x for r, xs in scores.items() for s, x in enumerate(xs, 1)}
    )


def test_extra_baseline_seeds_narrow_a_gain():
    samples = with_extra_baselines([54, 52, 53, 55, 51, 50])
    gain, own = samples.gain("m", "nli", "qa"), samples.score("m", "none", "qa")
    assert samples.seeds == [1, 2, 3]
    assert own.mean == pytest.approx(np.mean([50, 52, 54, 54, 52, 53, 55, 51, 50]))
    assert gain.mean == pytest.approx(57 - own.mean)
    run, baseline = gain.error.by_run.values()
    assert own.error.variance == pytest.approx(baseline)
    assert 0.1 < baseline / run < 0.5  # a third, from other degrees of freedom


def test_missing_extra_baselines_lose_no_gain():
    samples = with_extra_baselines([54])
    assert samples.score("m", "none", "qa").mean == pytest.approx((52 + 52 + 54) / 3)
    assert samples.gain("m", "nli", "qa").seeds == 3


def test_missing_extra_baselines_scale_run_variance():
    """The baseline's means 52, 52, 54 are over 2, 1 and 1 runs, so other runs count 5/6."""
    baseline = with_extra_baselines([54]).score("m", "none", "qa")
    nli = np.var([57, 55, 59], ddof=1) * (1 / 2 + 1 + 1) / 3
    own = np.var([52, 52, 54], ddof=1)
    assert baseline.error.seeds == pytest.approx((nli + own) / 2 / 3)


def test_degenerate_extra_baselines_count():
    results = with_extra_baselines([54, 52, 53]).results
    second = (results.frame["recipe"] == "none") & (results.frame["seed"] == 5)
    results = replace(results, frame=results.frame.assign(degenerate=second))
    table = Samples(results, lambda cell: None).gains.set_index(["target", "language"])
    row = table.loc[("qa", "zero_shot")]
    assert row["degenerate"] == 1
    baseline = np.array([52, 52, 53.5])
    assert row["gain"] == pytest.approx(57 - baseline.mean())
    assert row["gain_learned"] == pytest.approx(58 - baseline[[0, 2]].mean()), "without seed 2"


def test_power_has_the_degrees_of_freedom_of_a_gain():
    gain = with_extra_baselines([54, 52, 53, 55, 51, 50]).gain("m", "nli", "qa")
    error = np.sqrt((1 + 1 / 3) / 3)
    expected = detectable(error, gain.error.freedom)
    assert gain_power(1, seeds=3, recipes=1, folds=3) == pytest.approx(expected)
