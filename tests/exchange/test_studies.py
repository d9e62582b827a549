"""Results in a notebook, and two studies compared."""

import contextlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests import ROOT
from tests.results.test_scores import score as content
from xstilts import study
from xstilts.cli import main
from xstilts.errors import InputError
from xstilts.exchange.comparison import compare
from xstilts.grid.state import open_study
from xstilts.report.view import StudyView
from xstilts.results.scores import CSV_COLUMNS
from xstilts.stages.score import write_examples
from xstilts.store import write_json

pytestmark = pytest.mark.usefixtures("small_folder")
README = ROOT / "README.md"
CONFIG = Path("config/config.yaml")
SEEDS = {"seeds": [1, 2, 3], "only": []}


def finish(right: float, torch: str = "2.9.1", **changes) -> None:
    """Score all cells of the small study in the working directory, as a run would."""
    grid = open_study(CONFIG, {**SEEDS, **changes})[0]
    StudyView(grid).write_snapshot()
    for number, score in enumerate(grid.scores()):
        values = {d.language: right + number % 3 for d in score.predictions.scored}
        found = content(score.cell, values, metric=score.metrics[0])
        provenance = {"content": {}, "libraries": {"torch": torch}}
        write_json(Path(score.path), found | {"provenance": provenance})
        write_examples(Path(score.examples_path), [])


def test_the_lines_of_the_readme_give_data_frames():
    finish(60)
    text = README.read_text(encoding="utf-8")
    block = re.search(r"```python\n(from xstilts import study\n.*?)```", text, re.S)[1]
    exec(block.replace('"lab"', '"small"'), {})
    scores = study("small").scores
    assert isinstance(scores, pd.DataFrame)
    assert list(scores) == CSV_COLUMNS
    assert set(scores["seed"]) == {1, 2, 3}
    assert set(study("small").gains["seeds"]) == {3}


def test_results_are_found_from_another_folder(tmp_path, monkeypatch):
    finish(60)
    expected = study("small").scores
    monkeypatch.chdir("/")
    snapshot = next((tmp_path / "results/studies/small").glob("study.*.json"))
    for name, folder in [("small", tmp_path), (snapshot, "."), (snapshot.parent, ".")]:
        pd.testing.assert_frame_equal(study(name, folder).scores, expected)
    monkeypatch.chdir(snapshot.parent)
    pd.testing.assert_frame_equal(study(".").scores, expected)


@pytest.mark.parametrize("name", ["smal*", "/small", "smal[l]"])
def test_a_pattern_is_no_name_of_a_study(name):
    finish(60)
    with pytest.raises(InputError, match="no results of study"):
        study(name)


def test_an_unknown_study_gets_the_nearest():
    finish(60)
    with pytest.raises(InputError, match="no results of study 'smal'; did you mean 'small'"):
        study("smal")
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        study("none.yaml")


@pytest.fixture
def other(tmp_path) -> Path:
    """A project with another learning rate, another torch and 20 points more."""
    finish(60)
    folder = shutil.copytree(tmp_path / "config", tmp_path / "other" / "config").parent
    with contextlib.chdir(folder):
        finish(80, torch="2.8.0", tasks={"nli": {"train": {"learning_rate": 0.5}}})
    return folder / "results/studies/small"


def test_a_comparison_names_what_differs(other):
    found = compare(study("small"), study(other))
    assert found.both == len(study("small").grid.cells())
    assert found.equal == 0
    assert found.only == (0, 0)
    assert found.table["difference"].tolist() == pytest.approx([20] * len(found.table))
    assert (found.table["seeds"] == 3).all()
    assert found.table["significant"].all()
    assert ((found.table["low"] < 20) & (found.table["high"] > 20)).all()
    assert found.settings == ["train: settings.learning_rate is 0.001 in A, 0.5 in B (3 ×)"]
    assert found.versions == ["torch: 2.9.1 in A, 2.8.0 in B"]


def test_a_study_does_not_differ_from_itself(capsys):
    finish(60)
    assert main(["compare", "small", "small", "--csv", "d.csv"]) == 0
    output = capsys.readouterr().out
    assert "only in A" in output
    assert "Settings that differ: none\nVersions that differ: none" in output
    assert (pd.read_csv("d.csv")["difference"] == 0).all()


def test_scores_and_differences_are_those_of_common_seeds(other):
    for path in (other.parents[1] / "scores").glob("*.s1.*.json"):
        path.unlink()
    found = compare(study("small"), study(other))
    assert found.only[0] > 0
    assert (found.table["seeds"] == 2).all()
    means = found.table["B"] - found.table["A"]
    assert means.tolist() == pytest.approx(found.table["difference"].tolist())


def test_studies_without_a_common_cell_are_refused():
    finish(60)
    empty = study("small")
    shutil.rmtree("results/scores")
    with pytest.raises(InputError, match="no scored cell in common"):
        compare(study("small"), empty)
