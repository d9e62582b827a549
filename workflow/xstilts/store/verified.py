"""Memory of checked files: an unchanged checkpoint, of gigabytes, is not hashed by every job.

A file counts as unchanged while its size, times, inode and expected hash are the same. The memory
of an artefact is `results/scratch/<id>.verified`; without it, or if it is damaged, files are hashed
again. Jobs that write it together lose nothing: it is replaced as a whole.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from xstilts.errors import InputError
from xstilts.store.files import read_json, write_json
from xstilts.store.paths import SCRATCH, verified_file

# A file that changes twice within a tick of the file system's clock keeps its times. So younger
# files are not remembered.
_SECONDS = 2.0


def check_once(folder: Path, files: Mapping[str, str], check: Callable[[str], None]) -> None:
    """Call `check` for the names of the files (name -> sha256) that are not known to be right."""
    path = verified_file(folder.name)
    known, checked = _read(path), {}
    for name, sha256 in files.items():
        stamp = _stamp(folder / name)
        if stamp is None or known.get(name) != [*stamp, sha256]:
            check(name)
        if stamp:
            checked[name] = [*stamp, sha256]
    if checked != known and SCRATCH.is_dir():
        with suppress(OSError):  # a read-only folder: the next job hashes again
            write_json(path, checked)


def _stamp(path: Path) -> list[int] | None:
    """Return size, times and inode of a file; None if it is missing or has just changed."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if time.time() - status.st_ctime < _SECONDS:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(path: Path) -> dict:
    try:
        known = read_json(path)
    except InputError:
        return {}
    return known if isinstance(known, dict) else {}
