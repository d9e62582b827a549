"""The last words of a run name cause and cells; what killed jobs left is removed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import eventually, restored_signals
from tests.tiny_project import make_grid
from xstilts import store
from xstilts.grid import litter, state
from xstilts.report.view import StudyView
from xstilts.status import run
from xstilts.store import locks, paths

BLOCK = """Error in rule train:
    message: SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'.
second line of the message
    jobid: 3
    output: results/checkpoints/{id}/manifest.json (update)
    log: results/logs/train/{id}.log (check log file(s) for error details)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_last_words_name_cause_and_cells():
    grid = make_grid(models=["xlmr"])
    step = grid.scores()[0].predictions.checkpoint
    Path("log").write_text(BLOCK.format(id=step.id) * 2)
    words = run.last_words([Path("log")], grid, {})
    assert words.startswith("1 job failed:\n  train xlmr.nli.s1: too little main memory")
    assert "needed by 1 cell, such as xlmr.none.nli.s1" in words
    assert f"    results/logs/train/{step.id}.log\n" in words
    store.write_text(store.failure_file(step.id), "the loss is nan\n")
    assert "  train xlmr.nli.s1: the loss is nan\n" in run.last_words([Path("log")], grid, {})
    store.failure_file(step.id).unlink()
    store.write_text(store.failure_file("xlmr.nli.s1.nli.0"), "a row is damaged\n")
    words = run.last_words([Path("log")], grid, {step.id: ["xlmr.nli.s1.nli.0"]})
    assert "  train xlmr.nli.s1 and 1 more: a row is damaged\n" in words


def test_a_stopped_job_is_not_called_killed():
    step = make_grid(models=["xlmr"]).scores()[0].predictions.checkpoint
    block = BLOCK.format(id=step.id).splitlines(keepends=True)
    Path("log").write_text("".join([block[0], "    message: None\n", *block[3:]]))
    log = paths.log_file("train", step.id)
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-27 14:00:00 xstilts train: stopped; the next run resumes\n")
    words = run.last_words([Path("log")], make_grid(models=["xlmr"]), {})
    assert "it was stopped by a signal; the next run resumes" in words


def test_jobs_that_ended_with_their_run_have_not_failed(monkeypatch):
    monkeypatch.setattr(run, "_received", [])
    with restored_signals():
        signal.signal(signal.SIGINT, lambda number, frame: None)
        run._watch_signals()
        os.kill(os.getpid(), signal.SIGINT)
    grid = make_grid(models=["xlmr"])
    step = grid.scores()[0].predictions.checkpoint
    Path("log").write_text(BLOCK.format(id=step.id))
    assert run.last_words([Path("log")], grid, {}).startswith("Stopped. Finished results are")
    store.write_text(store.failure_file(step.id), "the loss is nan\n")
    assert "the loss is nan" in run.last_words([Path("log")], grid, {})


def test_a_stopped_run_says_how_to_continue():
    Path("log").write_text("Terminating processes on user request\n")
    assert run.last_words([Path("log")], make_grid(), {}).startswith(
        "Stopped. Finished results are"
    )


def test_runs_with_other_settings_have_other_snapshots():
    first, second = (StudyView(make_grid(seeds=[seed])) for seed in (1, 2))
    for view in (first, second):
        view.write_snapshot()
    assert first.snapshot != second.snapshot
    assert state.open_study(first.snapshot)[0].study.seeds == [1]

    litter.remove_old_snapshots(second.snapshot)
    assert first.snapshot.exists(), "a run may still read it"
    os.utime(first.snapshot, (0, 0))
    litter.remove_old_snapshots(second.snapshot)
    assert paths.snapshots() == [second.snapshot]


def test_resume_states_of_complete_artefacts_are_removed():
    step = make_grid(models=["xlmr"]).scores()[0].predictions.checkpoint
    save = store.scratch(step.id) / "trainer/checkpoint-5"
    save.mkdir(parents=True)
    litter.remove_litter()
    assert save.exists()
    store.Manifest(id=step.id, content={}, files={}).write(Path(step.path))
    litter.remove_litter()
    assert not list(store.SCRATCH.iterdir())


SIGNALLED = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
from xstilts.status import run
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"finishing\\n"))
run._start_on_slurm()
print(os.environ["XSTILTS_SUBMITS"], flush=True)
while True:
    time.sleep(0.02)
    print("continues", flush=True)
"""


@pytest.fixture
def on_slurm(tmp_path):
    """A run on SLURM in a terminal; the terminal's lines, and whether it still submits jobs."""
    master, terminal = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", SIGNALLED], stdout=terminal, cwd=tmp_path)
    os.close(terminal)
    lines = open(master)  # noqa: SIM115
    yield process, lines, Path(lines.readline().strip())
    process.kill()
    process.wait()
    lines.close()


def test_run_survives_its_terminal(on_slurm, tmp_path):
    process, _, submits = on_slurm
    log = tmp_path / "results/logs/snakemake.log"
    process.send_signal(signal.SIGHUP)
    assert eventually(lambda: log.exists() and "continues" in log.read_text())
    assert process.poll() is None
    assert f"`kill {process.pid}` ends the run" in log.read_text()
    assert os.path.lexists(submits)


def test_lines_of_other_processes_stay_in_a_log(tmp_path):
    """Where a log is written from its start, each side would overwrite the other's lines."""
    code = (
        "import os, sys; from xstilts.grid.state import use_this_installation as use; use();"
        "print('first', file=sys.stderr, flush=True);"
        "open(os.environ['XSTILTS_TERMINAL'], 'a').write('refused\\n');"
        "print('last', file=sys.stderr, flush=True)"
    )
    with open(tmp_path / "log", "w") as log:
        subprocess.run([sys.executable, "-c", code], stderr=log, check=True)
    assert (tmp_path / "log").read_text() == "first\nrefused\nlast\n"


def test_stopped_run_submits_no_more(on_slurm):
    process, lines, submits = on_slurm
    assert os.path.lexists(submits)
    for _ in range(2):  # the second one finds nothing to close
        process.send_signal(signal.SIGTERM)
        while lines.readline().strip() != "finishing":
            assert process.poll() is None
    assert not os.path.lexists(submits)


def test_progress_line_names_running_trainings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run.progress_line(20).strip() == "20 s: running"
    id = "tiny.nli.s1.0123456789ab"
    report = {"step": 7, "steps": 9000, "loss": 0.5, "examples_per_second": 1, "seconds_left": 90}
    store.write_json(store.progress_file(id), report)
    with locks.held([id]):
        line = run.progress_line(200).strip()
    assert line == "3.3 min: 1 job running; tiny.nli.s1 step 7 of 9,000, 90 s left"
