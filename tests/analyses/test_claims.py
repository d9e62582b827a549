"""Verdicts on published claims, on simulated studies with a known truth."""

from dataclasses import replace

import pytest

from tests.simulated import simulate
from xstilts.analyses import Facts, claims, run
from xstilts.analyses.answer import markdown
from xstilts.config.claims import Claim
from xstilts.grid.artefacts import Cell
from xstilts.recipe import parse
from xstilts.results.samples import Samples
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import collect

GAINS = {"none": 0, "good": 8, "mild": 4, "bad": -6}
RECIPES = {"none": "none", "good": "nli-qa", "mild": "nli", "bad": "mlm"}


def study(tmp_path, **changes):
    """Return a study in which `good` gains 8 points, and twice as much on nli."""
    return simulate(
        tmp_path / "scores",
        lambda cell, language: 50 + GAINS[cell.recipe] * (2 if cell.target == "nli" else 1),
        **{
            "recipes": list(GAINS),
            "targets": ("qa", "nli"),
            "seeds": (1, 2, 3),
            "n": 400,
            **changes,
        },
    )


def facts(*holds_if, **more):
    stated = [Claim(says=f"It holds: {x}.", source="A 2020", holds_if=x) for x in holds_if]
    recipes = {name: parse(text) for name, text in RECIPES.items()}
    return Facts("Does it?", recipes, claims=stated, **more)


def verdicts(samples, *holds_if, **more):
    return [v.verdict for v in claims.check(samples, facts(*holds_if, **more))]


@pytest.mark.parametrize(
    ("holds_if", "verdict"),
    [
        ("mean gain of good > 0", "reproduced"),
        ("mean gain of nli-qa > 0", "reproduced"),  # by notation
        ("mean gain of bad > 0", "contradicted"),
        ("mean gain of bad < 0", "reproduced"),
        ("gain of good on qa > 8", "undecided"),
        ("gain of good on nli > gain of good on qa", "reproduced"),
        ("gain of good on nli > gain of good on qa + 20", "contradicted"),
        ("gain of good on qa < gain of mild on qa + 10", "reproduced"),
        ("gain of good > gain of each other", "reproduced"),
        ("gain of mild > gain of each other", "contradicted"),
        ("gain of good on nli > gain of good on each other", "reproduced"),
        ("gain of all on nli > gain of all on qa - 10", "reproduced"),
        ("gain of good, mild on qa in xa, xb > 0", "reproduced"),
    ],
)
def test_a_claim_is_judged_by_the_truth(tmp_path, holds_if, verdict):
    assert verdicts(study(tmp_path), holds_if) == [verdict]


def test_a_difference_is_left_minus_right(tmp_path):
    [verdict] = claims.check(study(tmp_path), facts("gain of good on qa < gain of bad on qa + 1"))
    assert verdict.verdict == "contradicted"
    assert verdict.difference == pytest.approx(14, abs=2)
    assert verdict.low < verdict.difference < verdict.high
    assert verdict.low > 1, "the interval of the difference is above the margin"


def test_a_claim_has_the_interval_of_its_gain(tmp_path):
    samples = study(tmp_path)
    [verdict] = claims.check(samples, facts("gain of good on qa > 0"))
    interval = samples.gain("xlmr", "good", "qa").interval
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))


def test_best_recipe_is_chosen_by_validation(tmp_path):
    validation = {
        ("xlmr", recipe, target): [50.0 + gain] * 3
        for recipe, gain in GAINS.items()
        for target in ("qa", "nli")
    }
    [verdict] = claims.check(study(tmp_path), facts("gain of best > 0", validation=validation))
    assert verdict.verdict == "reproduced"
    assert verdict.difference == pytest.approx(12, abs=2)


def test_one_seed_decides_nothing(tmp_path):
    [verdict] = claims.check(study(tmp_path, seeds=(1,)), facts("gain of good > 0"))
    assert (verdict.verdict, verdict.to_decide) == ("undecided", "two seeds or more")


def test_missing_runs_are_named(tmp_path):
    complete = study(tmp_path)
    kept = [
        path
        for path in (tmp_path / "scores").glob("*.json")
        if (ScoreFile.read(path).recipe, ScoreFile.read(path).target) != ("good", "nli")
    ]
    results = collect(kept, complete.results.context)
    partial = Samples(results, complete.examples)
    first, second = claims.check(partial, facts("gain of good > 0", "gain of good on qa > 0"))
    assert (first.verdict, first.to_decide) == ("undecided", "3 runs without a score")
    assert first.difference is None
    assert second.verdict == "reproduced"


def test_missing_additional_baselines_are_named(tmp_path):
    samples = study(tmp_path, seed_sd=3)
    context = samples.results.context
    extra = tuple(Cell("xlmr", "none", "qa", seed) for seed in (4, 5, 6))
    results = replace(samples.results, context=replace(context, cells=(*context.cells, *extra)))
    more = Samples(results, samples.examples)
    [verdict] = claims.check(more, facts("gain of mild on qa > 4"))
    assert (verdict.verdict, verdict.to_decide) == ("undecided", "3 runs without a score")


def test_an_undecided_claim_states_the_seeds_it_takes(tmp_path):
    [verdict] = claims.check(study(tmp_path), facts("gain of good on qa > 7.9"))
    assert verdict.verdict == "undecided"
    assert "seeds, " in verdict.to_decide


def test_the_answer_lists_verdicts(tmp_path):
    samples = study(tmp_path)
    outcome = run("helps", samples, facts("gain of good > 0", "gain of bad > 0"))
    finding = outcome.answer.finding.splitlines()[-1]
    assert finding == "Of 2 claims: 1 reproduced, 1 contradicted, 0 undecided."
    assert list(outcome.tables["claims"]["verdict"]) == ["reproduced", "contradicted"]
    assert "claims" in outcome.answer.tables
    text = markdown(outcome.answer)
    assert "- **reproduced**: It holds: gain of good \\> 0." in text


@pytest.mark.slow
def test_claims_without_an_effect_are_rarely_decided(tmp_path):
    """Family of four true nulls, 60 studies: at most .05 decide one; standard error .028."""
    stated = [
        "gain of good > 0",
        "gain of good on qa > gain of good on nli",
        "gain of bad < gain of mild",
        "gain of good > gain of each other",
    ]
    wrong = 0
    for number in range(60):
        samples = simulate(
            tmp_path / str(number),
            lambda cell, language: 60,
            recipes=list(GAINS),
            targets=("qa", "nli"),
            seeds=(1, 2, 3),
            n=100,
            seed_sd=2,
            random_seed=number,
        )
        wrong += set(verdicts(samples, *stated)) != {"undecided"}
    assert wrong / 60 <= 0.05 + 2 * 0.028
