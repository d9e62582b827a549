"""A cluster for all tests of a session, and checkouts of the workflow that run on it."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cluster import Cluster, missing_packages

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
SITE = {
    "partitions": {"cpu": "cpu", "gpu": "gpu"},
    "gpu_model": "a100",
    "phases": {"prepare": {"mem_mb": 1000}, "initialise": {"mem_mb": 1000}},
    "limits": {"runtime": 60, "mem_mb": 6000},
}


def pytest_sessionstart():
    packages = missing_packages()
    if packages:
        pytest.exit(
            "these tests start a SLURM of their own and need Debian's packages for it: "
            f"apt-get install --no-install-recommends {' '.join(packages)}",
            returncode=2,
        )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes with a GPU each, and accounting: as most clusters are."""
    with Cluster(tmp_path_factory.mktemp("cluster"), accounting=True) as running:
        yield running


@dataclass(frozen=True)
class Checkout:
    """A folder with the workflow's code and a study, and the cluster that it runs on."""

    folder: Path
    cluster: Cluster

    def start(self, *options: str) -> subprocess.Popen:
        """Start Snakemake with the profile that the workflow brings along."""
        quick = str(Path(__file__).with_name("quick_snakemake.py"))
        profile = ["--workflow-profile", "profiles/slurm"]
        # of the profile: it counts in seconds on a real cluster
        waits = ["--latency-wait", "20", "--max-status-checks-per-second", "2"]
        with open(self.folder / "snakemake.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, quick, *profile, *waits, *options],
                cwd=self.folder,
                env=self.cluster.environment | {"PYTHONPATH": str(self.folder / "workflow")},
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        """What all runs of Snakemake here have printed."""
        return (self.folder / "snakemake.log").read_text()

    def run(self, *options: str) -> list[str]:
        """Run Snakemake; what it submitted to SLURM: the jobs' rules and wildcards, sorted."""
        before = set(self.cluster.jobs("ALL"))
        process = self.start(*options)
        assert process.wait(900) == 0, self.said()
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
    from tiny_project import MODELS, TASKS

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
