"""Overhead of submitting jobs with Snakemake, compared with `sbatch` of the same commands.

    python benchmarks/submission.py [JOBS]

Trains JOBS (default: 8) steps of four updates on a SLURM cluster that it starts and stops
(`make test-slurm` names the Debian packages): once with `sbatch` alone, and once with the workflow
and its SLURM profile, which here asks for the states of jobs twice a second. Two jobs run in
parallel. Prints, per job, the wall seconds of both, their ratio, and the processor seconds of the
Snakemake process that submits.
"""

import os
import resource
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "slurm"), str(ROOT / "workflow")]

from checkouts import NEEDS, Checkout, new_checkout  # noqa: E402
from cluster import Cluster, until  # noqa: E402

from xstilts.grid.state import open_study  # noqa: E402


def study(jobs: int) -> dict:
    """Return a study with this number of trainings."""
    return {
        "study": "submission",
        "models": ["tiny"],
        "recipes": ["none"],
        "targets": ["nli"],
        "seeds": list(range(1, jobs + 1)),
        "train": {"max_steps": 4, "batch_size": 8, "learning_rate": 1e-3},
    }


def by_sbatch(checkout: Checkout, steps: list[str]) -> float:
    """Return the wall seconds of the trainings, submitted with `sbatch`."""
    (path,) = checkout.folder.glob("results/studies/submission/study.*.json")
    snapshot = str(path.relative_to(checkout.folder))
    options = f"-p gpu --gpus=1 --mem={NEEDS['mem_mb']} -t {NEEDS['runtime']} -o /dev/null"
    start = time.monotonic()
    for step in steps:
        train = shlex.join([sys.executable, "-m", "xstilts", "train", "--study", snapshot, step])
        folder = ["-D", str(checkout.folder)]
        checkout.cluster.command("sbatch", *options.split(), *folder, "--wrap", train)
    until(lambda: not checkout.cluster.jobs(), "the jobs end", 3600)
    seconds = time.monotonic() - start
    made = [checkout.folder / "results/checkpoints" / step / "manifest.json" for step in steps]
    assert all(path.exists() for path in made)
    return seconds


def by_snakemake(checkout: Checkout, steps: list[str]) -> tuple[float, float]:
    """Return the wall seconds with the workflow, and processor seconds of its main process."""
    start, own = time.monotonic(), children_seconds()
    checkout.run(*(f"results/checkpoints/{step}/manifest.json" for step in steps))
    return time.monotonic() - start, children_seconds() - own


def children_seconds() -> float:
    """Return the processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print the seconds per job."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    folder = Path(tempfile.mkdtemp(prefix="submission-"))
    try:
        with Cluster(folder / "cluster", accounting=False) as cluster:
            checkout = new_checkout(folder / "checkout", cluster, study(jobs), {"resources": NEEDS})
            artefacts = open_study(checkout.folder / "config/config.yaml")[0].artefacts()
            trained = [node for node in artefacts.checkpoints.values() if node.parent]
            parent = trained[0].parent.path
            data = [data.path for data in trained[0].datasets]
            checkout.run(*(f"{path}/manifest.json" for path in [parent, *data]))
            os.environ["PYTHONPATH"] = str(checkout.folder / "workflow")
            steps = [node.id for node in trained]
            plain = by_sbatch(checkout, steps)
            for step in steps:
                shutil.rmtree(checkout.folder / "results/checkpoints" / step)
            wall, own = by_snakemake(checkout, steps)
    finally:
        shutil.rmtree(folder)
    print(
        f"{jobs} jobs, seconds per job: {plain / jobs:.2f} with sbatch, {wall / jobs:.2f} with the "
        f"workflow, ratio {wall / plain:.2f}; processor of Snakemake: {own / jobs:.2f}"
    )


if __name__ == "__main__":
    main()
