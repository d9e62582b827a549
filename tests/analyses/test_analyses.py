"""The analyses on simulated studies: a planted effect is outcome, and none where there is none."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.simulated import from_points, simulate
from xstilts import analyses
from xstilts.analyses import Facts
from xstilts.analyses.answer import Answer
from xstilts.analyses.chosen import cross_fitted
from xstilts.grid.artefacts import Cell
from xstilts.recipe import parse
from xstilts.report.write import write_study
from xstilts.results.samples import Samples
from xstilts.results.scores import Context, collect
from xstilts.results.statistics import run_variance

SEEDS = (1, 2, 3)


def run(name, samples, folder=None, **facts):
    """Run an analysis; with a folder, also write its files there and check them."""
    outcome = analyses.run(name, samples, Facts("Does it?", **{"recipes": {}, **facts}))
    assert outcome.answer.analysis == name
    if folder:
        report = write_study(samples.judged, outcome, folder)
        assert all(path.stat().st_size for path in report.files)
        assert Answer.model_validate_json((folder / "answer.json").read_text()) == outcome.answer
        assert len(list(folder.glob("*.svg"))) == 2 + len(outcome.answer.figures) > 2
    return outcome


def estimates(outcome, pattern):
    """Return the estimates whose label matches a pattern."""
    return [e for e in outcome.answer.estimates if re.search(pattern, e.label)]


def single(outcome, pattern):
    """Return the only estimate whose label matches a pattern."""
    [estimate] = estimates(outcome, pattern)
    return estimate


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


# ---------------------------------------------------------------------------------------- helps

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


@pytest.mark.parametrize("name", ["helps", "order", "scale", "language", "size"])
def test_before_the_first_score_there_is_no_answer_yet(name, tmp_path):
    cells = tuple(Cell("xlmr", recipe, "qa", 1) for recipe in ("none", "nli"))
    samples = Samples(collect([], Context("early", cells)), lambda cell: None)
    outcome = run(name, samples)
    assert outcome.answer.finding.startswith("No answer yet")
    assert any("2 of 2 runs have no score yet" in text for text in outcome.answer.caveats)


# ---------------------------------------------------------------------------------------- scale


@pytest.mark.parametrize("slope", [0.0, 5.0])
def test_scale_finds_the_slope(tmp_path, slope):
    parameters = {"a": 10**5, "b": 10**6, "c": 10**7, "d": 10**8}
    both = {f"{m}+{arm}": count for m, count in parameters.items() for arm in ("full", "lora")}
    samples = simulate(
        tmp_path / "scores",
        lambda cell, language: (
            50
            + (cell.recipe != "none")
            * slope
            * (np.log10(both[cell.model]) - 4)
            * ("full" in cell.model)
        ),
        models=list(both),
        seeds=SEEDS,
        n=800,
    )
    hours = {(m, "nli"): 1.5 for m in both}
    outcome = run("scale", samples, tmp_path / "out", parameters=both, gpu_hours=hours)
    full, lora = single(outcome, ", full$"), single(outcome, ", lora$")
    assert holds(full, slope)
    assert holds(lora, 0)
    assert full.significant == (full.low > 0) == (slope > 0)
    assert not lora.significant
    assert single(outcome, ", full, log odds$").unit == "log odds per tenfold size"
    assert holds(single(outcome, "minus that of full"), -slope)
    assert holds(single(outcome, "^Slope.*full, for these models"), slope)
    assert "With 4 models" in outcome.answer.power
    assert set(outcome.tables["sizes"]["hours"]) == {1.5}


# ------------------------------------------------------------------------------------- language


@pytest.mark.parametrize("interaction", [0, 8])
def test_language_finds_the_interaction_and_the_match(tmp_path, interaction):
    recipes = {"none": "none", "nli": "nli", "de": "nli@xa", "ru": "nli@xb", "all": "nli@all"}

    def truth(cell, language):
        matched = 6 * (recipes[cell.recipe].endswith(language))
        return 55 + matched + interaction * ("@" in recipes[cell.recipe]) * (cell.model == "mt5")

    samples = simulate(
        tmp_path / "scores", truth, models=("xlmr", "mt5"), recipes=list(recipes), seeds=range(6)
    )
    parsed = {name: parse(text) for name, text in recipes.items()}
    kin = {"xlmr": "XLM-R", "mt5": "mT5"}
    outcome = run("language", samples, tmp_path / "out", recipes=parsed, families=kin)
    between = single(outcome, "^Interaction: XLM-R minus mT5")
    assert between.significant == (interaction > 0)
    assert holds(between, -interaction)
    assert (between.high < 0) == (interaction > 0)
    assert holds(single(outcome, "^Matched language minus .*, xlmr"), 6)
    assert holds(single(outcome, "^Matched minus other target languages, xlmr"), 6)
    assert set(outcome.tables["languages"]["data"]) == {"en", "xa", "xb", "mixed"}
    by_data = outcome.tables["interaction"].set_index("data")
    assert list(by_data.index) == ["xa", "xb"]
    assert (by_data["p_adjusted"] >= by_data["p"]).all()
    assert ((by_data["low"] <= -interaction) & (-interaction <= by_data["high"])).all()


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        (-6, "No significant {}, but a significant one in the language of the data."),
        (6, "Significant {}."),
    ],
)
def test_language_names_an_effect_in_the_language_of_the_data(tmp_path, other, verdict):
    recipes = {"none": "none", "nli": "nli", "de": "nli@xa"}

    def truth(cell, language):
        if "@" not in recipes[cell.recipe] or language == "en":
            return 55
        return 55 + (6 if language == "xa" else other)

    samples = simulate(
        tmp_path / "scores",
        truth,
        recipes=list(recipes),
        seeds=range(6),
        languages=("en", "xa", "xb"),
    )
    parsed = {name: parse(text) for name, text in recipes.items()}
    outcome = run("language", samples, tmp_path / "out", recipes=parsed)
    effect = "effect of non-English intermediate data on the mean zero-shot gain"
    assert outcome.answer.finding.splitlines()[0] == verdict.format(effect)


# ----------------------------------------------------------------------------------------- size


@pytest.mark.parametrize("slope", [0.0, 4.0])
def test_size_finds_the_slopes_on_hard_and_other_examples(tmp_path, slope):
    counts = {"nli~1k": 1000, "nli~3k": 3000, "nli~10k": 10000, "nli~30k": 30000}
    hard = {"en": set(), **{x: {str(i) for i in range(100)} for x in ("xa", "xb", "xc")}}

    def truth(cell, language):
        grown = slope * (np.log10(counts.get(cell.recipe, 1000)) - 3)
        return 50 + grown - (cell.target == "adversarial") * (15 - grown)

    samples = simulate(
        tmp_path / "scores",
        truth,
        recipes=["none", *counts],
        seeds=SEEDS,
        targets=("nli", "adversarial"),
        subsets={"hard": hard},
    )
    outcome = run(
        "size",
        samples,
        tmp_path / "out" if slope else None,  # drawn once
        examples=counts,
        adversarial={"other": ("nli", "adversarial"), "hard": ("nli", None), "late": ("nli", None)},
    )
    gain = single(outcome, "^Slope of the gain$")
    assert holds(gain, slope)
    assert gain.significant == (gain.low > 0) == (slope > 0)
    assert holds(single(outcome, "^Slope of the gain on other$"), 2 * slope)
    assert not estimates(outcome, "difference .* other")  # another task: no difference
    hard, rest, difference = (
        single(outcome, f"^Slope of the {name}$")
        for name in (
            "gain on hard",
            "gain on the examples outside hard",
            "difference of the gains on hard and outside",
        )
    )
    assert difference.value == pytest.approx(hard.value - rest.value)
    assert not difference.significant  # the subset's examples are as hard as the others
    assert holds(single(outcome, "^Slope of the gain on other, languages and seeds"), 2 * slope)
    lines = outcome.tables["languages"].set_index(["quantity", "language"])
    assert set(lines.loc["gain"].index) == {"xa", "xb", "xc"}
    own = lines.loc[("gain on other", "xa")]
    assert own["low"] <= 2 * slope <= own["high"]
    table = samples.gains.set_index(["target", "language", "recipe"])
    points = outcome.tables["sizes"].set_index(["quantity", "recipe"])
    for name, target in (("gain", "nli"), ("gain on other", "adversarial")):
        expected = table.loc[target, "zero_shot"].loc[[*counts], ["low", "high", "p_adjusted"]]
        pd.testing.assert_frame_equal(points.loc[name][expected.columns], expected)
    assert "rho" not in outcome.answer.finding
    assert any("Subset late has no scores yet" in text for text in outcome.answer.caveats)


def test_sizes_of_different_data_are_not_one_line(tmp_path):
    """The larger of two tasks helps more, but the size of neither matters."""
    counts = {"nli~1k": 1000, "nli~4k": 4000, "qqp~10k": 10000, "qqp~40k": 40000, "ccg": 10}
    samples = simulate(
        tmp_path / "scores",
        lambda cell, language: 50 + 9 * ("qqp" in cell.recipe) - 5 * (cell.recipe == "ccg"),
        recipes=["none", *counts],
    )
    outcome = run("size", samples, tmp_path / "out", examples=counts)
    for data in ("nli", "qqp"):
        assert holds(single(outcome, f"^Slope of the gain, {data}$"), 0)
    across = single(outcome, "over intermediate tasks")
    assert (across.value, across.n) == (pytest.approx(1), 3)


# ---------------------------------------------------------------------------------------- order


@pytest.mark.parametrize("sd", [0.0, 4.0])
def test_order_separates_its_variance_from_seeds(tmp_path, sd):
    orders = {"size_up": "given", **{f"random_{n}": "random" for n in range(1, 7)}}
    orders |= {"mixture": "control"}
    shift = dict(zip(orders, sd * np.array([1.5, -1, 0.5, -0.5, 1, -1.5, 0, 0]), strict=True))
    samples = simulate(
        tmp_path / "scores",
        lambda cell, language: 60 + shift.get(cell.recipe, -5),
        recipes=["none", *orders],
        targets=("qa", "nli"),
        seeds=SEEDS,
        n=400,
        seed_sd=1.0,
    )
    retained = {}
    for seed in SEEDS:
        for chain, task, score in [
            ("a", "a", 80),
            ("a-b", "a", 70),
            ("a-b", "b", 90),
            ("a-b-c", "a", 60),
            ("a-b-c", "b", 85),
            ("a-b-c", "c", 75),
        ]:
            retained["xlmr", chain, task, seed] = score + seed / 10
    folder = tmp_path / "out" if sd else None  # drawn once
    outcome = run("order", samples, folder, orders=orders, retained=retained)
    share = single(outcome, "^Share of the variance")
    assert (share.p < 0.05) == (sd > 0)
    assert (share.value > 0.7) == (sd > 0)
    assert not estimates(outcome, "Kendall")
    finding = outcome.answer.finding
    assert finding.startswith("Significant" if sd else "No significant effect of task order")
    by_chance = re.search(r"differ by (\S+) points.* differ by (\S+) by chance", finding)
    assert (float(by_chance[1]) > 2 * float(by_chance[2])) == (sd > 0)
    assert "size_up minus the mean of 6 random orders: " in finding
    given = single(outcome, "size_up minus the mean of 6 random orders")
    assert holds(given, shift["size_up"] - np.mean([shift[f"random_{n}"] for n in range(1, 7)]))
    assert (given.high - given.low > 4) == (sd > 0)  # six random orders say little of all
    lost = outcome.tables["forgetting"].set_index(["task", "later_steps"])["forgetting"]
    assert lost.round(6).to_dict() == {("a", 1): 10, ("a", 2): 20, ("b", 1): 5}
