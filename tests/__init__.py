"""The tests; their folders mirror the package."""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
SMALL = ROOT / "tests" / "workflow" / "small" / "config"  # a study of a minute
PATIENCE = 300  # seconds to wait for another process: far more than a busy machine takes


def eventually(condition: Callable[[], object]) -> object:
    """Return the value of a condition as soon as it is true, or when the patience is over."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


@cache
def shipped():
    """Return the tasks and models of config/, which are read once."""
    from xstilts.config.project import read_definitions

    return read_definitions([CONFIG])
