"""Faults of a cluster during a training: the weights equal those of an undisturbed training.

A training pauses as soon as its state is saved, so that the fault meets it half done.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests import PATIENCE
from tests.paused import is_told_to_end
from tests.slurm.checkouts import NEEDS, SITE, new_training
from tests.slurm.cluster import Cluster, until


@pytest.fixture(scope="module", autouse=True)
def time_limited(cluster, undisturbed, tmp_path_factory):
    """A run whose training exceeds its limit; a minute goes by, so it is beside the other tests."""
    folder = tmp_path_factory.mktemp("limit") / "checkout"
    training = new_training(folder, cluster, undisturbed, {**NEEDS, "runtime": 3})
    site = SITE | {"partitions": {"cpu": "cpu", "gpu": "other"}, "save_seconds": 60}
    training.configure("profiles/slurm/site.yaml", site)
    process = training.start(pause=True)

    def until_warned() -> None:
        pid = training.freeze()
        until(lambda: is_told_to_end(pid), "SLURM warns of the time limit")
        with suppress(ProcessLookupError):  # SLURM has sent SIGCONT itself
            resume(pid)

    with ThreadPoolExecutor() as pool:
        yield training, process, pool.submit(until_warned)
        training.stop()


def resume(pid: int) -> None:
    """Let a stopped process go on."""
    os.kill(pid, signal.SIGCONT)


def test_cancelled(training):
    process = training.start(pause=True)
    training.freeze()
    first = training.job
    training.cluster.command("scancel", first["JobId"])
    training.finish(process)
    states = [job["JobState"] for job in training.jobs()]
    assert states == ["CANCELLED", "COMPLETED"]
    assert "resuming from step" in training.log()
    assert (first["TimeLimit"], training.job["TimeLimit"]) == ("00:05:00", "00:10:00")
    assert f"'{first['JobId']}' failed, SLURM status is: 'CANCELLED'" in training.said()
    assert f"train tiny.nli.s1: SLURM job {first['JobId']} was cancelled" in training.said()


def test_too_little_memory(cluster, undisturbed, tmp_path):
    needs = {"gpu": 1, "mem_mb": 450, "runtime": 5}
    training = new_training(tmp_path / "checkout", cluster, undisturbed, needs)
    training.finish(training.start())
    jobs = training.jobs()
    assert [job["MinMemoryNode"] for job in jobs] == ["450M", "900M", "1350M"][: len(jobs)]
    assert jobs[0]["JobState"] in ("OUT_OF_MEMORY", "CANCELLED", "FAILED")
    assert len(jobs) > 1


def test_preempted(training):
    process = training.start(pause=True)
    training.freeze()
    first = training.job
    more_important = ["--partition=first", "--nodes=2", "--gpus-per-node=1", "--output=/dev/null"]
    training.cluster.command("sbatch", *more_important, "--wrap", "sleep 1")
    until(lambda: training.job["JobState"] == "PENDING", "the training gives way")
    training.finish(process)
    (job,) = training.jobs()
    assert (job["JobId"], job["Restarts"]) == (first["JobId"], "1")
    assert "resuming from step" in training.log()


def test_node_set_down(training):
    cluster = training.cluster
    process = training.start(pause=True)
    training.freeze()
    first = training.job
    node = first["NodeList"]
    cluster.command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        training.finish(process)
    finally:
        cluster.command("scontrol", "update", f"nodename={node}", "state=resume")
    (job,) = training.jobs()
    assert (job["JobId"], job["Restarts"]) == (first["JobId"], "1")
    assert job["NodeList"] != node
    assert "resuming from step" in training.log()
    assert f"SLURM job {job['JobId']} is in the queue again" in training.said()


def test_node_lost_while_its_training_lives_on(training):
    cluster = training.cluster
    process = training.start(pause=True)
    survivor = training.freeze()
    node = training.job["NodeList"]
    cluster.kill(node)
    try:
        until(lambda: training.job["Restarts"] == "1", "SLURM starts the job elsewhere")
        until(lambda: "is making it; waiting" in training.log(), "the second waits")
        assert f"process {survivor} on " in training.log()
        assert training.trains() == survivor
        resume(survivor)
        training.finish(process)
    finally:
        cluster.start(node)
    assert "already complete" in training.log()
    assert "resuming" not in training.log()


def test_controller_restarted(training):
    cluster = training.cluster
    process = training.start(pause=True)
    pid = training.freeze()
    cluster.kill("slurmctld")
    assert not cluster.answers()
    resume(pid)
    process.send_signal(signal.SIGHUP)  # the terminal closes; Snakemake continues
    until(lambda: training.trains() is None, "the training ends without the controller")
    until(lambda: "squeue does not answer" in training.said(), "Snakemake asks")
    cluster.start("slurmctld")
    until(cluster.answers, "the controller is back")
    training.finish(process)
    assert [job["JobState"] for job in training.jobs()] == ["COMPLETED"]
    assert training.said().count("squeue does not answer") == 1
    assert "squeue answers again" in training.said()


def test_accounting_database_down(training):
    cluster = training.cluster
    process = training.start(pause=True)
    pid = training.freeze()
    cluster.kill("slurmdbd")
    resume(pid)
    try:
        training.finish(process)
    finally:
        cluster.start("slurmdbd")
    assert [job["JobState"] for job in training.jobs()] == ["COMPLETED"]


def test_without_accounting(undisturbed, tmp_path, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("plain"), accounting=False) as cluster:
        training = new_training(tmp_path / "checkout", cluster, undisturbed)
        training.finish(training.start())


def test_snakemake_killed(training):
    killed = training.start(pause=True)
    pid = training.freeze()
    killed.kill()
    killed.wait()
    again = training.start()
    assert again.wait(PATIENCE) != 0
    assert "snakemake --unlock" in training.said() or "--unlock" in training.said()
    unlocked = training.start("--unlock")
    assert unlocked.wait(PATIENCE) == 0, training.said()
    process = training.start()
    until(lambda: len(training.jobs()) == 2, "the second run submits")
    first, second = training.jobs()
    assert (first["JobState"], second["JobState"]) == ("RUNNING", "PENDING")
    assert second["Dependency"].startswith(f"afterany:{first['JobId']}")
    assert training.trains() == pid
    resume(pid)
    training.finish(process)
    assert [job["JobState"] for job in training.jobs()] == ["COMPLETED", "COMPLETED"]
    assert "already complete" in training.log()
    assert training.run() == []


def test_time_limit(time_limited):
    training, process, warned = time_limited
    warned.result()
    training.finish(process)
    *stopped, last = training.jobs()
    assert {job["JobState"] for job in stopped} <= {"FAILED", "TIMEOUT"}
    assert (stopped[0]["TimeLimit"], last["JobState"]) == ("00:03:00", "COMPLETED")
    assert last["TimeLimit"] in ("00:06:00", "00:09:00")  # a third where the machine is very busy
    step = int(training.log().split("resuming from step ")[1].split()[0])
    (log,) = training.folder.glob(f"results/logs/slurm/rule_train/*/{stopped[-1]['JobId']}.log")
    assert f"stopped at step {step} of" in log.read_text(), "the state is saved at the warning"
