"""Provenance of a result: recorded in its manifest, never part of its identity."""

import os
import platform
import resource
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("xstilts", "torch", "transformers", "tokenizers", "numpy", "pyarrow", "seqeval")


@cache
def commit() -> str | None:
    """Return the project's git commit; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


@cache
def libraries() -> dict[str, str]:
    """Return the versions of libraries by name; reading the packages' metadata is slow."""
    return {name: version(name) for name in _LIBRARIES}


def computation(started: float, micro_batch: int | None, precision: str) -> dict:
    """Return the provenance of a job that computes with a model.

    It adds what may change the last digits of a result without being part of its identity:
    device, processes, threads, the number of examples in memory, and the precision.
    """
    import torch

    gpu = torch.cuda.is_available()
    return {
        **provenance(started),
        "device": "cuda" if gpu else "cpu",
        "gpu": torch.cuda.get_device_name() if gpu else None,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "threads": torch.get_num_threads(),
        "micro_batch": micro_batch,
        "precision": precision,
    }


def provenance(started: float) -> dict:
    """Return library versions, commit and machine, and the time and memory of this process.

    `seconds` is the wall time since `started` (time.monotonic). The processor time and the largest
    memory are those of this process, also where Snakemake's benchmark cannot see them because the
    job is a fork of the fork server.
    """
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in kB, on macOS in bytes
    return {
        "libraries": libraries(),
        "python": platform.python_version(),
        "commit": commit(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "seconds": round(time.monotonic() - started, 2),
        "cpu_seconds": round(time.process_time(), 2),
        "memory_mb": round(memory / (2**20 if sys.platform == "darwin" else 2**10)),
    }
