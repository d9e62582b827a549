"""Model cards, and uploads with the real client to a server on 127.0.0.1."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from tests.tiny_project import make_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.exchange.card import card
from xstilts.grid.artefacts import Cell
from xstilts.results.score_file import ScoreFile
from xstilts.stages import push

CELL = Cell("xlmr", "merged", "nli", 1)


@pytest.fixture
def hub(hub, monkeypatch):
    """A hub that the client of this process uses, with a token."""
    hub.token = "hf_" + "x" * 20
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


@pytest.fixture
def grid(workspace):
    """The tiny project with one scored cell, whose recipe merges."""
    settings = {"max_steps": 2, "batch_size": 4, "learning_rate": 1e-3}
    made = make_grid(models=["xlmr"], recipes=[{"merged": "reading|entities"}], train=settings)
    workspace.score(made)
    return made


def test_a_card_and_its_weights_are_pushed(grid, hub):
    wanted = grid.score(CELL)
    checkpoint = Path(wanted.predictions.checkpoint.path)
    address = push.run(grid, CELL, "someone/model")
    commit, files = hub.repositories["models/someone/model"]
    assert address == f"{hub.endpoint}/someone/model/commit/{commit}"
    assert hub.private == {"someone/model"}
    for name in (*store.Manifest.read(checkpoint).files, store.MANIFEST):
        assert files[name] == (checkpoint / name).read_bytes(), name
    text = files["README.md"].decode()
    assert 'AutoModelForSequenceClassification.from_pretrained("someone/model")' in text
    assert text == card(grid, CELL).replace("REPOSITORY", "someone/model")

    _, front, body = text.split("---\n", 2)
    about = yaml.safe_load(front)
    found = ScoreFile.read(Path(wanted.path))
    [result] = about["model-index"][0]["results"]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy, zero_shot"] == round(found.averages["zero_shot"]["accuracy"], 4)
    assert about["language"] == ["en"]  # the other one is the lab's
    assert about["pipeline_tag"] == "text-classification"
    assert "after the intermediate steps `entities|reading` (merged), seed 1" in body
    assert "| :-- | :-- | :-- | :-- | :-- |" in body
    for node in wanted.predictions.checkpoint.lineage():
        assert f"`{node.id}`" in body
    for digest in (found.sha256, store.Manifest.read(checkpoint).files["model.safetensors"]):
        assert f"`{digest}`" in body
    assert str(Path.cwd()) not in text

    push.run(grid, CELL, "someone/model", public=True)  # again: the repository exists
    for name in ("model", "me/x--y", "me/x..y", "me/x.git", "me/x.", "a/b/c"):
        with pytest.raises(InputError, match=f"'{name}' is not allowed; expected OWNER/NAME"):
            push.run(grid, CELL, name)
    hub.token = "another"
    with pytest.raises(InputError, match=r"no access \(HTTP status 401\); run `hf auth"):
        push.run(grid, CELL, "someone/other")
    store.CheckpointManifest.release(checkpoint)
    assert "The weights are released" in card(grid, CELL)
    with pytest.raises(InputError, match="its weights were deleted after prediction"):
        push.run(grid, CELL, "someone/model")


def test_a_card_needs_a_score(workspace):
    with pytest.raises(InputError, match="its score or its checkpoint is missing; `xstilts why"):
        card(make_grid(), Cell("xlmr", "none", "nli", 1))
