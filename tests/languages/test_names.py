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
    assert language("zh_tw") == ("zh_tw", "Chinese", "Sinitic", "Chinese")
    assert language("no") == ("no", "no", OTHER, OTHER)  # a string, though YAML 1.1 has a bool
    assert all(isinstance(code, str) for code in languages())
