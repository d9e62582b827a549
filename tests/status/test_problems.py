"""Mistakes that would make a job fail are reported when the study is planned."""

import re
from pathlib import Path

import pytest

from xstilts.cli import main
from xstilts.grid.state import open_study
from xstilts.status.problems import notes, problems

STUDY = Path("config/config.yaml")
pytestmark = pytest.mark.usefixtures("small_folder")


def grid(**changes):
    return open_study(STUDY, changes)[0]


def edit(name: str, old: str, new: str) -> None:
    path = Path(f"config/{name}/small.yaml")
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_sound_study_has_no_problems():
    assert problems(grid()) == []
    assert notes(grid()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encode": {"max_length": 65}, "targets": ["tatoeba"], "recipes": ["none"]},
            "model 'tiny', task 'tatoeba': encode.max_length is 65, but the model accepts at most "
            "64 tokens",
        ),
        (
            {"predict": {"layer": 2}},
            "model 'tiny', task 'tatoeba': predict.layer is 2, but the model has layers 0 to 1 "
            "(or −2 to −1)",
        ),
        (
            {"targets": ["mined"]},
            "task 'mined': 1 data set without files: mined.de.test; expected "
            "tatoeba.{iso3}-eng.* below data",
        ),
    ],
)
def test_a_setting_that_cannot_be(changes, message):
    assert problems(grid(**changes)) == [message]


@pytest.mark.parametrize("changes", [{"predict": {"layer": -2}}, {"encode": {"max_length": 64}}])
def test_the_largest_settings_are_no_problem(changes):
    assert problems(grid(**changes)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: translation", "kind: translations", "no kind 'translations'.*'translation'"),
        ("languages: [xa]\n  splits:\n    test", "languages: [xz]\n  splits:\n    test", "'xz'"),
    ],
)
def test_an_unknown_kind_or_language_is_named(old, new, message):
    edit("tasks", old, new)
    found = "\n".join(problems(grid(targets=["mined", "tatoeba"])))
    assert re.search(message, found), found


def test_a_subsample_larger_than_its_data_is_noted():
    assert notes(grid(recipes=["none", "nli~40"])) == []
    assert notes(grid(recipes=["none", "nli~41"])) == [
        "recipe nli~41: nli~41 asks for 41 examples, but nli has 40"
    ]


@pytest.mark.parametrize(
    ("study", "key"),
    [
        ({"train": {"max_steps": 9, "epochs": 5}}, "train.epochs: 5"),
        ({"encode": {"stride": 3}}, "encode.stride: 3"),
        ({"predict": {"neighbours": 9}}, "predict.neighbours: 9"),
    ],
)
def test_settings_without_effect_are_noted(study, key):
    [note] = notes(grid(targets=["nli"], **study))
    assert note.startswith(f"{key} of the study has no effect")


def test_plan_prints_the_problems(capsys):
    assert main(["plan", "--config", "predict={layer: 99}"]) == 0
    assert "predict.layer is 99" in capsys.readouterr().err
