"""A small study in a checkout of its own, and a real Snakemake run of it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import PATIENCE, ROOT, SMALL, made_once


@dataclass(frozen=True)
class Run:
    """Exit status and output of a Snakemake process."""

    status: int
    output: str

    @property
    def jobs(self) -> list[str]:
        """The jobs that were started: their messages, sorted, without digests and counts."""
        messages = re.findall(r"^Job \d+: (.+)$", self.output, re.M)
        return sorted(re.sub(r"\.[0-9a-f]{12}$|: \d+ data sets$", "", text) for text in messages)


@dataclass(frozen=True)
class Checkout:
    """A folder with a copy of the workflow's code, the small study, and its results."""

    folder: Path
    package: Path | None = None  # folder of the package; its own copy if None

    def run(self, *command: str) -> Run:
        """Run a Python module in this folder, with this folder's copy of the package."""
        process = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.package or self.folder / "workflow")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        return Run(process.returncode, process.stdout)

    def snakemake(self, *options: str) -> Run:
        """Run the workflow with the profile that it brings along."""
        return self.run("snakemake", "--cores", "2", *options)

    def jobs(self, *options: str) -> list[str]:
        """The jobs of a run that succeeds."""
        run = self.snakemake(*options)
        assert run.status == 0, run.output
        return run.jobs

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that occurs once in a file."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path}: {old!r} occurs {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def copy(self, folder: Path, leave_out: str = "") -> "Checkout":
        """A copy of everything, results included."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(leave_out))
        return Checkout(folder)

    def files(self, pattern: str) -> dict[str, int]:
        """Inodes of files: equal if nobody wrote them again (Snakemake touches outputs)."""
        return {str(path): path.stat().st_ino for path in self.folder.glob(pattern)}

    def one(self, pattern: str) -> Path:
        """The only path that matches."""
        (path,) = self.folder.glob(pattern)
        return path


def new_checkout(folder: Path) -> Checkout:
    """The workflow's code with the small study, and no results."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("workflow", "profiles", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copytree(SMALL, folder / "config")
    return Checkout(folder)


@pytest.fixture
def fresh(tmp_path) -> Checkout:
    """The small study without results."""
    return new_checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory) -> tuple[Checkout, Run]:
    """The small study run once from nothing; tests must not change it."""

    def make(folder: Path) -> None:
        run = new_checkout(folder / "finished").snakemake()
        assert run.status == 0, run.output
        (folder / "output.txt").write_text(run.output, encoding="utf-8")

    folder = made_once(tmp_path_factory, "small", make)
    output = (folder / "output.txt").read_text(encoding="utf-8")
    return Checkout(folder / "finished"), Run(0, output)


@pytest.fixture
def finished(first_run, tmp_path) -> Checkout:
    """A copy of the finished small study, of this test alone."""
    return first_run[0].copy(tmp_path / "checkout")
