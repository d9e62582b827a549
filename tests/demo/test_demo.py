"""Checks of the finished demo: run by `make check-demo`, after `make demo`.

Gains by intermediate tasks may have any value. Transfer itself must be real: better than the same
architecture with random weights, and worse than in the language of the training data.
"""

from pathlib import Path

import pandas as pd
import pytest

from tests import ROOT

STUDY = ROOT / "results" / "studies" / "lab"
# zero-shot points by which pretraining must beat random weights: at least two standard errors
MARGINS = {"lab_nli": 5, "lab_entities": 20, "lab_reading": 10, "lab_tatoeba": 8}
MAIN = {"lab_nli": "accuracy", "lab_entities": "f1", "lab_reading": "f1", "lab_tatoeba": "accuracy"}


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
    assert cells.to_dict() == {"lab_tiny": 6 * 4 * 2, "lab_random": 4 * 2}


@pytest.mark.parametrize("target", MARGINS)
def test_pretraining_transfers(baseline, target):
    pretrained = baseline["lab_tiny", target, "zero_shot"]
    assert pretrained > baseline["lab_random", target, "zero_shot"] + MARGINS[target]


@pytest.mark.parametrize("target", [target for target in MAIN if target != "lab_tatoeba"])
def test_zero_shot_stays_below_the_source_language(baseline, target):
    assert baseline["lab_tiny", target, "zero_shot"] < baseline["lab_tiny", target, "en"]


def test_english_is_well_above_the_majority(baseline):
    assert baseline["lab_tiny", "lab_nli", "en"] > 100 / 3 + 10
    assert baseline["lab_tiny", "lab_entities", "en"] > 60
    assert baseline["lab_tiny", "lab_reading", "en"] > 40


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
