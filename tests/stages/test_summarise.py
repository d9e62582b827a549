"""From trained cells to the files of a study's folder."""

import pandas as pd
import pytest
from tiny_project import make_grid

from xstilts import workplan
from xstilts.answer import GAIN_COLUMNS, Answer
from xstilts.results import MEAN
from xstilts.stages import predict, score, summarise
from xstilts.workplan import StudyView

QUICK = {
    "models": ["xlmr"],
    "recipes": ["none", "paraphrase"],
    "targets": ["nli", "entities", "tatoeba"],
    "train": {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-3},
}


@pytest.fixture
def made(workspace):
    grid = make_grid(**QUICK)
    for one in grid.scores():
        for node in one.predictions.checkpoint.lineage()[1:]:
            if not workplan.is_done(node):
                workspace.train(node)
        predict.run(one.predictions)
        score.run(one)
    return summarise.run(StudyView(grid))


def test_every_cell_leads_to_an_answer(made):
    names = {path.name for path in made.files}
    assert {"answer.json", "answer.md", "gains.csv", "gains.tex", "table.tex"} <= names
    folder = made.files[0].parent
    answer = Answer.model_validate_json((folder / "answer.json").read_bytes())
    assert answer == made.answer
    assert {f"{stem}.{kind}" for stem in answer.figures for kind in ("svg", "png")} <= names
    assert {f"{stem}.{kind}" for stem in answer.tables for kind in ("csv", "tex")} <= names
    assert any("One seed" in caveat for caveat in answer.caveats)
    gains = pd.read_csv(folder / "gains.csv")
    assert list(gains) == GAIN_COLUMNS
    assert set(gains["target"]) == {"nli", "entities", "tatoeba", MEAN}
    kept = gains[gains["language"] == "zero_shot"]
    assert (kept["low"] <= kept["gain"]).all()
    chosen = pd.read_csv(folder / "chosen.csv")
    assert set(chosen["target"]) == {"nli", "entities"}  # tatoeba has no validation split
