"""Several trainings, or predictions, at the same time on one GPU: a process for each."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xstilts import store
from xstilts.commands import log
from xstilts.costs.measured import Benchmark
from xstilts.grid.state import missing as missing_file
from xstilts.processes import signals

if TYPE_CHECKING:
    from xstilts.grid.base import Artefact


def run(artefacts: Sequence["Artefact"], arguments: Sequence[str]) -> None:
    """Run the command with `arguments` in a process for each missing artefact, and wait for all.

    Each process has the artefact's own log and lock, and resumes its own training. If one fails,
    the others continue. Raise Stopped after a signal, SystemExit if a process failed; the process
    has then reported the reason.
    """
    missing = [artefact for artefact in artefacts if missing_file(artefact)]
    if not missing:
        log.info(f"{artefacts[0].id} and {len(artefacts) - 1} more: already complete")
        return
    common = _without(arguments, {artefact.id for artefact in artefacts})
    log.info(f"{len(missing)} processes: {', '.join(artefact.id for artefact in missing)}")
    started = time.monotonic()
    processes = [_start(artefact, common) for artefact in missing]
    try:
        # SIGTERM also where a terminal has sent its SIGINT to all of them
        statuses = signals.wait_for(processes, signal.SIGTERM)
    finally:
        _measure(missing, time.monotonic() - started)
    failed = [a for a, status in zip(missing, statuses, strict=True) if status]
    for artefact in failed:
        log.error(f"{artefact.id}: failed; its log is {artefact.job.log}")
    if failed:
        raise SystemExit(1)


def _without(arguments: Sequence[str], ids: set[str]) -> list[str]:
    """Return a command's arguments without the ids of all artefacts and the common log."""
    kept = [argument for argument in arguments if argument not in ids]
    if "--log" in kept:
        place = kept.index("--log")
        del kept[place : place + 2]
    return kept


def _start(artefact: "Artefact", arguments: Sequence[str]) -> subprocess.Popen:
    """Start the process of an artefact; it receives SIGTERM if this process is killed."""
    store.check_writable(artefact.job.log.parent)
    command = [sys.executable, "-m", "xstilts", *arguments, artefact.id]
    command += ["--log", str(artefact.job.log)]
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def stop_with_parent() -> None:
        if libc:
            libc.prctl(signals.DIE_WITH_PARENT, signal.SIGTERM)

    # the open files that processes inherit are the locks of the GPU
    return subprocess.Popen(command, close_fds=False, preexec_fn=stop_with_parent)


def _measure(artefacts: Sequence["Artefact"], seconds: float) -> None:
    """Write a benchmark file for each artefact, with its share of the time.

    Snakemake writes none for such a job.
    """
    for artefact in artefacts:
        if not missing_file(artefact):
            share = Benchmark(seconds / len(artefacts), len(artefacts))
            share.write(artefact.job.benchmark)
