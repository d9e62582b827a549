"""Results folders that are full, read-only, or show new files late."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import PATIENCE
from tests.slurm.checkouts import SITE
from tests.slurm.cluster import until


@pytest.fixture
def small_disk(training):
    """The training's results on a file system of their own, of 30 MB."""
    results = training.folder / "results"
    kept = training.folder / "kept"
    results.rename(kept)
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", results], check=True)
    shutil.copytree(kept, results, dirs_exist_ok=True)
    yield training
    subprocess.run(["umount", "--lazy", results], check=True)


def fill(path: Path) -> None:
    """Write a file until there is no room for a byte more."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def test_read_only_then_full_disk_is_named(small_disk):
    training = small_disk
    results = training.folder / "results"
    subprocess.run(["mount", "-o", "remount,ro", results], check=True)
    process = training.start()
    assert process.wait(PATIENCE) != 0
    assert "results: cannot write here: Read-only file system" in training.said()
    assert training.jobs() == []
    subprocess.run(["mount", "-o", "remount,rw", results], check=True)

    process = training.start("--retries", "0", pause=True)
    with training.frozen():
        filler = results / "filler"
        fill(filler)
    assert process.wait(PATIENCE) != 0
    assert "results: cannot write here: No space left on device" in training.said()
    assert "Traceback" not in training.said()
    assert not list(training.folder.glob(f"results/checkpoints/{training.expected.step}/*.json"))
    assert training.trains() is None
    filler.unlink()
    training.finish(training.start())
    assert "resuming from step" in training.log()


def newest(studies: Path) -> float:
    return max((path.stat().st_mtime for path in studies.glob("*/study.*.json")), default=0)


def test_files_that_show_late_are_waited_for(training, tmp_path):
    site = SITE | {"partitions": {"cpu": "cpu", "gpu": "other"}}
    training.configure("profiles/slurm/site.yaml", site)
    here, server = training.folder / "results", tmp_path / "server"
    log = f"logs/slurm/rule_train/{training.expected.step}"  # made by Snakemake, needed by SLURM
    shutil.copytree(here, server)
    (server / log).mkdir(parents=True)
    node = ["nsenter", "--mount", f"--target={training.cluster.daemons['n3'].pid}"]
    subprocess.run([*node, "mount", "--bind", server, here], check=True)
    try:
        started = time.time()
        process = training.start()
        snapshots = here / "studies"  # the head node's writes are visible, only the jobs' are late
        until(lambda: newest(snapshots) >= started, "the run writes its snapshot")
        shutil.copytree(here / "studies", server / "studies", dirs_exist_ok=True)
        states = ("COMPLETED", "FAILED")
        until(lambda: training.jobs() and training.job["JobState"] in states, "the job ends")
        made = Path("checkpoints") / training.expected.step / "manifest.json"
        assert (server / made).exists()
        until(lambda: "missing files" in training.said(), "Snakemake waits for the file")
        assert not (here / made).exists()
        shutil.copytree(server, here, dirs_exist_ok=True)
        training.finish(process)
    finally:
        subprocess.run([*node, "umount", here], check=True)
    assert len(training.jobs()) == 1
