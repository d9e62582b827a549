"""The analysis `helps` on simulated studies: what helps, what harms, and what is not known."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.analyses import SEEDS, holds, run, single
from tests.simulated import from_points, simulate
from xstilts import analyses
from xstilts.analyses import Facts
from xstilts.analyses.chosen import cross_fitted
from xstilts.grid.artefacts import Cell
from xstilts.results.samples import Samples
from xstilts.results.statistics import run_variance

GAINS = {"none": 0, "good": 7, "null": 0, "bad": -6}


def helps(tmp_path, **changes):
    samples = simulate(
        tmp_path / "scores",
        lambda cell, language: 60 + GAINS[cell.recipe] + (language == "en") * 8,
        **{"recipes": list(GAINS), "targets": ("qa", "nli"), "seeds": SEEDS, "n": 400, **changes},
    )
    return samples


def test_helps_finds_what_helps_and_what_harms(tmp_path):
    validation = {("xlmr", r, "qa"): [50.0 + GAINS[r]] * 3 for r in GAINS}
    published = {"xlmr": {"none": {"qa": 60.0, "nli": None}, "best": {"qa": 90.0}}}
    samples = helps(tmp_path)
    outcome = run(
        "helps",
        samples,
        tmp_path / "out",
        validation=validation,
        published=published,
        categories={"qa": "Question answering", "nli": "Classification"},
        longer={("good", "qa")},
    )
    first = outcome.answer.finding.splitlines()[0]
    assert re.fullmatch(
        r"good helps most: \+\d\.\d points \[\d\.\d, \d\.\d\]; 1 of 3 recipes helps, 1 hurts\.",
        first,
    )
    second = outcome.answer.finding.splitlines()[1]
    assert second.startswith("Of 6 recipe–target pairs, 2 improve and 2 get worse significantly")
    assert re.search(r"good → qa \+\d\.\d \(same training data\)[,;]", second)
    assert re.search(r"good → nli \+\d\.\d[,;] .*bad → \w+ −\d\.\d, bad", second)
    assert "find a mean gain of" in outcome.answer.power
    for recipe in ("good", "null", "bad"):
        estimate = single(outcome, f"^{recipe}, mean")
        assert holds(estimate, GAINS[recipe])
        assert estimate.significant == (recipe != "null") == (estimate.p_adjusted < 0.05)
        assert estimate.significant == (estimate.low > 0 or estimate.high < 0)
        assert np.sign(estimate.effect) == np.sign(estimate.value)
    ranks = outcome.tables["ranking"].set_index("recipe")
    assert list(ranks.loc[["good", "bad"], "rank"]) == [1, 4]
    assert set(ranks.loc[["none", "null"], "rank"]) == {2, 3}  # the baseline takes part
    assert ranks["best"].isna().all()  # three seeds say too little about ranks
    assert list(ranks.loc[["good", "bad"], "improved"]) == [2, 0]
    assert list(ranks.loc[["good", "bad"], "worsened"]) == [0, 2]
    assert list(outcome.tables["chosen"]["recipe"]) == ["good"]
    assert holds(single(outcome, "Best recipe by validation"), 7)
    assert "Without validation scores: nli." in outcome.answer.caveats[-1]
    compared = outcome.tables["published"].set_index("published_as")
    assert compared.loc["best", "recipe"] == "good"
    assert not compared.loc["best", "within"]
    groups = outcome.tables["groups"]
    assert set(groups["grouping"]) == {"category", "family", "script"}
    assert set(groups.loc[groups["grouping"] == "category", "group"]) == {
        "Question answering",
        "Classification",
    }


# seeds 1, 2, 3; the baseline has two more runs for each
MORE_BASELINES = {"none": [50, 52, 54, 54, 52, 53, 55, 51, 50], "nli": [57, 55, 59]}


def with_more_baselines():
    scores = MORE_BASELINES.items()
    return from_points({Cell("m", r, "qa", s): x for r, xs in scores for s, x in enumerate(xs, 1)})


def test_a_new_run_varies_more_than_a_mean_of_runs():
    """A prediction interval of one run, from the mean of nine: variance x (1 + 1/9)."""
    outcome = run("helps", with_more_baselines(), published={"m": {"none": {"qa": 60.0}}})
    [row] = outcome.tables["published"].itertuples()
    folds, nli = np.reshape(MORE_BASELINES["none"], (3, 3)), MORE_BASELINES["nli"]
    variance = (3 * folds.mean(axis=0).var(ddof=1) + np.var(nli, ddof=1)) / 2
    half = stats.t.ppf(0.975, 4) * np.sqrt(variance * (1 + 1 / 9))
    assert (row.new_run_low, row.new_run_high) == pytest.approx(
        (folds.mean() - half, folds.mean() + half)
    )


def test_power_states_the_sd_of_one_run():
    samples = with_more_baselines()
    text = analyses.power(samples, [samples.gain("m", "nli", "qa")], "gain")
    assert "the run SD of 2.0 points" in text, "not that of a mean of three baselines"


def test_the_number_of_baselines_is_stated():
    caveats = analyses.shared_caveats(with_more_baselines())
    assert "over 3 seeds and" in caveats[0]
    assert caveats[0].endswith(" The baseline has 9 seeds.")


def test_a_chosen_recipe_varies_like_a_run():
    validation = {("m", "none", "qa"): [50.0] * 3, ("m", "nli", "qa"): [60.0] * 3}
    facts = Facts("Does it?", {}, validation=validation)
    chosen = cross_fitted(with_more_baselines(), facts, "m", ["nli"])["qa"]
    folds, nli = np.reshape(MORE_BASELINES["none"], (3, 3)), MORE_BASELINES["nli"]
    variance, _ = run_variance(np.array([nli, nli, *folds]))
    assert chosen.error.by_run["m", "chosen"] == pytest.approx(variance / 3)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (5, "Low-resource languages gain more than high-resource ones: +"),
        (-5, "Low-resource languages gain less than high-resource ones: −"),
        (0, "No significant effect of the languages' resources on the gain: low- minus high-"),
    ],
)
def test_gains_of_low_resource_languages_are_compared(tmp_path, more, sentence):
    def truth(cell, language):
        helped = cell.recipe == "good"
        return 60 + 7 * helped + more * (helped and language in ("sw", "wo"))

    languages = ("en", "sw", "wo", "de", "xa")  # xa: of unknown resources
    samples = simulate(
        tmp_path, truth, recipes=("none", "good"), targets=("nli",), languages=languages, n=800
    )
    outcome = run("helps", samples)
    line = outcome.answer.finding.splitlines()[-1]
    assert line.startswith(sentence)
    assert line.endswith("; 2 low- and 1 high-resource language, 1 target.")
    assert holds(single(outcome, "low- minus high-resource"), more)
    groups = outcome.tables["groups"].query("grouping == 'resource'")
    assert dict(zip(groups["group"], groups["languages"], strict=True)) == {"low": 2, "high": 1}


def test_xtreme_average_uses_exact_match(tmp_path):
    samples = helps(tmp_path, seeds=(1, 2))  # exact match is half of the main metric
    frame = samples.results.frame
    frame.loc[(frame["target"] == "qa") & frame["headline"], "metric"] = "f1"
    results = replace(samples.results, metrics={"qa": "f1", "nli": "accuracy"})
    table = run("helps", Samples(results, lambda cell: None)).tables["xtreme_average"]
    means = results.headline("avg").groupby(["recipe", "target"])["value"].mean()
    scores = table.set_index("recipe")["score"]
    for recipe, outcome in scores.items():
        qa, nli = means[recipe, "qa"], means[recipe, "nli"]
        assert outcome == pytest.approx((0.75 * qa + nli) / 2)
    gains = table.set_index("recipe")["gain"]
    assert gains["good"] == pytest.approx(scores["good"] - scores["none"])
    assert np.isnan(gains["none"])


def test_one_seed_has_an_interval_but_no_verdict(tmp_path):
    outcome = run("helps", helps(tmp_path, seeds=(1,)), tmp_path / "out")
    assert "One seed" in outcome.answer.caveats[0]
    assert outcome.answer.finding.startswith("No verdict")
    estimate = single(outcome, "^good")
    assert estimate.low > 0
    assert (estimate.p, estimate.p_adjusted, estimate.significant) == (None, None, None)
    assert "ranking" not in outcome.tables
    assert "(assumed, as none is measured)" in outcome.answer.power


def test_a_gain_with_one_seed_borrows_the_run_variance(tmp_path):
    samples = helps(tmp_path, seed_sd=2.0)
    frame = samples.results.frame
    lacking = (frame["recipe"] == "good") & (frame["seed"] > 1)
    samples = Samples(replace(samples.results, frame=frame[~lacking]), lambda cell: None)
    table = samples.gains.set_index(["recipe", "target", "language"])
    one = table.loc[("good", "qa", "zero_shot")]
    assert one["seeds"] == 1
    assert np.isfinite(one["low"])
    assert one[["p", "p_adjusted", "welch_p"]].isna().all()
    assert not one["significant"]
    outcome = run("helps", samples)
    assert not outcome.answer.finding.startswith("good")
    assert "good" not in set(outcome.tables["ranking"]["recipe"])
    assert any("has one seed" in text or "have one seed" in text for text in outcome.answer.caveats)


def test_nothing_learned_is_the_only_verdict(tmp_path):
    samples = helps(tmp_path, degenerate=lambda cell: True)
    for name in ("helps", "order", "scale", "language", "size"):
        finding = run(name, samples).answer.finding
        assert finding.startswith("Nothing was learned: all 24 runs")


def test_degenerate_runs_are_counted_and_kept(tmp_path):
    samples = helps(tmp_path, degenerate=lambda cell: cell.recipe == "bad" and cell.seed == 1)
    outcome = run("helps", samples)
    assert any("2 of 24 runs (8 %) are degenerate" in text for text in outcome.answer.caveats)
    assert any("without degenerate runs: bad −" in text for text in outcome.answer.caveats)
    table = samples.gains.set_index(["recipe", "target", "language"])
    assert table.loc[("bad", "qa", "zero_shot"), "degenerate"] == 1
    assert table.loc[("bad", "qa", "zero_shot"), "seeds"] == 3


def test_without_gains_there_is_no_answer(tmp_path):
    samples = simulate(tmp_path / "scores", lambda cell, language: 60, recipes=("none",))
    for name in ("helps", "order", "scale", "language", "size"):
        outcome = run(name, samples)
        alone = "No gains: `none` is the only recipe."
        assert outcome.answer.finding.startswith(alone if name == "helps" else "No answer yet")
        assert not outcome.figures


def test_partly_scored_recipes_are_not_ranked(tmp_path):
    samples = helps(tmp_path, recipes=["none", "good"])
    frame = samples.results.frame
    lacking = (frame["recipe"] == "good") & (frame["target"] == "nli")
    outcome = run(
        "helps", Samples(replace(samples.results, frame=frame[~lacking]), lambda cell: None)
    )
    assert outcome.answer.finding.startswith("No recipe is scored on every target yet.")
    assert "ranking" not in outcome.tables
