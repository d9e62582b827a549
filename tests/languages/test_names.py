"""Every language of a shipped task has a name, a family and a script."""

import pytest
import yaml

from tests import ROOT
from xstilts.lab.languages import LANGUAGES as LAB
from xstilts.languages.names import OTHER, language, languages

TASKS = ROOT / "config" / "tasks"


@pytest.mark.parametrize("path", sorted(TASKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_language_of_the_tasks_is_known(path):
    for task in yaml.safe_load(path.read_text(encoding="utf-8")).values():
        assert set(task["languages"]) <= languages().keys()


def test_lab_languages_equal_the_lab_s_own_table():
    assert {code: (entry.name, entry.script) for code, entry in LAB.items()} == {
        code: (language(code).name, language(code).script) for code in LAB
    }


def test_variants_and_unknown_codes():
    assert language("zh_tw") == ("zh_tw", "Chinese", "Sinitic", "Chinese", 5)
    assert language("no") == (
        "no",
        "no",
        OTHER,
        OTHER,
        None,
    )  # a string, though YAML 1.1 has a bool
    assert all(isinstance(code, str) for code in languages())


def test_resource_levels_follow_the_classes():
    levels = {code: language(code).resource for code in ("sw", "my", "de", "ta", "xa", "unknown")}
    low, high, unknown = ("sw", "my"), ("de", "ta"), ("xa", "unknown")
    expected = {"low": low, "high": high, "unknown": unknown}
    assert levels == {code: level for level, codes in expected.items() for code in codes}
