"""From trained models to the files of a study's folder."""

from pathlib import Path

import pandas as pd
import pytest

from tests.tiny_project import MODELS, make_grid
from xstilts.analyses.answer import Answer
from xstilts.report.view import StudyView
from xstilts.results.scores import GAINS, MEAN
from xstilts.stages import summarise

QUICK = {
    "models": ["xlmr"],
    "recipes": ["none", "paraphrase"],
    "targets": ["nli", "entities", "tatoeba"],
    "train": {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-3},
}


def run(workspace, **study):
    """Run all steps of a study, and return the report."""
    grid = make_grid(**{**QUICK, **study})
    workspace.score(grid)
    return summarise.run(StudyView(grid))


@pytest.fixture
def report(workspace):
    return run(workspace)


def test_every_cell_leads_to_an_answer(report):
    names = {path.name for path in report.files}
    assert {"answer.json", "answer.md", "table.tex"} <= names
    assert {"gains.csv", "gains.md", "gains.tex"} <= names
    folder = report.files[0].parent
    answer = Answer.model_validate_json((folder / "answer.json").read_bytes())
    assert answer == report.answer
    assert {f"{stem}.{kind}" for stem in answer.figures for kind in ("svg", "png")} <= names
    assert {f"{stem}.{kind}" for stem in answer.tables for kind in ("csv", "md", "tex")} <= names
    assert any("One seed" in caveat for caveat in answer.caveats)
    gains = pd.read_csv(folder / "gains.csv")
    assert list(gains) == list(GAINS)
    assert set(gains["target"]) == {"nli", "entities", "tatoeba", MEAN}
    kept = gains[gains["language"] == "zero_shot"]
    assert (kept["low"] <= kept["gain"]).all()
    chosen = pd.read_csv(folder / "chosen.csv")
    assert set(chosen["target"]) == {"nli", "entities"}  # tatoeba has no validation split


ORDER = {
    "analysis": "order",
    "recipes": ["none"],
    "orders": {
        "tasks": ["paraphrase", "entities"],
        "steps": 4,
        "given": [{"forward": ["paraphrase", "entities"]}, {"back": ["entities", "paraphrase"]}],
        "forgetting": True,
    },
    "seeds": [1, 2],
}
LANGUAGE = {"analysis": "language", "recipes": ["none", "paraphrase", "paraphrase@xa"]}
SIZE = {
    "analysis": "size",
    "recipes": ["none", "paraphrase~10", "paraphrase~40"],
    "subsets": {
        "listed": {"target": "nli", "ids": "ids.txt"},
        "other": {"target": "nli", "whole": "entities"},
    },
    "targets": ["nli", "entities"],
    "data": ".",
}
SCALE = {"analysis": "scale", "models": ["xlmr", "bert"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "expected"),
    [
        (ORDER, {"variance", "orders", "forgetting"}),
        (LANGUAGE, {"languages"}),
        (SIZE, {"languages", "sizes"}),
        (SCALE, {"sizes"}),
    ],
    ids=lambda value: value.get("analysis", "") if isinstance(value, dict) else "",
)
def test_every_analysis_answers_from_files(workspace, monkeypatch, study, expected):
    monkeypatch.setitem(
        MODELS, "bert", {**MODELS["bert"], "parameters": 10**6, "family": "xlm-roberta"}
    )
    # the tiny models learn nothing, which would be the whole answer
    monkeypatch.setattr("xstilts.stages.score._degenerate", lambda languages, score: False)
    Path("ids.txt").write_text("1\n3\n5\n7\n9\txa\n")
    report = run(workspace, **{"targets": ["nli"], **study})
    assert set(report.answer.tables) == expected
    assert not report.answer.finding.startswith("No answer yet")
    assert not any("no scores yet" in text for text in report.answer.caveats)
    if study is SIZE:
        labels = [estimate.label for estimate in report.answer.estimates]
        assert "Slope of the gain on listed" in labels
    if study is ORDER:
        lost = pd.read_csv(report.files[0].parent / "forgetting.csv")
        assert set(lost["task"]) == {"paraphrase", "entities"}
        assert set(lost["runs"]) == {2}
