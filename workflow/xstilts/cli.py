"""The command line: options, logging and exit status of the commands in `xstilts.commands`."""

import argparse
import gc
import io
import logging
import os
import re
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from xstilts import __version__, store
from xstilts.commands import THEN, Command, file, log, results, user, workflow
from xstilts.config import DEFAULT_STUDY
from xstilts.errors import InputError, Stopped, nearest
from xstilts.modelling import distributed
from xstilts.processes import signals
from xstilts.text import visible

FAILED, BAD_INPUT = 1, 2
SIGNALLED = 128  # plus the signal's number, as a shell reports it
_GROUPS = {
    "Commands": (*user.COMMANDS, *results.COMMANDS),
    "Phases, which the workflow runs with the ids of artefacts": workflow.COMMANDS,
}
_COMMANDS = {command.name: command for group in _GROUPS.values() for command in group}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, or several that THEN separates; return the first status other than 0."""
    remaining = list(sys.argv[1:] if arguments is None else arguments)
    while THEN in remaining:
        place = remaining.index(THEN)
        status = _run(remaining[:place])
        if not status and signals.received:  # one that came after the command's last check
            status = SIGNALLED + signals.received[0]
        if status:
            return status
        gc.collect()  # a trained model, before the next command loads one
        remaining = remaining[place + 1 :]
    return _run(remaining)


def _run(arguments: Sequence[str]) -> int:
    """Run a command and return the exit status; a user's mistake is a message, no traceback."""
    _escape_unprintable()
    parser = build_parser()
    if any("\0" in text for text in arguments):
        parser.error("an argument has a zero byte, which no path has")
    options = parser.parse_args(arguments)
    options.arguments = list(arguments)
    try:
        with signals.as_exceptions():
            _start_logging(options.log)
            status = options.run(options)
            sys.stdout.flush()
    except InputError as error:
        log.error(f"xstilts {options.command}: {error}")
        return BAD_INPUT
    except Stopped as stop:
        log.warning(f"xstilts {options.command}: {stop}")
        return SIGNALLED + stop.number
    except KeyboardInterrupt:
        log.warning(signals.line(options.command, signal.SIGINT))
        return SIGNALLED + signal.SIGINT
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        message = store.machine_error(error) or f"{file}{error.strerror or error}"
        log.error(f"xstilts {options.command}: {message}")
        log.debug("", exc_info=True)
        return BAD_INPUT
    except Exception as error:
        if signals.received:  # a library has replaced the signal's exception by its own
            log.warning(signals.line(options.command, signals.received[0]))
            return SIGNALLED + signals.received[0]
        if message := store.machine_error(error):
            log.error(f"xstilts {options.command}: {message}")
            return BAD_INPUT
        log.exception(f"xstilts {options.command}: internal error; please report this traceback")
        return FAILED
    return status or 0


class _Formatter(logging.Formatter):
    """A formatter whose lines, tracebacks included, hide secrets and control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return visible(super().format(record))


class _Once(argparse.Action):
    """An option with a value that is given once; argparse takes the last of several values."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Store the value, or fail if the option is repeated."""
        stored = vars(namespace).setdefault("stored", set())
        if option_string and self.dest in stored:
            raise argparse.ArgumentError(self, "given twice; expected one value")
        stored.add(self.dest)
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    """A parser that accepts an option once; for an unknown command, it names the nearest one."""

    def __init__(self, **options):
        super().__init__(**options)
        self.register("action", None, _Once)

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with BAD_INPUT."""
        if unknown := re.match(r"argument COMMAND: invalid choice: '(.*?)' ", message):
            message = f"invalid choice: {unknown[1]!r}; {nearest(unknown[1], _COMMANDS)}"
        super().error(visible(message))


def _escape_unprintable() -> None:
    """Let the output show characters as escapes that its encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    width = min(shutil.get_terminal_size().columns, 100) - 2
    parser = _Parser(
        prog="xstilts",
        usage="xstilts [--help] [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=textwrap.fill(
            "Does intermediate-task training improve zero-shot cross-lingual transfer? "
            "`snakemake` runs a study; these commands plan it, watch it and explain its results.",
            width,
        ),
        epilog="\n\n".join(_listed(*group, width) for group in _GROUPS.items())
        + "\n\n`xstilts COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog="xstilts"
    )
    for command in _COMMANDS.values():
        _add(command, commands)
    return parser


def _listed(title: str, commands: Iterable[Command], width: int) -> str:
    column = max(map(len, _COMMANDS)) + 6
    lines = [
        textwrap.fill(
            command.help,
            width,
            initial_indent=f"    {command.name}".ljust(column),
            subsequent_indent=" " * column,
        )
        for command in commands
    ]
    return "\n".join([f"{title}:", *lines])


def _add(command: Command, commands) -> None:
    description = command.help[0].upper() + command.help[1:] + "."
    parser = commands.add_parser(command.name, description=description)
    parser.set_defaults(run=command.run)
    if command.needs_study:
        parser.add_argument(
            "--study",
            type=file,
            default=DEFAULT_STUDY,
            metavar="FILE",
            help="file of the study, or a run's snapshot, results/studies/NAME/study.DIGEST.json "
            "(default: %(default)s)",
        )
        parser.add_argument(
            "--config",
            nargs="+",
            action="extend",
            default=[],
            metavar="KEY=VALUE",
            help="override keys of the study, as for snakemake: --config source=hub",
        )
    command.add_arguments(parser)
    parser.add_argument(
        "--log", type=file, metavar="FILE", help="also write the messages to this file"
    )


def _start_logging(path: Path | None) -> None:
    logging.raiseExceptions = False  # a log on a full disk must not hide the cause
    first = distributed.is_main()  # the others report only errors
    log.setLevel(logging.INFO if first else logging.ERROR)
    log.handlers.clear()
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_Formatter())
    log.addHandler(screen)
    if path and first:
        if path.is_dir():
            raise InputError(f"--log {path}: is a folder; expected a file")
        store.check_writable(path.parent)
        if not distributed.started():
            path.unlink(missing_ok=True)
        file = logging.FileHandler(path, mode="a", encoding="utf-8")
        file.setFormatter(_Formatter("%(asctime)s %(message)s"))
        log.addHandler(file)
