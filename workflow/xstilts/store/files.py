"""Files of the results folder: atomic writing, checked reading, errors of the disk.

A file is written under a temporary name, synced, and renamed: after a crash there is the old file
or the new one, never a part. Unfinished artefacts are kept in `results/scratch/`.
"""

import errno
import json
import os
import re
import resource
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xstilts.errors import Diverged, InputError
from xstilts.store.paths import SCRATCH
from xstilts.store.processes import short_space, started
from xstilts.text import decode_json

_PROBE = 1_000_000  # bytes
_TEMPORARY = re.compile(r"\.tmp-([0-9a-f]{6})-([0-9]+)-[0-9a-f]{8}")
_OLD = 86400  # seconds: no process writes a file for a day
_FIX = "Fix this and run again; finished results are kept"
_REMEDIES = {  # errors of the machine, and what to do
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE), _FIX),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG), _FIX),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "Raise the limit (`ulimit -n 4096`) and run again; finished results are kept",
    ),
    errno.ENOMEM: "Raise the limit (`ulimit -v`, or `mem_mb` in the `resources` of the model) and "
    "run again; finished results are kept",
}
_TORCH_BYTES = 850_000_000  # of addresses; torch 2.13 for CPUs and transformers took 886 MB
# messages of the library loader and of torch in place of the system's
_NO_MEMORY = ("failed to map segment from shared object", "can't allocate memory")

_IN_THE_WAY = {
    errno.EISDIR: "a folder is in place of this file",
    errno.EEXIST: "a file is in place of this folder",
    errno.ENOTDIR: "a file is in place of a folder of this path",
}


def temporary(path: Path) -> Path:
    """Return a temporary name in a file's folder, which names the process that uses it.

    It is short, whatever the file is called: file systems allow 255 bytes in a name.
    """
    return path.with_name(f".tmp-{short_space()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files in `folder` whose processes have ended."""
    with suppress(OSError):  # a read-only folder
        for path in list(_abandoned(folder)):
            path.unlink(missing_ok=True)


def _abandoned(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if not (match := _TEMPORARY.fullmatch(entry.name)):
            continue
        if match[1] == short_space():
            ended = started(int(match[2])) is None
        else:  # a process of another host cannot be looked up
            ended = time.time() - entry.stat().st_mtime > _OLD
        if ended:
            yield Path(entry.path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see the old content or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = temporary(path)
    try:
        with open(written, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(written, path)
    except BaseException:
        with suppress(OSError):
            written.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Return when a file's content, or the names in a folder, have reached the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # folders of some file servers
            raise
    finally:
        os.close(number)


def stamp(status: os.stat_result) -> list[int]:
    """Return size, times and inode of a file; an equal stamp means equal content.

    `rsync -t`, `cp -p` and editors on coarse clocks keep size and modification time.
    """
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def disk_bytes(paths: Iterable[Path]) -> int:
    """Return the bytes of files on disk; of a hard-linked file, the share of this link."""
    stats = [path.stat() for path in paths if path.is_file()]
    return sum(stat.st_size // stat.st_nlink for stat in stats)


def link_or_copy(path: Path, copy: Path) -> None:
    """Make a hard link of a file, or a copy where the file system has no link between them."""
    try:
        os.link(path, copy)
    except OSError:
        shutil.copyfile(path, copy)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. Raise Diverged for NaN and infinity, which JSON lacks."""
    write_text(path, _json(value, indent=1))


@contextmanager
def reading(path: Path, remedy: str = "", if_missing: str = "") -> Iterator[None]:
    """Raise InputError, naming a file and the remedy, if the block fails to read or parse it."""
    try:
        yield
    except FileNotFoundError:
        problem, remedy = "no such file", if_missing
    except UnicodeDecodeError as error:  # of a user's text
        problem = f"not UTF-8 (byte {error.start} of the file); convert it"
    except ValueError as error:
        problem = f"damaged: {error}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    else:
        return
    raise InputError(f"{path}: {problem}{'; ' if remedy else ''}{remedy}")


def read_json(path: Path, remedy: str = "") -> Any:
    """Read a JSON file. Raise InputError naming it and the remedy if it is missing or damaged."""
    with reading(path, remedy):
        return parse_json(path.read_bytes())


def read_object(path: Path) -> dict:
    """Read a JSON object. Raise InputError naming the file if it is missing or damaged."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: damaged: expected an object with keys")
    return value


def parse_json(content: bytes) -> Any:
    """Return a JSON value in UTF-8, with finite numbers. Raise ValueError for anything else."""
    if not content:
        raise ValueError("empty")
    try:
        return decode_json(content.decode(), finite=True)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines atomically. Raise Diverged for NaN and infinity, which JSON lacks."""
    write_text(path, json_lines(rows))


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return JSON lines. Raise Diverged for NaN and infinity, which JSON lacks."""
    return "".join(map(_json, rows))


def _json(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError:
        raise Diverged("a result holds a number that is infinite or not a number") from None


def read_lines(
    path: Path, keys: Iterable[str] = (), remedy: str = "delete it and run again"
) -> list[dict]:
    """Read JSON lines: objects that have `keys`.

    Raise InputError naming file, line and remedy if one is missing or damaged.
    """
    rows: list[dict] = []
    with reading(path, remedy), open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                rows.append(_row(line, keys))
            except ValueError as error:
                raise InputError(f"{path}:{number}: damaged: {error}; {remedy}") from None
    return rows


def _row(line: bytes, keys: Iterable[str]) -> dict:
    row = parse_json(line)
    if not isinstance(row, dict):
        raise ValueError("expected an object with keys")
    for key in keys:
        if key not in row:
            raise ValueError(f"no key {key!r}")
    return row


def scratch(artefact: str, keep: bool = False) -> Path:
    """Return the folder for an artefact's unfinished files, emptied unless `keep`."""
    folder = SCRATCH / artefact
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def problem(folder: Path) -> str:
    """Return why `folder` cannot be written to, such as a full disk; empty if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = temporary(folder / "probe")
        try:
            probe.write_bytes(bytes(_PROBE))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        fix = _REMEDIES.get(error.errno, _FIX)
        reason = _dangling(error.filename) or _IN_THE_WAY.get(error.errno, error.strerror)
        return f"{folder}: cannot write here: {reason}. {fix}"
    return ""


def check_writable(folder: Path) -> None:
    """Raise InputError if `folder` is read-only or the disk is full."""
    if message := problem(folder):
        raise InputError(message)


def _dangling(path: str | None) -> str:
    """Return what is wrong with a link whose target does not exist; empty for another path.

    For example, `results` is such a link after a purge of scratch space; the system calls it an
    existing file.
    """
    if not (path and os.path.islink(path) and not os.path.exists(path)):
        return ""
    return f"it is a link to {os.readlink(path)}, which does not exist; create that folder"


def check_addresses() -> None:
    """Raise InputError if `ulimit -v` leaves too little to import torch and transformers.

    Native code that gets no memory aborts without a message.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _TORCH_BYTES:
        raise InputError(
            f"{os.strerror(errno.ENOMEM)}: `ulimit -v` is {limit // 1_000_000} MB, but libraries "
            f"need {_TORCH_BYTES // 1_000_000} MB before any data. {_REMEDIES[errno.ENOMEM]}"
        )


def machine_error(error: BaseException) -> str:
    """Return the message of a fault of the machine, such as a full disk; empty for other errors.

    Libraries raise their own exceptions, which contain the system's message.
    """
    if isinstance(error, OSError) and error.errno in _IN_THE_WAY:
        place = error.filename2 or error.filename  # of a renamed file, its new name
        reason = _dangling(place) or f"{_IN_THE_WAY[error.errno]}; delete it"
        return f"{place}: {reason} and run again"
    message = str(error)
    if isinstance(error, MemoryError) or any(text in message for text in _NO_MEMORY):
        message = os.strerror(errno.ENOMEM)
    for number, remedy in _REMEDIES.items():
        if getattr(error, "errno", None) == number or os.strerror(number) in message:
            place = getattr(error, "filename", None)
            return f"{f'{place}: ' if place else ''}{os.strerror(number)}. {remedy}"
    return ""
