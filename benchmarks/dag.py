"""Time and memory that Snakemake needs to plan a study, from hundreds of cells to 100,000.

    python benchmarks/dag.py [CELLS ...]

Prints a row per size (models x recipes x targets x seeds, with the mean number of languages of
XTREME's targets): the jobs that Snakemake counts, and the processor seconds and peak megabytes of
two dry runs, without any results and with all results; then the seconds of a plain workflow with
the same jobs, whose inputs are in a file and whose resources are constants. The workflow's code is
copied to a temporary folder. Nothing is trained: results are empty files.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from xstilts.grid.base import Artefact

ROOT = Path(__file__).resolve().parents[1]
CODE = ("Snakefile", "workflow", "profiles", "envs")
LANGUAGES = ["en", *(f"x{letter}" for letter in "abcdefghijklmnopq")]
TEXT = {
    "family": "mask",
    "roles": ["pretraining"],
    "languages": ["en"],
    "splits": {"train": {"source": "lab", "kind": "text", "size": 100}},
}
ARCHITECTURE = {"model_type": "xlm-roberta", "num_hidden_layers": 1}

PLAIN = """\
import json

INPUTS = json.load(open("inputs.json"))


rule all:
    input:
        INPUTS["all"],
"""
PLAIN_RULE = """

rule {phase}:
    input:
        lambda wildcards: INPUTS[wildcards.node],
    output:
        "results/{phase}/{{node}}",
    log:
        "results/logs/{phase}/{{node}}.log",
    benchmark:
        "results/benchmarks/{phase}/{{node}}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "python -m xstilts {phase} {{wildcards.node}} --threads {{threads}} --log {{log}}"
"""
ROUNDS = 2  # of both workflows in turn; the smaller figure counts, since other work costs time


@dataclass(frozen=True)
class Size:
    """The edges of a grid."""

    models: int
    recipes: int  # `none` and single steps, three sizes of each target's training data
    targets: int
    seeds: int

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.models * self.recipes * self.targets * self.seeds

    def __str__(self) -> str:
        return f"{self.models} x {self.recipes} x {self.targets} x {self.seeds}"


@dataclass(frozen=True)
class DryRun:
    """Cost of a dry run, and the number of jobs per rule that it would run."""

    jobs: dict[str, int]
    seconds: float  # of processor time, user and system
    megabytes: float  # peak resident memory
    output: str


SIZES = [  # the first is the paper's grid
    Size(1, 12, 9, 5),
    Size(1, 10, 10, 10),
    Size(5, 10, 10, 20),
    Size(10, 20, 20, 25),
]


def write_study(folder: Path, size: Size) -> Path:
    """Copy the workflow's code to `folder`, write a study of a size there, and return its path.

    Every target is also an intermediate task, on a variant of its data, so no two cells are equal.
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
        "languages": LANGUAGES,
        "splits": {
            split: {"source": "lab", "kind": "nli", "size": rows, "seed": seed}
            for split, rows in splits.items()
        },
        "metrics": ["accuracy"],
    }


def write_plain(folder: Path, study: Path) -> None:
    """Write a plain workflow with the jobs of a study to `folder`."""
    from xstilts.grid.state import open_study

    artefacts = open_study(study)[0].artefacts().all()
    inputs: dict[str, dict[str, None]] = {"all": dict.fromkeys(map(_plain_file, artefacts))}
    for artefact in artefacts:
        files = dict.fromkeys(map(_plain_file, artefact.inputs))
        inputs.setdefault(artefact.job.name, {}).update(files)
    folder.mkdir()
    content = {job: list(files) for job, files in inputs.items()}
    (folder / "inputs.json").write_text(json.dumps(content))
    phases = dict.fromkeys(artefact.job.phase for artefact in artefacts)
    rules = [PLAIN_RULE.format(phase=phase) for phase in phases]
    (folder / "Snakefile").write_text("".join([PLAIN, *rules]))


def _plain_file(artefact: "Artefact") -> str:
    return f"results/{artefact.job.phase}/{artefact.job.name}"


def pretend(folder: Path, study: Path) -> None:
    """Create an empty file for each result of a complete run of the study."""
    from xstilts.grid.state import open_study

    for artefact in open_study(study)[0].artefacts().all():
        for path in artefact.files:
            _touch(folder / path)
    # Snakemake prints the paths of tables and figures
    output = dry_run(folder, "--quiet", "progress").output
    for path in set(re.findall(r"results/studies/[^\s,]+", output)):
        _touch(folder / path)


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def dry_run(folder: Path, *options: str) -> DryRun:
    """Dry-run the study in `folder` in a new process; raise RuntimeError if it fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--dry-run", *(options or ("--quiet", "rules"))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(output)
    counts = re.findall(r"^(\w+) +(\d+)$", output, re.M)
    jobs = {rule: int(count) for rule, count in counts}
    return DryRun(jobs, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def main() -> None:
    """Print the table."""
    wanted = [int(cells) for cells in sys.argv[1:]]
    print(
        f"{'study':>17} {'cells':>7} {'jobs':>7}   dry run: s     MB   nothing to do: s     MB"
        "   plain: s  ratio"
    )
    for size in SIZES:
        if wanted and size.cells not in wanted:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            study = write_study(folder, size)
            write_plain(folder / "plain", study)
            rounds = [(dry_run(folder), dry_run(folder / "plain")) for _ in range(ROUNDS)]
            cold, plain = (
                min(runs, key=lambda run: run.seconds) for runs in zip(*rounds, strict=True)
            )
            pretend(folder, study)
            warm = dry_run(folder)
        if warm.jobs:
            raise RuntimeError(f"still to do: {warm.jobs}")
        print(
            f"{size!s:>17} {size.cells:7} {cold.jobs['total']:7}   "
            f"{cold.seconds:10.1f} {cold.megabytes:6.0f}   "
            f"{warm.seconds:16.1f} {warm.megabytes:6.0f}   "
            f"{plain.seconds:8.1f} {cold.seconds / plain.seconds:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
