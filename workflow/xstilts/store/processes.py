"""Identification of processes among the hosts that share a results folder."""

import os
from functools import cache
from pathlib import Path

from xstilts.identity import digest


@cache
def process_space() -> str:
    """Return the scope in which process numbers are unique: this boot of the host, container."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def short_space() -> str:
    """Return a digest of `process_space`, for the names of files."""
    return digest(process_space())[:6]


def started(pid: int) -> float | None:
    """Return the start time of a process on this host; None if it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
