"""Ctrl-C and SIGTERM end a command in one line, at any moment.

Before a command starts its work, nothing is unfinished, so the process ends immediately: an
exception in the middle of an import would surface in a library. During the work, the first signal
raises an exception, so that locks are released; another Ctrl-C ends the process. This module is
imported first, so it imports little.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

HANDLED = (signal.SIGINT, signal.SIGTERM)
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG: prctl lets the kernel send a signal when the parent ends
# A signal that arrives between Python's last look and a blocking call is seen after the call; so no
# call that waits for others lasts longer.
LONGEST_WAIT = 0.5  # seconds
received: list[int] = []  # signals, the first one first


def end_immediately() -> None:
    """Let signals end this process with one line and the status that a shell reports."""
    for number in HANDLED:
        if signal.getsignal(number) != signal.SIG_IGN:  # a shell's job in the background
            signal.signal(number, _end)


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Let the first signal raise KeyboardInterrupt or Stopped, and restore the handlers."""
    received.clear()
    before = {number: signal.getsignal(number) for number in HANDLED}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, _raise)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for(processes: Sequence, instead: int | None = None) -> list[int]:
    """Pass signals, or another one `instead`, to each Popen; return the statuses at their end.

    Raise Stopped if a process failed after a signal.
    """
    first: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        first.append(number)
        for process in processes:
            with suppress(OSError):
                process.send_signal(instead or number)

    for number in HANDLED:
        signal.signal(number, pass_on)
    statuses = [_status(process) for process in processes]
    if any(statuses) and first:
        from xstilts.errors import Stopped

        raise Stopped(first[0], "stopped; the next run resumes")
    return statuses


def _status(process) -> int:
    from subprocess import TimeoutExpired

    while True:
        with suppress(TimeoutExpired):
            return process.wait(LONGEST_WAIT)


def end_planning() -> None:
    """Let Ctrl-C end Snakemake's planning with one line; its locks are released."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def planned() -> None:
    """Let Ctrl-C reach Snakemake's scheduler, which stops the jobs."""
    if signal.getsignal(signal.SIGINT) == _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    os.write(2, b"snakemake: interrupted before the first job; nothing is unfinished\n")
    raise SystemExit(128 + number)


def line(command: str, number: int) -> str:
    """Return the line that a command prints when a signal ends it."""
    return f"xstilts {command}: {'interrupted' if number == signal.SIGINT else 'stopped'}"


def _end(number: int, frame: object) -> None:
    command = sys.argv[1] if sys.argv[1:] and sys.argv[1].isidentifier() else ""
    os.write(2, f"{line(command, number)}\n".replace(" :", ":").encode())
    os._exit(128 + number)


def _raise(number: int, frame: object) -> None:
    received.append(number)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may follow Ctrl-C, sent by the parent
    signal.signal(signal.SIGINT, _end)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    from xstilts.errors import Stopped

    raise Stopped(number, "stopped; the next run makes what is missing")
