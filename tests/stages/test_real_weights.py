"""Real weights: the retrieval scores of a program that is independent of this one.

`XSTILTS_REAL_MODEL` names a folder with multilingual-e5-small (117.5 M weights, dequantised from
4 bits), `XSTILTS_REAL_DATA` one with Tatoeba's release. The right counts come from transformers
alone: the mean over all tokens of the last layer, the nearest sentence by cosine. Swahili, with 780
sentences, takes about a minute of one core.
"""

import json
import os
from pathlib import Path

import pytest
import yaml

from xstilts.cli import main
from xstilts.grid.state import open_study

MODEL, DATA = (os.environ.get(f"XSTILTS_REAL_{name}") for name in ("MODEL", "DATA"))
RIGHT = {"sw": (317, 390), "de": (971, 1000), "zh": (908, 1000)}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (MODEL and DATA),
        reason="needs folders with multilingual-e5-small and Tatoeba's release: "
        "XSTILTS_REAL_MODEL and XSTILTS_REAL_DATA",
    ),
]


@pytest.mark.parametrize("language", RIGHT)
def test_tatoeba_equals_an_independent_program(language, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = {
        "study": "real",
        "models": ["e5"],
        "recipes": ["none"],
        "targets": ["tatoeba"],
        "seeds": [1],
        "data": DATA,
        "rows": "any",
        "tasks": {"tatoeba": {"languages": [language]}},
    }
    path = Path("config/studies/real.yaml")
    for file, content in (
        (path, study),
        (Path("config/models/e5.yaml"), {"e5": {"local": {"folder": MODEL}}}),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(content))
    grid, _ = open_study(path)
    artefacts = grid.artefacts()
    for stage, group in (
        ("prepare", artefacts.datasets),
        ("initialise", artefacts.checkpoints),
        ("predict", artefacts.predictions),
        ("score", artefacts.scores),
    ):
        assert main([stage, "--study", str(path), *group]) == 0
    (score,) = artefacts.scores.values()
    right, pairs = RIGHT[language]
    accuracy = json.loads(Path(score.path).read_text())["languages"][language]["metrics"][
        "accuracy"
    ]
    assert accuracy == pytest.approx(100 * right / pairs, abs=1e-9)
