"""`select: best`: the weights with the best validation are saved, resumed and published."""

import json
import shutil
from pathlib import Path

import pytest

from tests.stages.test_train import SHORT, crash
from xstilts import store


def test_best_weights_have_the_best_validation(workspace):
    settings = {**SHORT, "max_steps": 60, "learning_rate": 3e-2, "evaluate_every": 4}
    best = workspace.step("nli", train={**settings, "select": "best"})
    files = workspace.train(best)
    log = store.read_lines(Path(best.path) / "training.jsonl")
    scores = {entry["step"]: entry["eval_score"] for entry in log if "eval_score" in entry}
    chosen = json.loads((Path(best.path) / "manifest.json").read_text())["best_step"]
    assert scores[chosen] == max(scores.values())
    assert chosen < 60, "otherwise the test shows nothing"
    last = workspace.train(workspace.step("nli", train=settings))
    assert files["model.safetensors"] != last["model.safetensors"]


def best_weights(step) -> list[Path]:
    return sorted((store.SCRATCH / step.id / "trainer").glob("best-*"))


def test_best_weights_are_saved_without_the_rest(workspace, monkeypatch):
    step = workspace.step("nli", train={**SHORT, "select": "best", "evaluate_every": 4})
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=17)
    assert workspace.saves(step) == []
    [best] = best_weights(step)
    assert {path.name for path in best.iterdir()} == {"model.safetensors", "manifest.json"}
    assert workspace.train(step) == expected


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_save_needs_its_best_weights(workspace, monkeypatch, caplog, damage):
    step = workspace.step("nli", train={**SHORT, "select": "best", "evaluate_every": 4})
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=17, save_every=7)
    for best in best_weights(step):
        if damage == "missing":
            shutil.rmtree(best)
        else:
            (best / "model.safetensors").write_bytes(b"{")
    assert workspace.train(step) == expected
    assert "checkpoint-14: this save is discarded: the best weights so far" in caplog.text


def test_a_training_validates_at_least_once(workspace):
    settings = {**SHORT, "max_steps": 6, "evaluate_every": 1000, "select": "best", "patience": 2}
    step = workspace.step("nli", train=settings)
    workspace.train(step)
    log = store.read_lines(Path(step.path) / "training.jsonl")
    assert [entry["step"] for entry in log if "eval_score" in entry] == [6]
    assert store.read_json(Path(step.path) / "manifest.json")["best_step"] == 6


def test_a_damaged_older_save_does_not_end_a_training(workspace, monkeypatch):
    step = workspace.step("nli", train={**SHORT, "select": "best", "evaluate_every": 4})
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=17, save_every=7)
    older = store.SCRATCH / step.id / "trainer" / "checkpoint-7"
    (older / "trainer_state.json").write_text("{")
    assert workspace.train(step) == expected
