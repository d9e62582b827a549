"""Known hashes of files: an unchanged file, perhaps of gigabytes, is not read by every job.

A file counts as unchanged while its size, times and inode are the same. The hashes are in a JSON
file of `results/scratch/`, called a memory. If it is missing or damaged, files are hashed again. It
is replaced as a whole, so jobs that write it at the same time do not damage it.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xstilts.errors import InputError
from xstilts.store.files import read_object, stamp, write_json
from xstilts.store.paths import SCRATCH, verified_file

# A file that changes twice within a tick of the file system's clock keeps its times. So files that
# have changed in the last seconds are not remembered.
_SECONDS = 2.0


def remembered(memory: Path) -> dict[str, Any]:
    """Return the content of a memory; empty if it is missing or damaged."""
    try:
        return read_object(memory)
    except InputError:
        return {}


def remember(memory: Path, known: Mapping[str, Any]) -> None:
    """Write a memory if it changes; in a read-only folder, the next process hashes again."""
    if known != remembered(memory):
        with suppress(OSError):
            write_json(memory, known)


def check_once(folder: Path, files: Mapping[str, str], check: Callable[[str], None]) -> None:
    """Call `check` for each of the files (name -> sha256) that has changed since the last check."""
    memory = verified_file(folder.name)
    known, checked = remembered(memory), {}
    for name, sha256 in files.items():
        now = _settled(folder / name)
        if now is None or known.get(name) != [*now, sha256]:
            check(name)
        if now:
            checked[name] = [*now, sha256]
    if SCRATCH.is_dir():
        remember(memory, checked)


def _settled(path: Path) -> list[int] | None:
    """Return the stamp of a file; None if it is missing or has just changed."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return None if time.time() - status.st_ctime < _SECONDS else stamp(status)
