"""Checkouts of the workflow with tiny studies, to run on a cluster."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests import PATIENCE, ROOT, restored_signals
from tests.paused import add_pauses, ask_to_pause
from tests.slurm.cluster import Cluster, until
from tests.tiny_project import MODELS, TASKS

SITE = {
    "partitions": {"cpu": "cpu", "gpu": "gpu"},
    "gpu_model": "a100",
    "phases": {"prepare": {"mem_mb": 1000}, "initialise": {"mem_mb": 1000}},
    "limits": {"runtime": 60, "mem_mb": 6000},
}
STEPS = 800  # some seconds, in which the state is saved several times
FAULTS = {
    "study": "faults",
    "models": ["tiny"],
    "recipes": ["none"],
    "targets": ["nli"],
    "seeds": [1],
    "train": {"max_steps": STEPS, "batch_size": 8, "learning_rate": 1e-3},
}
NEEDS = {"gpu": 1, "mem_mb": 2000, "runtime": 5, "save_minutes": 0.02}


@dataclass(frozen=True)
class Checkout:
    """A folder with the workflow's code and a study, and the cluster that it runs on."""

    folder: Path
    cluster: Cluster
    started: list[subprocess.Popen] = field(default_factory=list, kw_only=True)
    environment: dict[str, str] = field(default_factory=dict, kw_only=True)  # of Snakemake, more

    def stop(self) -> None:
        """End what a failed test has left running: its Snakemakes and their jobs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for job in self.cluster.records():
            if job["WorkDir"] == str(self.folder):
                self.cluster.command("scancel", "--full", job["JobId"])

    def start(self, *options: str) -> subprocess.Popen:
        """Start Snakemake with the profile that the workflow brings along."""
        quick = str(Path(__file__).with_name("quick_snakemake.py"))
        profile = ["--workflow-profile", "profiles/slurm"]
        # of the profile: it counts in seconds on a real cluster
        waits = ["--latency-wait", "20", "--max-status-checks-per-second", "2"]
        with open(self.folder / "snakemake.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, quick, *profile, *waits, *options],
                cwd=self.folder,
                env=self.cluster.environment
                | {"PYTHONPATH": str(self.folder / "workflow")}
                | self.environment,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def said(self) -> str:
        """Output of all runs of Snakemake in this folder."""
        return (self.folder / "snakemake.log").read_text()

    def run(self, *options: str) -> list[str]:
        """Run Snakemake; what it submitted to SLURM: the jobs' rules and wildcards, sorted."""
        before = set(self.cluster.jobs("ALL"))
        process = self.start(*options)
        assert process.wait(3 * PATIENCE) == 0, self.said()
        after = self.cluster.jobs("ALL")
        return sorted(after[number] for number in after.keys() - before)

    def one(self, pattern: str) -> Path:
        """The only path that matches."""
        (path,) = self.folder.glob(pattern)
        return path

    def configure(self, path: str, values: dict) -> None:
        """Write a configuration file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def new_checkout(folder: Path, cluster: Cluster, study: dict, model: dict) -> Checkout:
    """The workflow's code with the tests' tiny tasks, one model, and a study."""
    folder.mkdir()
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("workflow", "profiles", "envs"):
        ignored = shutil.ignore_patterns("__pycache__", "site.yaml")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    checkout = Checkout(folder, cluster)
    checkout.configure("config/tasks/tiny.yaml", TASKS)
    checkout.configure("config/models/tiny.yaml", {"tiny": MODELS["xlmr"] | model})
    checkout.configure("config/config.yaml", study)
    checkout.configure("profiles/slurm/site.yaml", SITE)
    return checkout


def without_digests(comments: list[str]) -> list[str]:
    """Comments of jobs as rule and wildcards, for people."""
    return sorted(
        re.sub(r"rule_([a-z]+)\S*?(?:_wildcards_(\S+?))?(\.[0-9a-f]{12})?$", _words, comment)
        for comment in comments
    )


def _words(found: re.Match) -> str:
    return f"{found[1]} {found[2] or ''}".strip()


@dataclass(frozen=True)
class Undisturbed:
    """A study of one training, done in this process without a fault."""

    study: dict
    folder: Path  # of the results that the training needs
    step: str  # the training's id
    weights: bytes


@dataclass(frozen=True)
class Training(Checkout):
    """A checkout in which one training is to do, as a job of SLURM."""

    expected: Undisturbed

    def start(self, *options: str, pause: bool = False) -> subprocess.Popen:
        """Start Snakemake for the training alone, which may pause at its first save."""
        if pause:
            ask_to_pause(self.folder)
        return super().start(*options, f"results/checkpoints/{self.expected.step}/manifest.json")

    @property
    def job(self) -> dict:
        """The training's last job, as the controller shows it."""
        return self.jobs()[-1]

    def jobs(self) -> list[dict]:
        """The jobs that train in this folder, in order."""
        comment = f"rule_train_wildcards_{self.expected.step}"
        found = [job for job in self.cluster.records() if job["WorkDir"] == str(self.folder)]
        return [job for job in found if job["Comment"] == comment]

    def trains(self) -> int | None:
        """The number of the process that has the training's lock."""
        lock = self.folder / f"results/scratch/{self.expected.step}.lock"
        try:
            return json.loads(lock.read_text())["pid"]
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def saves(self) -> list[Path]:
        """The saved states of the training that are whole."""
        pattern = f"results/scratch/{self.expected.step}/trainer/checkpoint-*/trainer_state.json"
        return sorted(self.folder.glob(pattern))

    def is_paused(self) -> bool:
        """Whether the training's process stands still."""
        pid = self.trains()
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "T"

    def freeze(self) -> int:
        """Wait until the training has saved its state and paused; return its process."""
        until(self.is_paused, f"the training pauses\n{self.said()}")
        assert self.saves()
        return self.trains()

    @contextlib.contextmanager
    def frozen(self):
        """The training stands still, its state saved, within."""
        pid = self.freeze()
        yield pid
        os.kill(pid, signal.SIGCONT)

    def log(self) -> str:
        """The log of the last job that trained, or found nothing to train."""
        path = self.folder / f"results/logs/train/{self.expected.step}.log"
        return path.read_text() if path.exists() else ""

    def finish(self, process: subprocess.Popen) -> None:
        """Wait for Snakemake; the result is that of the undisturbed training."""
        assert process.wait(2 * PATIENCE) == 0, self.said()
        folder = self.folder / "results/checkpoints" / self.expected.step
        manifest = json.loads((folder / "manifest.json").read_text())
        weights = (folder / "model.safetensors").read_bytes()
        assert manifest["files"]["model.safetensors"] == hashlib.sha256(weights).hexdigest()
        assert weights == self.expected.weights
        assert not self.saves()
        assert self.trains() is None


def train_here(folder: Path, study: dict, micro_batch: int | None = None) -> Undisturbed:
    """Do a study of one training in this process."""
    import torch
    import transformers

    from xstilts.config.training import TrainingOptions
    from xstilts.grid.state import open_study
    from xstilts.report.view import StudyView
    from xstilts.stages import initialise, prepare, train

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    checkout = new_checkout(folder, None, study, {})
    with contextlib.chdir(checkout.folder):
        grid, _ = open_study(checkout.folder / "config/config.yaml")
        artefacts = grid.artefacts()
        prepare.run(list(artefacts.datasets.values()), grid.project)
        (step,) = [node for node in artefacts.checkpoints.values() if node.parent]
        initialise.run(step.parent)
        with restored_signals():
            train.run(step, TrainingOptions(micro_batch))
        StudyView(grid).write_snapshot()
        weights = Path(step.path, "model.safetensors").read_bytes()
        shutil.rmtree(step.path)
    return Undisturbed(study, checkout.folder / "results", step.id, weights)


def new_training(folder: Path, cluster: Cluster, expected: Undisturbed, needs=NEEDS) -> Training:
    """A checkout of the study of one training."""
    checkout = new_checkout(folder, cluster, expected.study, {"resources": needs})
    add_pauses(folder / "workflow")
    shutil.copytree(expected.folder, folder / "results")
    return Training(checkout.folder, cluster, expected)
