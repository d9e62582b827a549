"""Locks: one process at a time makes an artefact, on however many hosts share the results folder.

A lock is the file `results/scratch/<id>.lock`, created exclusively (which NFS and the file systems
of clusters do atomically, while some lack flock). It names its holder, which touches it while it
works. A waiting process takes over a stale lock. A lock is stale

- on the holder's host as soon as the holder's process has ended;
- on another host when it was not touched for three minutes of the file server's clock, nor for half
  a minute after that: when a file server returns from an outage, both processes resume together.

A holder that was suspended for that long finds its lock lost, and ends immediately.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xstilts.store.files import write_json
from xstilts.store.paths import lock_file

log = logging.getLogger("xstilts")

LOST = 75  # exit status: a temporary failure, in the words of sysexits.h
_LOOK_SECONDS = 0.5
_TOUCH_SECONDS = 20
STALE_SECONDS = 180


@contextmanager
def held(artefacts: Iterable[str]) -> Iterator[None]:
    """Hold the locks of artefacts; while another process holds one, log its name and wait."""
    me = _me()
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
            if _holder(path) == me:
                path.unlink(missing_ok=True)


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "processes": _process_space(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "token": uuid.uuid4().hex,
    }


def _process_space() -> str:
    """Scope of process numbers: this boot of the machine, and the container."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> float | None:
    """Start time of a process on this host; None if it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def _take(artefact: str, me: dict[str, Any]) -> None:
    path = lock_file(artefact)
    waiting = False
    while not _create(path, me):
        holder = _holder(path)
        if _stale(path, holder):
            write_json(path, me)
            time.sleep(_LOOK_SECONDS)  # the last process that takes it over wins
            if _holder(path) == me:
                log.info(f"{artefact}: took over the lock of {_name(holder)}, which has ended")
                return
        elif not waiting:
            log.info(f"{artefact}: {_name(holder)} is making it; waiting")
            waiting = True
        time.sleep(_LOOK_SECONDS)


def _create(path: Path, me: dict[str, Any]) -> bool:
    """Create the lock; return False if it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(json.dumps(me) + "\n")
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _holder(path: Path) -> dict[str, Any] | None:
    """Holder of a lock; None if there is none, or it is not written yet."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _stale(path: Path, holder: dict[str, Any] | None) -> bool:
    """Whether the holder of a lock has ended, as far as this host can tell."""
    here = _me()
    if holder and all(holder[key] == here[key] for key in ("host", "processes")):
        started = _started(holder["pid"])
        if started is None:
            return True
        if abs(started - holder["started"]) < 5:
            return False
        # the number was reused, or the clock was set: only touching decides
    if not _untouched(path):
        return False
    time.sleep(1.5 * _TOUCH_SECONDS)
    return _untouched(path)


def _untouched(path: Path) -> bool:
    """Whether a lock was last touched long ago, by the clock of the file server."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    probe.touch()
    try:
        return probe.stat().st_mtime - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False  # released just now
    finally:
        probe.unlink(missing_ok=True)


def _name(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return "another process"
    job = f" of SLURM job {holder['slurm_job']}" if holder["slurm_job"] else ""
    return f"process {holder['pid']} on {holder['host']}{job}"


def _keep(taken: list[Path], me: dict[str, Any], done: threading.Event) -> None:
    """Touch the locks until `done`; end the process if it has lost one of them."""
    while not done.wait(_TOUCH_SECONDS):
        for path in list(taken):
            with suppress(OSError):  # the file server is unreachable for a moment
                if _holder(path) != me:
                    log.error(f"{path}: lost to another process; this one stops without a result")
                    os._exit(LOST)
                os.utime(path)
