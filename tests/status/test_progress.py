"""`status`: done, running, queued and failed jobs, from files and from SLURM's queue."""

import io
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from rich.console import Console

from xstilts import store
from xstilts.cli import main
from xstilts.grid import state
from xstilts.status import progress, watch
from xstilts.status.console import share_done

STUDY = Path("config/config.yaml")


@pytest.fixture
def grid(small_folder, monkeypatch):
    """The small study's grid: two recipes, two targets, one seed; no results, no SLURM."""
    monkeypatch.setenv("PATH", str(small_folder / "bin"))
    return state.open_study(STUDY)[0]


def named(grid, name: str):
    """The artefact with this readable name."""
    [artefact] = [a for a in grid.artefacts().all() if a.id.rsplit(".", 1)[0] == name]
    return artefact


def make(*artefacts, seconds: float | None = None) -> None:
    for artefact in artefacts:
        for path in artefact.files:
            manifest = {"id": Path(path).parent.name, "content": {}, "files": {}, "rows": 40}
            store.write_json(Path(path), manifest)
        if seconds is not None:
            store.write_text(artefact.job.benchmark, f"s\th:m:s\n{seconds}\t0:00:00\n")


def lock(artefact, age: float = 0) -> None:
    path = store.SCRATCH / f"{artefact.id}.lock"
    store.write_text(path, "{}")
    os.utime(path, (time.time() - age, time.time() - age))


def squeue(lines: list[str]) -> None:
    """Install a squeue that prints these lines."""
    path = Path("bin/squeue")
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    path.chmod(0o755)


def status(capsys, *options: str) -> str:
    capsys.readouterr()
    assert main(["status", *options]) == 0
    return capsys.readouterr().out


def test_score_is_done_with_all_its_files(grid, capsys):
    nothing = status(capsys)
    assert "✓ done 0, ▸ running 0, … queued 0, ✗ failed 0, · to do 4, of 4 cells" in nothing
    scores = grid.scores()
    make(scores[0], scores[1])
    assert "✓ done 2, ▸ running 0, … queued 0, ✗ failed 0, · to do 2" in status(capsys)
    os.remove(scores[0].files[0])
    assert "✓ done 1, " in status(capsys)


def test_deleted_results_of_done_cells_are_counted(grid, capsys):
    make(*grid.artefacts().all())
    assert "deleted" not in status(capsys)
    step = named(grid, "tiny.nli-paraphrase.s1")
    shutil.rmtree(step.path)
    text = status(capsys)
    assert "✓ done 4, " in text
    assert "deleted: 1 result of done cells; the next run makes them again" in text
    lock(step)
    assert "deleted" not in status(capsys)


def test_fresh_lock_is_running_and_old_lock_failed(grid, capsys):
    step = named(grid, "tiny.nli-paraphrase.s1")
    lock(step)
    report = {"step": 7, "steps": 9, "loss": 0.5, "examples_per_second": 12.3, "seconds_left": 90}
    store.write_json(store.progress_file(step.id), report)
    text = status(capsys)
    assert "▸ running 1" in text
    assert f"▸ {step.id}: step 7 of 9, loss 0.500, 12 examples/s, 90 s left" in text
    store.progress_file(step.id).write_text("{", encoding="utf-8")  # being written
    assert f"▸ {step.id}\n" in status(capsys)
    lock(step, age=600)
    text = status(capsys)
    assert "▸ running 0" in text
    assert f"✗ {step.id}: the process was killed: by SLURM for its memory or time" in text
    squeue([f"7|PENDING|BeginTime|{Path.cwd()}|rule_train_wildcards_{step.id}"])
    text = status(capsys)
    assert f"… {step.id}: BeginTime" in text
    assert "✗ failed 0" in text


def test_slurm_jobs_are_running_or_queued(grid, capsys):
    first, second = named(grid, "tiny.paraphrase.s1"), named(grid, "tiny.nli.s1")
    predictions = named(grid, "tiny.paraphrase.s1.paraphrase")
    here = Path.cwd()
    squeue(
        [
            f"7|RUNNING|None|{here}|rule_train_wildcards_{first.id}",
            f"8|PENDING|Priority|{here}|rule_train_wildcards_{second.id}",
            f"8|PENDING|Dependency|{here}|rule_predict_paraphrase_wildcards_{predictions.id}",
            f"8|PENDING|Resources|{here}|rule_prepare_nli",
            f"7|RUNNING|None|/elsewhere|rule_train_wildcards_{second.id}",
            "a line of another kind",
        ]
    )
    snapshot = progress.take_snapshot(grid)
    assert snapshot.running.keys() == {first.id}
    data = {a.id: "Resources" for a in grid.artefacts().datasets.values() if a.task == "nli"}
    assert snapshot.queued == {second.id: "Priority", predictions.id: "Dependency"} | data
    assert f"… {second.id}: Priority" in status(capsys)
    make(first)
    assert first.id not in progress.take_snapshot(grid).running


def test_failure_shows_its_log_and_command(grid, capsys):
    step = named(grid, "tiny.nli.s1")
    store.write_text(store.failure_file(step.id), "out of memory\n")
    log = Path("results/logs/train") / f"{step.id}.log"
    lines = [f"2026-01-02 03:04:05,678 line {number}\n" for number in range(9)]
    store.write_text(log, "".join(lines))
    text = status(capsys)
    assert (
        f"✗ {step.id}: out of memory\n    {log}:\n      line 6\n      line 7\n      line 8" in text
    )
    assert f"    again: snakemake results/checkpoints/{step.id}/manifest.json\n" in text
    assert "✗ failed 2" in text  # the recipe's cells
    shutil.copy(STUDY, "other.yaml")
    shutil.copytree("config/tasks", "tasks")
    shutil.copytree("config/models", "models")
    assert "manifest.json --configfile other.yaml\n" in status(capsys, "--study", "other.yaml")
    store.write_text(Path("profiles/slurm/site.yaml"), "")
    assert "manifest.json --workflow-profile profiles/slurm\n" in status(capsys)
    lock(step)  # it is tried again
    assert "✗ failed 0" in status(capsys)


def test_spent_time_is_measured_and_rest_estimated(grid, capsys):
    steps = [a for a in grid.artefacts().checkpoints.values() if a.parent]
    make(steps[0], seconds=7200)
    text = status(capsys)
    assert "CPU time of trainings and predictions: 2.0 h spent, about " in text
    make(*grid.artefacts().all(), seconds=3600)
    spent = len(steps) + len(grid.artefacts().predictions)
    assert f"predictions: {spent:.1f} h spent, nothing left" in status(capsys)
    steps[0].job.benchmark.write_text("damaged", encoding="utf-8")
    assert "costs are unknown: results/benchmarks/train/" in status(capsys)


def test_time_left_ignores_a_moments_empty_place(grid):
    steps = [named(grid, name) for name in ("tiny.nli.s1", "tiny.paraphrase.s1")]
    for step in steps:
        lock(step)
    busy = progress.take_snapshot(grid)
    for step in steps:
        store.lock_file(step.id).unlink()
    idle = progress.take_snapshot(grid, busy)
    assert not idle.running
    bills = [progress.costs_of(snapshot) for snapshot in (busy, idle, progress.take_snapshot(grid))]
    assert [bill.places for bill in bills] == [2, 2, 1]
    assert bills[0].seconds_left == bills[1].seconds_left < bills[2].seconds_left


def test_names_and_words_are_whole_at_any_width(grid, capsys, monkeypatch):
    make(named(grid, "tiny.nli.s1"))
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        lines = re.sub(r"\x1b\[[\d;]*m", "", status(capsys)).splitlines()
        assert max(map(len, lines)) <= width
        assert set(grid.recipes) <= {line.split()[0] for line in lines if line}
        assert all(f" {word}" in " " + " ".join(lines) for word in ("trained", "predictions:"))


def test_trained_steps_are_counted_by_recipe(grid, capsys):
    before = progress.take_snapshot(grid).trained("tiny")
    make(named(grid, "tiny.nli.s1"))
    after = progress.take_snapshot(grid).trained("tiny")
    changed = {recipe for recipe in after if after[recipe] != before[recipe]}
    assert "nli" in changed
    assert "none" not in changed
    assert after["nli"].startswith("1/")


def test_a_width_of_zero_is_unknown(grid, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    assert "small: 0 of 4 cells done" in status(capsys)


def test_a_step_that_a_cell_needs_again_is_not_trained(grid):
    paraphrase, tatoeba = (score for score in grid.scores() if score.cell.recipe == "nli")
    make(paraphrase)  # its checkpoints were deleted
    assert progress.take_snapshot(grid).trained("tiny")["nli"] == "1/3"
    make(tatoeba)
    assert progress.take_snapshot(grid).trained("tiny")["nli"] == "3/3"


def test_watch_without_a_terminal_prints_lines(grid, capsys):
    make(*grid.scores())
    text = status(capsys, "--watch")
    assert text.startswith("cells: done 4; jobs: none; CPU time of trainings and predictions: ")
    assert text.count("\n") == 1


def test_panel_counts_by_phase(grid):
    step, score = named(grid, "tiny.nli.s1"), grid.scores()[0]
    lock(step)
    store.write_text(store.failure_file(named(grid, "tiny.paraphrase.s1").id), "[bold]no")
    make(score)
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    snapshot = progress.take_snapshot(grid)
    console.print(watch.panel(snapshot, STUDY, finished=3, elapsed=60))
    text = console.file.getvalue()
    rows = {cells[1]: cells[2:-1] for line in text.splitlines() if (cells := line.split())[2:]}
    assert rows["train"] == ["1", "1", "1"]  # running, failed, to do
    assert rows["cells"] == ["1", "1", "2"]  # done, running, to do
    assert "3 finished in 60 s, 180 per hour" in text
    assert re.search(r"━ +1 of \d+ artefacts, \d+ %", text)
    assert "cells done (25 %)" in text
    assert "queued" not in text
    assert "[bold]no" in text


def test_all_but_one_is_not_all():
    assert [share_done(*n) for n in ((593, 594), (594, 594))] == ["99 %", "100 %"]
