"""Trainings that pause at their first save, so that a test finds them half done at any speed."""

import signal
from pathlib import Path

TERM_PENDING = 1 << (signal.SIGTERM - 1)
CODE = """

import os
import signal

_seal = SealSaves.on_save


def _pause(self, args, state, control, **kwargs):
    _seal(self, args, state, control, **kwargs)
    request = Path(f"pause.{os.environ.get('RANK', '0')}")
    if request.exists():
        request.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


SealSaves.on_save = _pause
"""


def add_pauses(package: Path) -> None:
    """Change a copy of the package so that a save pauses if its process was asked to."""
    saves = package / "xstilts/modelling/saves.py"
    saves.write_text(saves.read_text() + CODE)


def ask_to_pause(folder: Path, processes: int = 1) -> None:
    """Let the next training that works in this folder pause at its next save."""
    for rank in range(processes):
        (folder / f"pause.{rank}").touch()


def is_told_to_end(pid: int) -> bool:
    """Whether a SIGTERM waits for a paused process, or has ended it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    pending = [line.split()[1] for line in status.splitlines() if "Pnd:" in line]
    return any(int(mask, 16) & TERM_PENDING for mask in pending)
