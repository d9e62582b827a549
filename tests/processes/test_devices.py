"""GPUs of a machine without SLURM: each job has its own; the GPUs are pretended."""

import os
import signal
import subprocess
import sys
import time

import pytest

from xstilts.errors import InputError
from xstilts.processes import devices
from xstilts.processes.devices import OFFERED, VISIBLE

HOLD = """
import sys, time
from xstilts.processes import devices
with devices.taken(int(sys.argv[1])):
    print(devices.os.environ[devices.VISIBLE], flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with locks of its own, and no GPU that can be counted."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setenv(OFFERED, "")  # so that it is restored
    monkeypatch.delenv(OFFERED)
    monkeypatch.setattr(devices, "_NVIDIA", tmp_path / "none")
    monkeypatch.setattr(devices, "_AMD", tmp_path / "none")
    monkeypatch.setenv("SLURM_JOB_ID", f"test{os.getpid()}-{time.time_ns()}")  # names the locks
    monkeypatch.setattr(devices, "_WAIT_SECONDS", 0.05)
    yield
    folder = devices._folder()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


@pytest.fixture
def hold():
    """Function that starts a process which holds GPUs; returns it and the names."""
    processes = []

    def start(number: int) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-c", HOLD, str(number)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1], processes[-1].stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("visible", "names"),
    [("0,2", ["0", "2"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("GPU-8a", ["GPU-8a"])],
)
def test_visible_gpus_are_the_machines(monkeypatch, visible, names):
    monkeypatch.setenv(VISIBLE, visible)
    assert devices.present() == names


def test_gpus_are_counted_without_a_library(tmp_path, monkeypatch):
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "nvidia" / bus).mkdir(parents=True)
    monkeypatch.setattr(devices, "_NVIDIA", tmp_path / "nvidia")
    assert devices.present() == ["0", "1"]
    assert devices.offer(None) == 2


def test_gpus_of_amd_are_counted(tmp_path, monkeypatch):
    for node, id in enumerate(("0", "4711", "4712")):
        (tmp_path / "amd" / str(node)).mkdir(parents=True)
        (tmp_path / "amd" / str(node) / "gpu_id").write_text(f"{id}\n")
    monkeypatch.setattr(devices, "_AMD", tmp_path / "amd")
    assert devices.present() == ["0", "1"]


@pytest.mark.parametrize(
    ("visible", "stated", "parallel", "offered"),
    [
        ("0,1,2", None, 3, "0,1,2"),
        ("0,1,2", 2, 2, "0,1,2"),
        ("0", 4, 4, "0"),
        (None, 4, 4, "0,1,2,3"),
        (None, None, 1, ""),
        ("", None, 1, ""),
        ("", 4, 4, ""),
    ],
)
def test_stated_number_limits_what_is_found(monkeypatch, visible, stated, parallel, offered):
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert devices.offer(stated) == parallel
    assert os.environ.pop(OFFERED) == offered


def test_each_job_has_its_own_gpu(monkeypatch, hold):
    monkeypatch.setenv(OFFERED, "0,1,2")
    (_, first), (_, second) = hold(1), hold(2)
    assert (first, second) == ("0", "1,2")


def test_gpu_of_a_killed_job_is_free(monkeypatch, hold):
    monkeypatch.setenv(OFFERED, "0,1")
    job, name = hold(1)
    job.send_signal(signal.SIGKILL)
    job.wait()
    with devices.taken(2):
        assert name in os.environ[VISIBLE]


def test_job_waits_for_a_gpu(monkeypatch, hold):
    monkeypatch.setenv(OFFERED, "0,1")
    job, _ = hold(1)
    waiting = subprocess.Popen(
        [sys.executable, "-c", HOLD, "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with devices.taken(1):  # the waiting job keeps none of the two
        assert os.environ[VISIBLE] == "1"
    job.kill()
    assert waiting.stdout.readline().strip() == "0,1"
    waiting.kill()
    waiting.communicate()


def test_processes_of_a_job_keep_its_gpu(monkeypatch):
    monkeypatch.setenv(OFFERED, "0")
    with devices.taken(1):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    with pytest.raises(TimeoutError), _seconds(0.5), devices.taken(1):
        pass
    child.kill()
    child.wait()
    with devices.taken(1):
        assert os.environ[VISIBLE] == "0"


class _seconds:
    """A context that raises TimeoutError after some seconds."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __enter__(self):
        signal.signal(signal.SIGALRM, self._raise)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _raise(self, *_):
        raise TimeoutError


def test_job_without_a_gpu_sees_none(monkeypatch):
    monkeypatch.setenv(OFFERED, "0,1")
    with devices.taken(0):
        assert os.environ[VISIBLE] == ""
    assert VISIBLE not in os.environ


def test_gpus_that_slurm_chose_stay(monkeypatch):
    monkeypatch.setenv(VISIBLE, "3")
    with devices.taken(1):
        assert os.environ[VISIBLE] == "3"


def test_processes_of_a_job_share_its_gpu(monkeypatch):
    monkeypatch.setenv(OFFERED, "0,1")
    with devices.taken(1), devices.taken(1):
        assert os.environ[VISIBLE] == "0"


def test_too_few_gpus_are_a_message(monkeypatch):
    monkeypatch.setenv(OFFERED, "0,1")
    message = "needs 4 GPUs, but this machine offers 2"
    with pytest.raises(InputError, match=message), devices.taken(4):
        pass


def test_process_that_used_a_gpu_keeps_it(monkeypatch, hold):
    monkeypatch.setenv(OFFERED, "0,1")
    monkeypatch.setattr(devices, "_uses_cuda", lambda: True)
    with devices.taken(1):
        mine = os.environ[VISIBLE]
    with devices.taken(1):
        assert os.environ[VISIBLE] == mine
    monkeypatch.setenv(OFFERED, "0,1")
    assert hold(1)[1] != mine
