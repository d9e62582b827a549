"""The analyses on simulated studies: a planted effect is found, and none where there is none."""

import re

import numpy as np
import pandas as pd
import pytest

from tests.analyses import SEEDS, estimates, holds, run, single
from tests.simulated import simulate
from xstilts.grid.artefacts import Cell
from xstilts.recipe import parse
from xstilts.results.samples import Samples
from xstilts.results.scores import Context, collect


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
