"""What submitting by Snakemake costs: jobs of a study beside bare `sbatch` of the same commands.

    python benchmarks/submission.py [JOBS]

Trains JOBS (8) steps of four updates on a SLURM cluster that it starts and stops (Debian packages:
`make test-slurm` names them), once by `sbatch` alone and once by the workflow with the profile that
it brings along, but asking for the jobs' states twice a second. Seconds per job: wall time, and
processor time of the jobs as SLURM accounts it, of Snakemake itself besides; and their ratios.
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

from xstilts.workplan import open_study  # noqa: E402


def study(jobs: int) -> dict:
    """A study of as many trainings."""
    return {
        "study": "submission",
        "models": ["tiny"],
        "recipes": ["none"],
        "targets": ["nli"],
        "seeds": list(range(1, jobs + 1)),
        "train": {"max_steps": 4, "batch_size": 8, "learning_rate": 1e-3},
    }


def by_sbatch(checkout: Checkout, steps: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of the trainings as bare jobs."""
    snapshot = "results/studies/submission/study.json"
    options = f"-p gpu --gpus=1 --mem={NEEDS['mem_mb']} -t {NEEDS['runtime']} -o /dev/null"
    before = set(checkout.cluster.jobs("ALL"))
    start = time.monotonic()
    for step in steps:
        train = shlex.join([sys.executable, "-m", "xstilts", "train", "--study", snapshot, step])
        folder = ["-D", str(checkout.folder)]
        checkout.cluster.command("sbatch", *options.split(), *folder, "--wrap", train)
    until(lambda: not checkout.cluster.jobs(), "the jobs end", 3600)
    return time.monotonic() - start, processor_seconds(checkout.cluster, before)


def by_snakemake(checkout: Checkout, steps: list[str]) -> tuple[float, float, float]:
    """Wall and processor seconds of the same by the workflow, and processor seconds of its own."""
    before = set(checkout.cluster.jobs("ALL"))
    start, own = time.monotonic(), children_seconds()
    checkout.run(*(f"results/checkpoints/{step}/manifest.json" for step in steps))
    wall = time.monotonic() - start
    return wall, processor_seconds(checkout.cluster, before), children_seconds() - own


def children_seconds() -> float:
    """Processor seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor_seconds(cluster: Cluster, without: set[int]) -> float:
    """Processor seconds of the jobs that ended since, by the accounting database."""
    new = sorted(set(cluster.jobs("ALL")) - without)

    def lines() -> list[str]:
        numbers = ",".join(map(str, new))
        states = ["sacct", "-nPXj", numbers, "-o", "State,TotalCPU"]
        return cluster.command(*states).splitlines()

    def accounted() -> bool:
        return len(lines()) == len(new) and all(x.startswith("COMPLETED") for x in lines())

    until(accounted, "every job is accounted for")
    total = 0.0
    for line in lines():
        seconds = 0.0
        for part in line.split("|")[1].replace("-", ":").split(":"):
            seconds = 60 * seconds + float(part)
        total += seconds
    return total


def main() -> None:
    """Measure, and print a table."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    folder = Path(tempfile.mkdtemp(prefix="submission-"))
    try:
        with Cluster(folder / "cluster", accounting=True) as cluster:
            checkout = new_checkout(folder / "checkout", cluster, study(jobs), {"resources": NEEDS})
            artefacts = open_study(checkout.folder / "config/config.yaml")[0].artefacts()
            trained = [node for node in artefacts.checkpoints.values() if node.parent]
            parent = trained[0].parent.path
            data = [data.path for data in trained[0].datasets]
            checkout.run(*(f"{path}/manifest.json" for path in [parent, *data]))
            os.environ["PYTHONPATH"] = str(checkout.folder / "workflow")
            steps = [node.id for node in trained]
            plain_wall, plain_cpu = by_sbatch(checkout, steps)
            for step in steps:
                shutil.rmtree(checkout.folder / "results/checkpoints" / step)
            wall, cpu, own = by_snakemake(checkout, steps)
    finally:
        shutil.rmtree(folder)
    print(f"{jobs} jobs, seconds per job       sbatch   workflow      ratio")
    print(f"wall                         {plain_wall / jobs:8.2f} {wall / jobs:10.2f} ", end="")
    print(f"{wall / plain_wall:10.2f}")
    print(f"processor, of the job        {plain_cpu / jobs:8.2f} {cpu / jobs:10.2f} ", end="")
    print(f"{cpu / plain_cpu:10.2f}")
    print(f"processor, of Snakemake      {'':8} {own / jobs:10.2f}")


if __name__ == "__main__":
    main()
