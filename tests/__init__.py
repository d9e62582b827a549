"""The tests; their folders mirror the package."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

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


@contextmanager
def restored_signals() -> Iterator[None]:
    """Restore the handlers of signals at the end: a training in this process replaces them."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of this test run that the first of its processes makes; the others wait."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = base / name, base / f"{name}.done"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@cache
def shipped():
    """Return the tasks and models of config/, which are read once."""
    from xstilts.config.project import read_definitions

    return read_definitions([CONFIG])
