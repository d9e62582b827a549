"""A study that plants no effect finds none."""

import pandas as pd
import pytest

from tests.tiny_project import make_grid
from xstilts.report.view import StudyView
from xstilts.stages import summarise

PLACEBO = {"train": {"learning_rate": 1e-30}}  # changes no weight
STUDY = {
    "models": ["xlmr"],
    "recipes": ["none", "paraphrase", "completion", "paraphrase-reading"],
    "targets": ["nli", "entities", "tatoeba"],
    "seeds": [1, 2, 3],
    "tasks": dict.fromkeys(["paraphrase", "completion", "reading"], PLACEBO),
    "train": {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-2},
}


@pytest.mark.slow
def test_placebos_have_no_effect(workspace):
    grid = make_grid(**STUDY)
    workspace.score(grid)
    report = summarise.run(StudyView(grid))
    gains = pd.read_csv(report.files[0].parent / "gains.csv")
    assert set(gains["recipe"]) == {"paraphrase", "completion", "paraphrase-reading"}
    assert (gains["gain"] == 0).all()
    assert not gains["significant"].any()
    assert not any(estimate.significant for estimate in report.answer.estimates)
