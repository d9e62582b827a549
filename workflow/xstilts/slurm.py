"""What SLURM says of the jobs of a working directory."""

import subprocess
from pathlib import Path

_SECONDS = 60


def queued_jobs(folder: Path) -> dict[str, str]:
    """Numbers of the jobs that were submitted from `folder` and have not ended, by their comment.

    The executor plugin writes a job's rule and wildcards there. Empty where there is no SLURM, or
    none that answers: then no job can be submitted either.
    """
    command = ["squeue", "--me", "--noheader", "--format=%A|%Z|%k"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = [line.split("|", 2) for line in run.stdout.splitlines() if line.count("|") >= 2]
    return {comment: number for number, where, comment in lines if where == str(folder)}
