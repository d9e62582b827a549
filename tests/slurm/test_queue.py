"""The commands that Snakemake asks about its jobs, on the real controller, without Snakemake."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.slurm.cluster import until
from xstilts import status

BIN = Path(status.__file__).parent / "bin"


@pytest.fixture
def queue(cluster, tmp_path):
    """Function that submits a job, function that returns states, and the lines for the user."""
    (tmp_path / "results/scratch").mkdir(parents=True)
    run, terminal = f"xstilts_{tmp_path.name}", tmp_path / "terminal"
    terminal.touch()
    path = os.pathsep.join([str(BIN), cluster.environment["PATH"]])
    more = {"PATH": path, "XSTILTS_TERMINAL": str(terminal), "XSTILTS_LASTING_SECONDS": "1"}
    environment = cluster.environment | more

    def command(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def submit(node: str, *options: str) -> str:
        options = ("--partition=gpu", "--output=/dev/null", *options, "--wrap", "sleep 300")
        comment = f"rule_train_wildcards_{node}.0123456789ab"
        return command("sbatch", "--parsable", "--job-name", run, "--comment", comment, *options)

    def states() -> dict[str, str]:
        answer = command(*"squeue --format=%i|%T --states=all --noheader --name".split(), run)
        return dict(line.split("|") for line in answer.splitlines())

    yield submit, states, terminal
    cluster.command("scancel", "--name", run)


def test_held_job_and_one_that_never_starts_are_named(cluster, queue):
    submit, states, terminal = queue
    job = submit("a.s1", "--requeue")
    until(lambda: states()[job] == "RUNNING", "the job runs")
    cluster.command("scontrol", "requeuehold", job)
    line = f"train a.s1: SLURM job {job} is held and does not start by itself: "
    until(lambda: states() and line in terminal.read_text(), "the held job is named")
    cluster.command("scancel", job)
    until(lambda: states()[job] == "CANCELLED", "the job ends")
    assert f"train a.s1: SLURM job {job} was cancelled" in terminal.read_text()
    never = submit("b.s1", f"--dependency=afterok:{job}")
    line = f"train b.s1: SLURM job {never} waits forever"
    until(lambda: states() and line in terminal.read_text(), "its dependency is named")
    assert states()[never] == "PENDING"
    assert len(terminal.read_text().splitlines()) == 3, "each is named once"


def test_preempted_job_that_slurm_cancels_ends(cluster, queue):
    submit, states, terminal = queue
    cluster.command("scontrol", "update", "partitionname=gpu", "preemptmode=cancel")
    try:
        job = submit("a.s1", "--gpus=1")
        until(lambda: states()[job] == "RUNNING", "the job runs")
        first = ["--partition=first", "--nodes=2", "--gpus-per-node=1", "--output=/dev/null"]
        cluster.command("sbatch", *first, "--wrap", "sleep 1")
        until(lambda: states()[job] == "CANCELLED", "the plugin learns that the job has ended")
    finally:
        cluster.command("scontrol", "update", "partitionname=gpu", "preemptmode=requeue")
    assert f"train a.s1: SLURM job {job} was preempted" in terminal.read_text()


def test_controller_that_is_away_loses_no_job(cluster, queue):
    submit, states, terminal = queue
    job = submit("a.s1")
    assert job in states()
    cluster.kill("slurmctld", signal.SIGTERM)  # a killed one forgets jobs of the last seconds
    try:
        assert states() == {}  # no failure, and no end of a job
    finally:
        cluster.start("slurmctld")
        until(cluster.answers, "the controller is back")
    assert states()[job] in ("PENDING", "RUNNING")
    first, last = terminal.read_text().splitlines()
    assert first.startswith("squeue does not answer (")
    assert last == "squeue answers again"
