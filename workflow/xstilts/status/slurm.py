"""SLURM's jobs of a working directory."""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """A job that is waiting or running."""

    number: str
    state: str  # such as PENDING
    reason: str  # why it waits
    comment: str  # rule and wildcards, from Snakemake's plugin


def jobs(folder: Path) -> list[Job]:
    """Return the jobs that were submitted from `folder`; none if SLURM is absent or silent."""
    command = ["squeue", "--me", "--noheader", "--format=%A|%T|%r|%Z|%k"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line.split("|", 4) for line in run.stdout.splitlines() if line.count("|") >= 4]
    return [
        Job(number, state, reason, comment)
        for number, state, reason, directory, comment in lines
        if directory == str(folder)
    ]


def queued_jobs(folder: Path, shared: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the numbers of these jobs by their comment, and by the ids of what they make.

    `shared` has the ids of jobs that make several artefacts, by comment.
    """
    numbers: dict[str, str] = {}
    for job in jobs(folder):
        ids = shared.get(job.comment, [job.comment.partition("_wildcards_")[2]])
        numbers |= dict.fromkeys([job.comment, *filter(None, ids)], job.number)
    return numbers
