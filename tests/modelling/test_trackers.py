"""Trackers see what the log has, and change no result."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
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


@pytest.fixture
def losses(workspace):
    """Train with a tracker, compare with a training without, and return the step and its losses."""

    def both(tracker: str):
        step = workspace.step("nli", train={"max_steps": 4, "batch_size": 8})
        plain = workspace.train(step)
        log = map(json.loads, (Path(step.path) / "training.jsonl").read_text().splitlines())
        shutil.rmtree(step.path)
        assert workspace.train(step, trackers=[tracker]) == plain
        return step, pytest.approx([row["loss"] for row in log if "loss" in row])

    return both


@pytest.fixture
def trackio_server(tmp_path):
    """trackio's own server in a process, with data in `tmp_path / "server"`; yields its address."""
    program = (
        "import time, trackio\n"
        "*_, address = trackio.show(open_browser=False, block_thread=False)\n"
        "print('address', address, flush=True)\n"
        "time.sleep(600)"
    )
    place = {"TRACKIO_DIR": str(tmp_path / "server"), "TRACKIO_WRITE_TOKEN": "x" * 20}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, env=os.environ | place, stdout=subprocess.PIPE, text=True
    ) as server:
        yield next(line.split()[1] for line in server.stdout if line.startswith("address "))
        server.kill()


def test_tensorboard_shows_the_log(losses, environment):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    step, expected = losses("tensorboard")
    events = accumulator.EventAccumulator(f"results/trackers/tensorboard/{step.id}").Reload()
    assert [event.value for event in events.Scalars("train/loss")] == expected


@pytest.mark.slow
def test_a_server_of_trackio_shows_the_log(losses, environment, request, tmp_path):
    if not find_spec("trackio"):
        pytest.skip("trackio is not installed")
    environment["TRACKIO_SERVER_URL"] = request.getfixturevalue("trackio_server")
    step, expected = losses("trackio")
    with sqlite3.connect(tmp_path / f"server/{trackers.PROJECT}.db") as database:
        rows = database.execute("select run_name, metrics from metrics order by step").fetchall()
    assert {name for name, _ in rows} == {step.id}
    shown = [json.loads(metrics) for _, metrics in rows]
    assert [values["train/loss"] for values in shown if "train/loss" in values] == expected
