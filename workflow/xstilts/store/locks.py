"""Locks: one process at a time makes an artefact, on however many hosts share the results folder.

A lock is the file `results/scratch/<id>.lock`. It is created exclusively, which is atomic on NFS
and on the file systems of clusters; some of these lack flock. It names its holder, which touches it
while it works. A waiting process takes over a stale lock. A lock is stale

- on the holder's host as soon as the holder's process has ended;
- on another host when it was not touched for three minutes of the file server's clock, nor in the
  half minute after that: when a file server returns from an outage, both processes resume together,
  and the holder must have time to touch its lock.

A holder that was suspended for longer finds that it has lost the lock, and ends immediately.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from xstilts.store.files import sync, temporary, write_json, write_text
from xstilts.store.paths import lock_file
from xstilts.store.processes import process_space, started
from xstilts.store.records import Record

log = logging.getLogger("xstilts")

LOST = 75  # exit status: a temporary failure, in the words of sysexits.h
_POLL_SECONDS = 0.5
_TOUCH_SECONDS = 20
STALE_SECONDS = 180


class Holder(Record):
    """Process that holds a lock: the content of the lock's file."""

    host: str
    processes: str  # scope of the process number, see `process_space`
    pid: int
    started: float | None
    slurm_job: str | None
    token: str

    def __str__(self) -> str:
        job = f" of SLURM job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}"


@contextmanager
def held(artefacts: Iterable[str]) -> Iterator[None]:
    """Hold the locks of artefacts; while another process holds one, log its name and wait."""
    me = this_process()
    taken: list[Path] = []
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(taken, me, done), daemon=True)
    keeper.start()
    try:
        for artefact in sorted(artefacts):  # sorted: two processes cannot wait for each other
            _take(artefact, me)
            taken.append(lock_file(artefact))
        yield
    finally:
        done.set()
        keeper.join()
        for path in taken:
            with suppress(OSError):  # a folder that has become read-only: the process ends anyway
                if _holder(path) == me:
                    path.unlink(missing_ok=True)


def this_process() -> Holder:
    """Return this process as the holder of a lock."""
    return Holder(
        host=socket.gethostname(),
        processes=process_space(),
        pid=os.getpid(),
        started=started(os.getpid()),
        slurm_job=os.environ.get("SLURM_JOB_ID"),
        token=uuid.uuid4().hex,
    )


def is_live(artefact: str) -> bool:
    """Whether a process that may still run holds the lock of an artefact."""
    path = lock_file(artefact)
    if (ended := _ended(_holder(path))) is not None:
        return not ended
    try:
        return time.time() - path.stat().st_mtime < STALE_SECONDS
    except FileNotFoundError:
        return False


def _take(artefact: str, me: Holder) -> None:
    path = lock_file(artefact)
    waiting = False
    while not _create(path, me):
        holder = _holder(path)
        if _stale(path, holder):
            write_json(path, me.model_dump())
            time.sleep(_POLL_SECONDS)  # of several that take it over, the last one has it
            if _holder(path) == me:
                log.info(f"{artefact}: took over the lock of {_name(holder)}, which has ended")
                return
        elif not waiting:
            log.info(f"{artefact}: {_name(holder)} is making it; waiting")
            waiting = True
        time.sleep(_POLL_SECONDS)


def _create(path: Path, me: Holder) -> bool:
    """Create the lock with its content; return False if it exists."""
    if path.exists():
        return False
    written = temporary(path)
    write_text(written, me.model_dump_json() + "\n")
    try:
        os.link(written, path)  # unlike a new file, never seen without its content
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        return _create_alone(path, me)
    finally:
        written.unlink(missing_ok=True)
    return True


def _create_alone(path: Path, me: Holder) -> bool:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(me.model_dump_json() + "\n")
        sync(path)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _holder(path: Path) -> Holder | None:
    """Holder of a lock; None if there is no lock, or it is damaged."""
    try:
        return Holder.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _ended(holder: Holder | None) -> bool | None:
    """Whether a holder of this host has ended; None if this host cannot tell."""
    here = (socket.gethostname(), process_space())
    if holder is None or (holder.host, holder.processes) != here:
        return None
    since = started(holder.pid)
    if since is None:
        return True
    if holder.started is not None and abs(since - holder.started) < 5:
        return False
    return None  # the number was reused, or the clock was set: only touching decides


def _stale(path: Path, holder: Holder | None) -> bool:
    """Whether the holder of a lock has ended, as far as this host can tell."""
    if holder is None and _is_damaged(path):
        return True
    if (ended := _ended(holder)) is not None:
        return ended
    if not _untouched(path):
        return False
    time.sleep(1.5 * _TOUCH_SECONDS)
    return _untouched(path)


def _is_damaged(path: Path) -> bool:
    """Whether a lock has content that no process wrote; an empty one may still be written."""
    with suppress(FileNotFoundError):
        if path.stat().st_size:
            time.sleep(_POLL_SECONDS)
            return path.exists() and _holder(path) is None
    return False


def _untouched(path: Path) -> bool:
    """Whether a lock was last touched long ago, by the clock of the file server."""
    probe = temporary(path)
    probe.touch()
    try:
        return probe.stat().st_mtime - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False  # released just now
    finally:
        probe.unlink(missing_ok=True)


def _name(holder: Holder | None) -> str:
    return "another process" if holder is None else str(holder)


def _keep(taken: list[Path], me: Holder, done: threading.Event) -> None:
    """Touch the locks until `done`; end the process if it has lost one of them."""
    while not done.wait(_TOUCH_SECONDS):
        for path in list(taken):
            with suppress(OSError):  # the file server is unreachable for a moment
                if _holder(path) != me:
                    log.error(f"{path}: lost to another process; this one stops without a result")
                    os._exit(LOST)
                os.utime(path)
