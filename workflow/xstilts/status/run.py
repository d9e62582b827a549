"""A run of Snakemake: the files that it writes at its start, its progress, its last lines."""

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.grid import litter, retention, state
from xstilts.grid.grid import Grid
from xstilts.grid.sharing import SharedJobs
from xstilts.processes import fork_server, signals
from xstilts.processes.snakemake import Snakemake, check_arguments
from xstilts.report.view import StudyView
from xstilts.store import locks, paths
from xstilts.store.progress import Progress
from xstilts.units import count, duration

# variables of the jobs' environment
_SNAPSHOT = "XSTILTS_SNAPSHOT"
_SHARED = "XSTILTS_SHARED"
_TOUCH_SECONDS = 3600
_PROGRESS_SECONDS = 8
_SHOWN = 5  # failed jobs
_received: list[int] = []  # signals that stop this run
_FAILED = re.compile(
    r"^Error in (?:rule|group) ([^\s:,]+)[^\n]*\n(    .*?\n    output: [^\n]+\n(?:    [^\n]*\n)*)",
    re.M | re.S,
)
_ENDED = {  # by state of SLURM
    "OUT_OF_MEMORY": "too little main memory: state a larger `mem_mb` in the model's resources",
    "TIMEOUT": "it reached its time limit: state a longer `runtime`, or allow more --retries",
    "CANCELLED": "it was cancelled, by `scancel` or for a more important job",
}
_AGAIN = "Finished results are kept: the same command makes what is missing and resumes trainings."


def opened(run: Snakemake, config: dict[str, Any]) -> tuple[Grid, list[str]]:
    """Return the grid and notices of a run's study; in the process of a job, from its snapshot.

    The configuration may have changed since the run started. Raise InputError for a mistake in it.
    """
    snapshot = os.environ.get(_SNAPSHOT)
    if snapshot and not run.plans:
        return state.open_study(Path(snapshot))
    if run.plans:
        check_arguments(sys.argv[1:])
    return state.open_rules(*run.values(config))


def snapshot_of(view: StudyView, run: Snakemake) -> Path:
    """Return the snapshot that the jobs of a run read."""
    return view.snapshot if run.plans else Path(os.environ.get(_SNAPSHOT) or view.snapshot)


def shared_of() -> SharedJobs:
    """Return the jobs of several artefacts of the run that started the process of this job."""
    file = os.environ.get(_SHARED)
    return SharedJobs.read(Path(file)) if file else SharedJobs()


def start(view: StudyView, shared: SharedJobs, run: Snakemake, keep_snapshots: bool) -> None:
    """Write the files that the run's jobs read, and remove what earlier runs left behind.

    With `keep_snapshots`, those of an earlier run stay: its queued jobs read them.
    """
    _watch_signals()
    view.write_snapshot()
    shared.write()
    os.environ[_SNAPSHOT] = str(view.snapshot)  # also of jobs on other hosts
    os.environ[_SHARED] = str(shared.path) if shared.jobs or shared.cells else ""
    used = [view.snapshot, shared.path]
    threading.Thread(target=_touch, args=(used,), daemon=True).start()
    litter.remove_litter()
    retention.release(view.grid)
    if not keep_snapshots:
        litter.remove_old_snapshots(view.snapshot)
    if not run.is_local:
        _start_on_slurm()
        return
    if not run.deploys:
        fork_server.start()
    threading.Thread(target=_show_progress, daemon=True).start()


def _touch(used: Iterable[Path]) -> None:
    """Show that a run uses these files."""
    while True:
        time.sleep(_TOUCH_SECONDS)
        for path in used:
            with suppress(OSError):
                os.utime(path)


def _show_progress() -> None:
    """Print a line about the running jobs of this machine every few seconds."""
    started = time.monotonic()
    while True:
        elapsed = time.monotonic() - started
        time.sleep(max(_PROGRESS_SECONDS, elapsed / 200))  # a run of a day prints a few hundred
        with suppress(OSError):
            print(progress_line(time.monotonic() - started), file=sys.stderr, flush=True)


def progress_line(elapsed: float) -> str:
    """Return a line with the time since the start and the steps of the running jobs."""
    jobs = [lock.stem for lock in sorted(store.SCRATCH.glob("*.lock")) if locks.is_live(lock.stem)]
    reports = [
        f"{id.rpartition('.')[0]} step {report.step:,} of {report.steps:,}, "
        f"{duration(report.seconds_left)} left"
        for id in jobs
        if (report := Progress.read(id))
    ]
    running = f"{count(len(jobs), 'job')} running" if jobs else "running"
    return "  " + "; ".join([f"{duration(elapsed)}: {running}", *reports[:_SHOWN]])


def _watch_signals() -> None:
    """Remember the signals that stop this run, and handle them as before."""

    def remember(before: Callable, number: int, frame: object) -> None:
        _received.append(number)
        before(number, frame)

    signals.planned()
    for number in signals.HANDLED:
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, partial(remember, before))


def _start_on_slurm() -> None:
    """Handle the signals that would leave jobs of SLURM behind.

    After SIGTERM, refused jobs are no longer submitted again; otherwise Snakemake, which waits for
    their submission, would not end while SLURM refuses them. When the terminal closes (SIGHUP),
    the run continues, and its output goes to a file.
    """
    submits = os.dup(2)
    os.environ["XSTILTS_SUBMITS"] = f"/proc/{os.getpid()}/fd/{submits}"
    finish = signal.getsignal(signal.SIGTERM)  # Snakemake's handler

    def stop_submitting(number, frame):
        with suppress(OSError):  # the second signal
            os.close(submits)
        if callable(finish):
            finish(number, frame)

    signal.signal(signal.SIGTERM, stop_submitting)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        terminals = [stream for stream in (1, 2) if os.isatty(stream)]
        signal.signal(signal.SIGHUP, lambda *_: _leave_terminal(terminals))


def _leave_terminal(streams: Iterable[int]) -> None:
    """Redirect the output streams of a terminal that has been closed to a file."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    file = os.open(paths.HANGUP_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in streams:
        os.dup2(file, stream)
    os.write(file, f"terminal closed; `kill {os.getpid()}` ends the run\n".encode())
    os.close(file)


def quieten(logger: logging.Logger) -> None:
    """Drop Snakemake's warning that an output had no backup: it never has one here."""
    logger.addFilter(lambda record: "no backup found" not in record.getMessage())


def last_words(logs: Iterable[Path], grid: Grid, cells: Mapping[str, Sequence[str]]) -> str:
    """Return why a run failed, from its logs: the cause and the cells of each failed job.

    `cells` has the predictions that jobs of trainings also make, by the training's id.
    """
    failures = {}
    for log in logs:
        for rule, block in _FAILED.findall(log.read_text(encoding="utf-8", errors="replace")):
            failures[rule, _value(block, "output")] = block  # the last attempt of a job
    if _received:  # jobs that the signal ended have not failed
        failures = {
            (rule, output): block
            for (rule, output), block in failures.items()
            if any(store.failure_file(id).exists() for id in _ids(output, cells))
        }
    if not failures:
        return f"Stopped. {_AGAIN}"
    lines = [f"{count(len(failures), 'job')} failed:"]
    for (rule, output), block in list(failures.items())[:_SHOWN]:
        ids = _ids(output, cells)
        lines.append(f"  {rule} {_job(ids)}: {_cause(ids, block)}")
        lines += [f"    {line}" for line in (_cells(grid, set(ids)), _value(block, "log")) if line]
    if len(failures) > _SHOWN:
        lines.append(f"  and {len(failures) - _SHOWN} more; `xstilts status` lists them")
    return "\n".join([*lines, _AGAIN])


def _ids(output: str, cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the ids of all that a job makes, from its output as Snakemake lists it."""
    own = [_id(path) for path in output.split(", ")]
    return [*own, *(then for id in own for then in cells.get(id, []))]


def _value(block: str, key: str) -> str:
    found = re.search(rf"^    {key}: (.+)$", block, re.M)
    return found[1].partition(" (check log")[0].replace(" (update)", "") if found else ""


def _id(path: str) -> str:
    """Return the id of the artefact that a file belongs to."""
    parts = Path(path).parts
    return parts[2].removesuffix(".json").removesuffix(".parquet") if len(parts) > 2 else path


def _job(ids: list[str]) -> str:
    names = list(dict.fromkeys(id.rpartition(".")[0] or id for id in ids))
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _cause(ids: list[str], block: str) -> str:
    """Return the message that the job wrote, else Snakemake's, else that the job was killed."""
    for id in ids:
        with suppress(OSError):
            return store.failure_file(id).read_text(encoding="utf-8").strip()
    message = _value(block, "message")
    for end, words in _ENDED.items():
        if f"status is: '{end}'" in message:
            return words
    if message and message != "None":
        return message
    with suppress(OSError):
        end = Path(_value(block, "log")).read_text(encoding="utf-8")[-400:]
        if re.search(r"\b(stopped|interrupted)\b", end):
            return "it was stopped by a signal; the next run resumes"
    return "it ended without a message: killed, perhaps for too little memory"


def _cells(grid: Grid, ids: set[str]) -> str:
    """Return which cells wait for artefacts."""
    waiting = [score.cell for score in grid.scores() if ids & {score.id, *score.ancestors()}]
    return f"needed by {count(len(waiting), 'cell')}, such as {waiting[0]}" if waiting else ""
