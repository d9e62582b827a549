"""Jobs that are forks behave as processes of their own."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests import PATIENCE, ROOT, SMALL, eventually
from xstilts.grid.state import open_study
from xstilts.processes import fork_server
from xstilts.store import locks, provenance, read_json

START = """
import os, sys
from xstilts.processes import fork_server
fork_server.start()
print(os.environ[fork_server.ADDRESS], flush=True)
sys.stdin.read()
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
ENVIRONMENT.pop(fork_server.ADDRESS, None)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


@dataclass
class Run:
    """A process that has started a server, as Snakemake does, and the jobs of its run."""

    folder: Path
    process: subprocess.Popen
    address: str

    @property
    def server(self) -> psutil.Process:
        """The server's process."""
        (server,) = psutil.Process(self.process.pid).children()
        return server

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        """Start a job."""
        return subprocess.Popen(
            [sys.executable, "-m", "xstilts", *arguments],
            cwd=self.folder,
            env=ENVIRONMENT | {fork_server.ADDRESS: self.address} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> None:
        """End the process that has started the server."""
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture
def run(tmp_path):
    shutil.copytree(SMALL, tmp_path / "config")
    command = [sys.executable, "-c", START]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, **pipes) as process:
        yield Run(tmp_path, process, process.stdout.readline().strip())


@pytest.fixture
def data(monkeypatch, tmp_path) -> str:
    """The id of a data set."""
    monkeypatch.chdir(tmp_path)
    grid, _ = open_study(SMALL / "config.yaml")
    return min(grid.artefacts().datasets)


@pytest.fixture
def waiting(run, data):
    """A fork that waits for a lock, and its client."""
    with locks.held([data]):
        client = started(run, data)
        (fork,) = run.server.children()
        yield client, fork


def started(run: Run, data: str) -> subprocess.Popen:
    """A job that waits for a lock."""
    client = run.start("prepare", data)
    assert is_waiting(client)
    return client


def is_waiting(job: subprocess.Popen) -> bool:
    return any("waiting" in line for line in job.stderr)


def outcome(job: subprocess.Popen) -> tuple[int, str, str]:
    output, errors = job.communicate(timeout=PATIENCE)
    return job.returncode, output, errors


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fork_writes_the_same_bytes(run, data):
    path = run.folder / "results/data" / data
    status, *messages = outcome(run.start("prepare", data))
    forked = files(path)
    shutil.rmtree(path)
    expected = outcome(run.start("prepare", data, XSTILTS_FORK_SERVER="off"))
    assert (status, *messages) == expected
    assert status == 0
    assert files(path)["data.parquet"] == forked["data.parquet"]


@pytest.mark.parametrize("arguments", [["prepare", "--help"], ["prepare"], ["score", "no.such"]])
def test_status_and_messages_are_the_same(run, arguments):
    expected = outcome(run.start(*arguments, XSTILTS_FORK_SERVER="off"))
    assert outcome(run.start(*arguments)) == expected
    assert run.server.cpu_times().user > 0.1  # it has imported the stage


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_reach_the_fork(waiting, number, status):
    client, fork = waiting
    client.send_signal(number)
    assert outcome(client)[0] == status
    assert eventually(lambda: not fork.is_running())


def test_killed_client_ends_its_fork(waiting):
    client, fork = waiting
    client.kill()
    assert eventually(lambda: not fork.is_running())


def test_killed_fork_ends_its_client_the_same_way(waiting):
    client, fork = waiting
    fork.kill()
    assert outcome(client)[0] == -signal.SIGKILL


def test_fork_is_suspended_with_its_client(waiting):
    client, fork = waiting
    client.send_signal(signal.SIGTSTP)
    both = [fork, psutil.Process(client.pid)]  # one that still runs would ignore SIGCONT
    assert eventually(lambda: all(one.status() == psutil.STATUS_STOPPED for one in both))
    client.send_signal(signal.SIGCONT)
    assert eventually(lambda: fork.status() != psutil.STATUS_STOPPED)


def test_jobs_survive_the_server(run, data):
    with locks.held([data]):
        client = started(run, data)
        run.server.kill()
        assert is_waiting(client)
    assert outcome(client)[0] == 0


def test_server_ends_after_the_last_job(waiting, run):
    client, _ = waiting
    server = run.server
    run.end()
    assert eventually(lambda: not Path(run.address).parent.exists())
    assert server.is_running()
    client.terminate()
    assert outcome(client)[0] == 143
    assert eventually(lambda: not server.is_running())


def test_snapshot_is_read_once_for_all_forks(run, data):
    snapshot = run.folder / "study.json"
    snapshot.write_text(open_study(SMALL / "config.yaml")[0].project.model_dump_json())
    for _ in range(2):
        assert outcome(run.start("prepare", data, "--study", "study.json"))[0] == 0
        shutil.rmtree(run.folder / "results/data" / data)
        snapshot.unlink(missing_ok=True)


def test_provenance_has_what_the_fork_used(run, data):
    assert outcome(run.start("prepare", data))[0] == 0
    provenance = read_json(run.folder / "results/data" / data / "manifest.json")["provenance"]
    forks = run.server.cpu_times()
    assert 0 < provenance["cpu_seconds"] < forks.children_user + forks.children_system + 0.1
    assert 20 < provenance["memory_mb"] < 2000


def test_other_environments_have_their_own_process(waiting, run):
    job = run.start("prepare", "no.such", OTHER="1")
    assert outcome(job)[0] == 2
    assert len(run.server.children()) == 1


def test_stale_socket_is_ignored(run):
    run.server.kill()
    assert Path(run.address).exists()
    assert outcome(run.start("prepare", "no.such"))[0] == 2


def test_socket_is_private(run):
    assert stat.S_IMODE(Path(run.address).parent.stat().st_mode) == 0o700
    assert len(run.address) < 108


@pytest.mark.parametrize(
    ("variable", "value"), [("SLURM_JOB_ID", "1"), (fork_server.ADDRESS, "off")]
)
def test_no_server_where_it_is_unwanted(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    fork_server.start()


def test_no_server_next_to_a_gpu(tmp_path, monkeypatch):
    monkeypatch.delenv(fork_server.ADDRESS, raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(fork_server, "_ACCELERATORS", [str(tmp_path)])
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    fork_server.start()


def test_repeated_work_is_done_before_the_fork(monkeypatch):
    conversions = pytest.importorskip("transformers.conversion_mapping")
    monkeypatch.setattr(conversions, "_checkpoint_conversion_mapping_cache", None)
    provenance.libraries.cache_clear()
    fork_server.compute_once(loads_weights=False)
    assert provenance.libraries.cache_info().currsize == 1
    assert conversions._checkpoint_conversion_mapping_cache is None
    fork_server.compute_once(loads_weights=True)
    assert conversions._checkpoint_conversion_mapping_cache
