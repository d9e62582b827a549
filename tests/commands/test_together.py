"""Several trainings at the same time on one GPU; a shell script stands in for each process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import ROOT, restored_signals
from xstilts import store
from xstilts.commands import together
from xstilts.costs.measured import Benchmark
from xstilts.errors import Stopped

# python -m xstilts train --threads 1 ID --log LOG
PROCESS = """#!/bin/sh
trap 'touch "$6.saved"; exit 143' TERM
echo "$@" > "$6.arguments"
for i in $(seq 1200); do
    [ -e "$6.end" ] && exit "$(cat "$6.end")"
    [ -e start ] && touch "$6.made" && exit 0
    sleep 0.05
done
"""
ARGUMENTS = ["train", "--threads", "1", "a.1", "b.2", "--log", "results/logs/train/both.log"]


@pytest.fixture
def artefacts(tmp_path, monkeypatch):
    """Two missing artefacts in a results folder; their processes are stand-ins."""
    monkeypatch.chdir(tmp_path)
    store.SCRATCH.mkdir(parents=True)
    script = tmp_path / "python"
    script.write_text(PROCESS)
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with restored_signals():
        yield [artefact(id) for id in ("a.1", "b.2")]


def artefact(id: str):
    job = SimpleNamespace(log=Path(f"results/logs/train/{id}.log"), benchmark=Path(f"{id}.tsv"))
    return SimpleNamespace(id=id, files=[f"{id}.made"], job=job)


def test_each_process_has_its_own_id_and_log(artefacts):
    Path("start").touch()
    together.run(artefacts, ARGUMENTS)
    for id in ("a.1", "b.2"):
        expected = f"-m xstilts train --threads 1 {id} --log results/logs/train/{id}.log\n"
        assert Path(f"{id}.arguments").read_text() == expected


def test_processes_run_at_the_same_time(artefacts):
    thread = threading.Thread(target=_when_both_run, args=(lambda: Path("start").touch(),))
    thread.start()
    together.run(artefacts, ARGUMENTS)
    thread.join()
    assert all(Path(f"{id}.made").exists() for id in ("a.1", "b.2"))


def _when_both_run(action) -> None:
    while not all(Path(f"{id}.arguments").exists() for id in ("a.1", "b.2")):
        time.sleep(0.02)
    action()


def test_complete_ones_are_not_started(artefacts):
    Path("a.1.made").touch()
    Path("start").touch()
    together.run(artefacts, ARGUMENTS)
    assert not Path("a.1.arguments").exists()
    assert Path("b.2.made").exists()
    together.run(artefacts, ARGUMENTS)  # starts nothing


def test_one_failure_does_not_stop_the_other(artefacts, caplog):
    Path("a.1.end").write_text("2")
    thread = threading.Thread(target=_when_both_run, args=(lambda: Path("start").touch(),))
    thread.start()
    with pytest.raises(SystemExit):
        together.run(artefacts, ARGUMENTS)
    thread.join()
    assert Path("b.2.made").exists()
    assert "a.1: failed; its log is results/logs/train/a.1.log" in caplog.text
    assert "b.2: failed" not in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_each_process_save(artefacts, number):
    before = signal.getsignal(number)

    def interrupt() -> None:
        while signal.getsignal(number) == before:  # a job is not interrupted as it starts
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=_when_both_run, args=(interrupt,))
    thread.start()
    with pytest.raises(Stopped, match="the next run resumes"):
        together.run(artefacts, ARGUMENTS)
    thread.join()
    assert all(Path(f"{id}.saved").exists() for id in ("a.1", "b.2"))


def test_processes_end_with_a_killed_job(artefacts, monkeypatch):
    folder = Path.cwd()
    monkeypatch.undo()
    code = (
        "import sys\nfrom tests.commands.test_together import artefact\n"
        "from xstilts.commands import together"
        f"\nsys.executable = {str(folder / 'python')!r}"
        f"\ntogether.run([artefact('a.1'), artefact('b.2')], {ARGUMENTS!r})"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "workflow")])
    environment = os.environ | {"PYTHONPATH": path}
    job = subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment)
    _wait(folder / "b.2.arguments")
    job.kill()
    job.wait()
    _wait(folder / "a.1.saved")
    _wait(folder / "b.2.saved")


def _wait(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def test_time_of_the_gpu_is_divided(artefacts):
    Path("start").touch()
    together.run(artefacts, ARGUMENTS)
    first, second = (Benchmark.read(Path(f"{id}.tsv")) for id in ("a.1", "b.2"))
    assert first == second
    assert first.cells == 2
