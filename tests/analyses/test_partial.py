"""Answers to studies in which some runs have no score yet."""

from tests.analyses.test_analyses import run
from tests.simulated import from_points
from xstilts.grid.artefacts import Cell
from xstilts.recipe import parse

UNKNOWN = "not known yet, as no seed has all runs."


def test_controls_of_orders_without_a_common_seed():
    by_seed = {1: ["none", "a", "b", "merge"], 2: ["none", "a", "b", "mixture"]}
    points = {
        Cell("m", recipe, "qa", seed): 50.0 + seed
        for seed, recipes in by_seed.items()
        for recipe in recipes
    }
    orders = {"a": "given", "b": "given", "merge": "control", "mixture": "control"}
    outcome = run("order", from_points(points), orders=orders)
    assert f"merge minus mixture: {UNKNOWN}" in outcome.answer.finding


def test_languages_of_data_in_two_models_without_a_common_seed():
    recipes = {"none": parse("none"), "nli": parse("nli"), "de": parse("nli@xa")}
    points = {
        Cell(model, recipe, "qa", seed): {"en": 50.0, "xa": 50.0 + seed, "xb": 51.0}
        for model, complete in (("m", 1), ("k", 2))
        for seed in (1, 2)
        for recipe in recipes
        if recipe != "de" or seed == complete
    }
    about = {"families": {"m": "M", "k": "K"}, "parameters": {"m": 100, "k": 100}}
    outcome = run("language", from_points(points), recipes=recipes, **about)
    assert f"at similar sizes: {UNKNOWN}" in outcome.answer.finding
