"""Tasks: the languages that a part of a recipe trains on."""

import pytest

from tests import CONFIG
from xstilts.config.project import read_definitions
from xstilts.config.schema import Model
from xstilts.recipe import parse

LAB = ["en", "xa", "xb", "xc", "xd"]


@pytest.mark.parametrize(
    ("part", "languages"),
    [
        ("lab_nli", ["en"]),
        ("lab_nli@xb", ["xb"]),
        ("lab_nli@all", LAB),
        ("lab_nli@all~10k", LAB),
        ("lab_text", LAB),
        ("lab_text@xb", ["xb"]),
        ("lab_text@all", LAB),
    ],
)
def test_languages_of_a_part(part, languages):
    [part] = parse(part).parts
    task = read_definitions([CONFIG]).tasks[part.task]
    assert task.languages_of(part) == languages


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ({"hub": {"repository": "FacebookAI/xlm-roberta-base"}}, "xlm-roberta"),
        ({"hub": {"repository": "google/mt5-xl"}, "form": "text-to-text"}, "mt5, text to text"),
        ({"hub": {"repository": "google/mt5-xxl"}, "family": "mT5"}, "mT5"),
        ({"local": {"folder": "~/models/mBERT-large-cased"}}, "mbert"),
    ],
)
def test_models_that_differ_in_size_are_a_family(model, family):
    assert Model.model_validate(model).kin == family


def test_a_new_model_belongs_to_its_model_type():
    models = read_definitions([CONFIG]).models
    assert models["lab_w24"].kin == models["lab_w48"].kin == "xlm-roberta"
    assert models["xlmr-base"].kin == models["xlmr-xxl"].kin == "XLM-R"
