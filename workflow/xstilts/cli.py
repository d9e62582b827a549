"""The command line: options, logging and exit status of the commands in `xstilts.commands`."""

import argparse
import logging
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from xstilts import __version__, store
from xstilts.commands import Command, log, user, workflow
from xstilts.errors import InputError, Stopped
from xstilts.modelling import distributed

FAILED, BAD_INPUT, STOPPED = 1, 2, 143  # 143: as a shell reports a program ended by SIGTERM
_GROUPS = {
    "What you call": user.COMMANDS,
    "What the workflow calls, with the ids of artefacts": workflow.COMMANDS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status; a user's mistake is a message, no traceback."""
    options = _parser().parse_args(arguments)
    try:
        _start_logging(options.log)
        status = options.run(options)
    except InputError as error:
        log.error(f"xstilts {options.command}: {error}")
        return BAD_INPUT
    except Stopped as stop:
        log.warning(str(stop))
        return STOPPED
    except Exception:
        log.exception(f"xstilts {options.command}: internal error; please report this traceback")
        return FAILED
    return status or 0


def _parser() -> argparse.ArgumentParser:
    width = min(shutil.get_terminal_size().columns, 100) - 2
    parser = argparse.ArgumentParser(
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
        dest="command",
        required=True,
        metavar="COMMAND",
        help=argparse.SUPPRESS,
        prog="xstilts",
    )
    for command in (command for group in _GROUPS.values() for command in group):
        _add(command, commands)
    return parser


def _listed(title: str, commands: Iterable[Command], width: int) -> str:
    column = max(len(command.name) for group in _GROUPS.values() for command in group) + 6
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
            type=Path,
            default=Path("config/config.yaml"),
            metavar="FILE",
            help="study, or a run's results/studies/NAME/study.json (default: %(default)s)",
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
        "--log", type=Path, metavar="FILE", help="also write the messages to this file"
    )


def _start_logging(path: Path | None) -> None:
    logging.raiseExceptions = False  # a log on a full disk must not hide the cause
    first = distributed.is_main()  # the others report only errors
    log.setLevel(logging.INFO if first else logging.ERROR)
    log.handlers.clear()
    log.addHandler(logging.StreamHandler(sys.stderr))
    if path and first:
        store.check_writable(path.parent)
        if not distributed.started():
            path.unlink(missing_ok=True)
        file = logging.FileHandler(path, mode="a", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(file)
