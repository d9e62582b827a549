"""Where a result comes from: recorded beside it, never part of its identity."""

import os
import platform
import subprocess
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("xstilts", "torch", "transformers", "tokenizers", "numpy", "pyarrow", "seqeval")


@cache
def commit() -> str | None:
    """The project's git commit, or None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def provenance(started: float) -> dict:
    """Library versions, commit, processor and wall seconds since `started` (time.monotonic)."""
    return {
        "libraries": {name: version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "commit": commit(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "seconds": round(time.monotonic() - started, 2),
    }
