"""Trackers see what the log has, and change no result."""

import json
import os
import shutil
from pathlib import Path

import pytest

from xstilts.modelling import trackers


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return os.environ


def test_trackers_need_no_network_unless_the_user_says_so(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trackers.prepare([], "m.nli.s1.0")
    assert not list(tmp_path.iterdir())
    environment["MLFLOW_TRACKING_URI"] = "http://server:5000"
    trackers.prepare(["wandb", "mlflow"], "m.nli.s1.0")
    assert environment["WANDB_MODE"] == "offline"
    assert environment["WANDB_DIR"] == str(tmp_path / "results/trackers")
    assert environment["MLFLOW_TRACKING_URI"] == "http://server:5000"


def test_tensorboard_shows_the_log(workspace, environment):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    step = workspace.step("nli", train={"max_steps": 4, "batch_size": 8})
    plain = workspace.train(step)
    log = map(json.loads, (Path(step.path) / "training.jsonl").read_text().splitlines())
    losses = [row["loss"] for row in log if "loss" in row]
    shutil.rmtree(step.path)
    assert workspace.train(step, reported=["tensorboard"]) == plain
    events = accumulator.EventAccumulator(f"results/trackers/tensorboard/{step.id}").Reload()
    shown = [event.value for event in events.Scalars("train/loss")]
    assert shown == pytest.approx(losses)
