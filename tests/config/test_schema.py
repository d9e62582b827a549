"""Tasks: the languages that a part of a recipe trains on."""

import pytest

from tests import CONFIG
from xstilts.config.project import read_entries
from xstilts.config.schema import Task
from xstilts.recipe import TASK, parse

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
    task = read_entries(CONFIG / "tasks", Task, TASK)[part.task]
    assert task.languages_of(part) == languages
