"""How long Snakemake plans a study, and with how much memory: dry runs of growing studies.

    python benchmarks/dag.py

A row per size: models x recipes x targets x seeds, the jobs that Snakemake counts, seconds and
megabytes of the whole process, and these as ratio to the smallest size. The workflow's code is
copied to a temporary folder; nothing is trained.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CODE = ("Snakefile", "workflow", "profiles", "envs")
TEXT = {
    "family": "mask",
    "roles": ["pretraining"],
    "languages": ["en"],
    "splits": {"train": {"source": "lab", "kind": "text", "size": 100}},
}
ARCHITECTURE = {"model_type": "xlm-roberta", "num_hidden_layers": 1}


@dataclass(frozen=True)
class Size:
    """The edges of a grid."""

    models: int
    recipes: int  # of at most 20 targets' tasks: `none`, single steps, sequences of two
    targets: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.models} x {self.recipes} x {self.targets} x {self.seeds}"


@dataclass(frozen=True)
class DryRun:
    """What planning cost, and the jobs by rule."""

    jobs: dict[str, int]
    seconds: float  # of processor time, user and system
    megabytes: float  # peak resident memory


SIZES = [Size(1, 4, 3, 1), Size(1, 10, 9, 5), Size(3, 10, 9, 5), Size(3, 20, 18, 5)]


def write_study(folder: Path, size: Size) -> Path:
    """Copy the workflow's code to `folder` and write definitions and a study of that size.

    Every target is also an intermediate task, on a variant of its data, so no two cells are equal.
    Returns the path of the study.
    """
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)
    names = [f"task{number}" for number in range(size.targets)]
    single = [f"{name}~{thousand}k" for thousand in (1, 2, 3) for name in names]
    models = {
        f"model{number}": {
            "init": {
                "architecture": ARCHITECTURE,
                "tokenizer": {"task": "text", "vocabulary": 100},
                "seed": number,
            }
        }
        for number in range(size.models)
    }
    study = {
        "study": "grid",
        "models": list(models),
        "recipes": ["none", *single][: size.recipes],
        "targets": names,
        "seeds": list(range(1, size.seeds + 1)),
    }
    tasks = {name: _task(number) for number, name in enumerate(names)}
    config = folder / "config"
    for path, content in (
        ("config.yaml", study),
        ("tasks/tasks.yaml", {"text": TEXT, **tasks}),
        ("models/models.yaml", models),
    ):
        (config / path).parent.mkdir(parents=True, exist_ok=True)
        (config / path).write_text(yaml.safe_dump(content))
    return config / "config.yaml"


def _task(seed: int) -> dict:
    splits = {"train": 5000, "test": 100}
    return {
        "family": "classify",
        "roles": ["intermediate", "target"],
        "languages": ["en", "xa", "xb", "xc", "xd"],
        "splits": {
            split: {"source": "lab", "kind": "nli", "size": rows, "seed": seed}
            for split, rows in splits.items()
        },
        "metrics": ["accuracy"],
    }


def dry_run(folder: Path) -> DryRun:
    """Plan the study in `folder` in a process of its own. Raises CalledProcessError if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counts = re.findall(r"^(\w+) +(\d+)$", process.stdout, re.M)
    jobs = {rule: int(count) for rule, count in counts}
    # the largest child so far: sizes are planned from the smallest to the largest
    return DryRun(jobs, seconds, after.ru_maxrss / 1024)


def main() -> None:
    """Print the table."""
    print(f"{'study':>16}  {'jobs':>6}  {'seconds':>8}  {'MB':>6}  ratios: jobs, seconds, MB")
    first = None
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            write_study(Path(name), size)
            found = dry_run(Path(name))
        row = (found.jobs["total"], found.seconds, found.megabytes)
        first = first or row
        ratios = "  ".join(f"{value / one:6.1f}" for value, one in zip(row, first, strict=True))
        print(f"{size!s:>16}  {row[0]:6}  {row[1]:8.1f}  {row[2]:6.0f}  {ratios}", flush=True)


if __name__ == "__main__":
    main()
