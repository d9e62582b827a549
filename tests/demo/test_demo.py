"""Checks of the finished demo: run by `make check-demo`, after `make demo`.

The planted effects must be found, and no effect where there is none. Studies that `make studies`
has finished are checked, too.
"""

from pathlib import Path

import pandas as pd
import pytest

from tests import ROOT
from tests.demo.planted import STUDIES, effects, found
from xstilts.grid.state import open_study
from xstilts.modelling.checkpoints import load_weights

STUDY = STUDIES / "lab"
# zero-shot points by which pretraining must beat random weights: at least two standard errors
MARGINS = {"lab_reading_few": 3, "lab_entities_few": 5, "lab_tatoeba": 8}
MAIN = {
    "lab_reading_few": "f1",
    "lab_entities_few": "f1",
    "lab_nli_few": "accuracy",
    "lab_tatoeba": "accuracy",
}


@pytest.fixture(scope="module")
def baseline():
    """Return the main metric of recipe `none`, mean over seeds, by (model, target, language)."""
    scores = pd.read_csv(STUDY / "scores.csv", keep_default_na=False)
    assert set(scores["target"]) == MAIN.keys()
    main = scores[scores["metric"] == scores["target"].map(MAIN)]
    none = main[main["recipe"] == "none"]
    return none.groupby(["model", "target", "language"])["value"].mean()


def test_every_cell_is_scored():
    scores = pd.read_csv(STUDY / "scores.csv", keep_default_na=False)
    cells = scores.groupby("model")["cell"].nunique()
    assert cells.to_dict() == {"lab_tiny": 5 * 4 * 5, "lab_random": 4 * 5}


@pytest.mark.parametrize("effect", effects(), ids=str)
def test_the_planted_effect_is_found(effect):
    if not (STUDIES / effect.study / "answer.json").exists():
        pytest.skip(f"{effect.study} is not finished; `make studies` runs it")
    result = found(effect)
    assert result.verdict == effect.planted, f"{effect.why}; found {result}"
    if effect.reference is not None:
        assert result.low <= effect.reference <= result.high


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_placebo_changes_no_weight(seed, monkeypatch):
    monkeypatch.chdir(ROOT)
    grid, _ = open_study(Path("config/config.yaml"))
    after = grid.trainings.step("lab_tiny", grid.recipes["lab_placebo"], seed)
    weights = [load_weights(Path(node.path)) for node in (after, after.parent)]
    shared = [name for name in weights[0] if ".encoder." in name or ".embeddings." in name]
    assert len(shared) > 30
    assert all(weights[0][name].equal(weights[1][name]) for name in shared)


@pytest.mark.parametrize("target", MARGINS)
def test_pretraining_transfers(baseline, target):
    pretrained = baseline["lab_tiny", target, "zero_shot"]
    assert pretrained > baseline["lab_random", target, "zero_shot"] + MARGINS[target]


@pytest.mark.parametrize("target", ["lab_reading_few", "lab_entities_few"])
def test_zero_shot_stays_below_the_source_language(baseline, target):
    assert baseline["lab_tiny", target, "zero_shot"] < baseline["lab_tiny", target, "en"]


def test_retrieval_is_far_above_chance(baseline):
    assert baseline["lab_tiny", "lab_tatoeba", "zero_shot"] > 20 * 100 / 300


@pytest.mark.parametrize(
    "name",
    [
        "table.md",
        "table.csv",
        "heatmap.png",
        "languages.png",
        "report.html",
        "snakemake-report.html",
    ],
)
def test_the_study_folder_is_complete(name):
    assert (STUDY / name).stat().st_size > 500


def test_reports_name_no_local_path():
    for name in ("report.html", "snakemake-report.html"):
        report = (STUDY / name).read_text(encoding="utf-8")
        assert "heatmap.png" in report
        assert str(Path.home()) not in report
        assert str(STUDY.parents[2]) not in report
