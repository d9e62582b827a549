"""The list of planted effects fits the lab's studies."""

from functools import cache

import pytest

from tests import CONFIG
from tests.demo.planted import effects
from xstilts.grid.grid import Grid
from xstilts.grid.state import open_study


@cache
def grid(study: str) -> Grid:
    file = "config.yaml" if study == "lab" else f"studies/{study}.yaml"
    return open_study(CONFIG / file)[0]


@pytest.mark.parametrize("effect", [e for e in effects() if not e.estimate], ids=str)
def test_a_planted_gain_is_one_of_its_study(effect):
    study = grid(effect.study).study
    assert effect.model in study.variants()
    assert effect.recipe in grid(effect.study).recipes
    assert effect.target in study.targets


@pytest.mark.parametrize("effect", effects(), ids=str)
def test_a_planted_effect_has_a_sign_and_a_reason(effect):
    assert effect.planted in ("gain", "loss", "none")
    assert len(effect.why) > 10


def test_every_effect_of_the_placebo_is_none():
    planted = {e.target: e.planted for e in effects("lab") if e.recipe == "lab_placebo"}
    assert planted == dict.fromkeys(grid("lab").study.targets, "none")
