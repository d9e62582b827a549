"""A signal ends a command in one line, whatever the command does at that moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import ROOT, restored_signals
from xstilts.grid.state import open_study
from xstilts.processes import signals

SENDS = "import os; os.kill(os.getpid(), {number})\n"
WRAPS = "import os\ntry: os.kill(os.getpid(), {number})\nexcept BaseException: raise ImportError\n"
NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def id(small_folder) -> str:
    """The id of the small study's initial model, which `initialise` makes with torch."""
    grid, _ = open_study(Path("config/config.yaml"))
    return grid.trainings.root("tiny").lineage()[0].id


def outcome(module: str, code: str, *arguments: str) -> tuple[int, str]:
    """Run a command that imports other code as `module`; return its status and its messages."""
    Path("other").mkdir()
    Path(f"other/{module}.py").write_text(code)
    places = os.pathsep.join([str(Path("other").resolve()), str(ROOT / "workflow")])
    environment = os.environ | {"PYTHONPATH": places, "XSTILTS_FORK_SERVER": "off"}
    command = [sys.executable, "-m", "xstilts", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("module", ["socket", "pydantic"])  # of the first lines, of the commands
def test_signal_during_imports_ends_in_one_line(id, module, number):
    word = "interrupted" if number == signal.SIGINT else "stopped"
    expected = (128 + number, f"xstilts initialise: {word}\n")
    assert outcome(module, SENDS.format(number=number), "initialise", id) == expected


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("code", [SENDS, WRAPS])
def test_signal_while_a_job_imports_releases_its_lock(id, code, number):
    status, messages = outcome("torch", code.format(number=number), "initialise", id)
    assert status == 128 + number
    _, line = messages.splitlines()  # the first is of the study
    assert line.startswith("xstilts initialise: ")
    assert not list(Path("results/scratch").glob("*"))


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_while_a_study_is_read_ends_in_one_line(id, number):
    status, messages = outcome("yaml", SENDS.format(number=number), "status")
    assert (status, messages.count("\n")) == (128 + number, 1)


def test_ctrl_c_while_snakemake_plans_ends_in_one_line(capfd):
    # a shell that starts the tests in the background lets them ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signals.end_planning()
    with pytest.raises(SystemExit, match="130"):
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err.splitlines() == [
        "snakemake: interrupted before the first job; nothing is unfinished"
    ]
    signals.planned()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_wait_for_processes_often_looks_for_signals():
    """A signal just before a blocking call would be seen after it, hours later perhaps."""
    waits = []

    def wait(seconds: float) -> int:
        waits.append(seconds)
        if len(waits) < 4:
            raise subprocess.TimeoutExpired("train", seconds)
        return 0

    with restored_signals():
        assert signals.wait_for([SimpleNamespace(wait=wait)]) == [0]
    assert len(waits) == 4
    assert max(waits) <= 1
