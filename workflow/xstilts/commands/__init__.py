"""The commands of `xstilts`: for each, its help, the function that runs it, and its options.

`user` has the commands that a user calls, `workflow` those that the workflow calls. Importing them
is cheap; each command imports what it needs when it runs: `xstilts why` must not wait for torch.
"""

import logging
import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.config.yaml import parse_yaml
from xstilts.errors import InputError, check_given_once, nearest, spelled

if TYPE_CHECKING:
    from xstilts.grid.grid import Grid

log = logging.getLogger("xstilts")
# Between the commands of one process. No file or name can be this: argparse takes it for an option.
THEN = "--then"


def add_cell(parser: ArgumentParser) -> None:
    """Add the name of a cell."""
    parser.add_argument(
        "cell",
        metavar="CELL",
        help="MODEL.RECIPE.TARGET.sSEED, such as xlmr-large.none.xnli.s1: a row and a column of "
        "`xstilts status`",
    )


@dataclass(frozen=True)
class Command:
    """A command of `xstilts`."""

    name: str
    help: str
    run: Callable[[Namespace], int | None]  # returns the exit status, None for 0
    add_arguments: Callable[[ArgumentParser], None] = lambda parser: None
    needs_study: bool = True


def _refused(text: str, hint: str) -> ArgumentTypeError:
    return ArgumentTypeError(f"{text!r} is not allowed; {hint}")


def choice(*choices: str) -> Callable[[str], str]:
    """Return the reader of an option that is one of `choices`, in any spelling."""

    def read(text: str) -> str:
        found = spelled(text, choices)
        if found is None:
            raise _refused(text, nearest(text, choices))
        return found

    return read


def number(least: float) -> Callable[[str], float]:
    """Return the reader of a finite number of at least `least`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not (isfinite(value) and value >= least):
            raise _refused(text, f"expected a number of at least {least:g}")
        return value

    return read


def whole(text: str) -> int:
    """Return a whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) < 1:
        raise _refused(text, "expected a whole number of at least 1")
    return int(text)


def file(text: str) -> Path:
    """Return a path; `~` is the home folder, also after `=`, where shells do not expand it.

    A named pipe is refused: without a writer, a command would wait for ever. `<(…)` has one.
    """
    path = Path(os.path.expanduser(text))
    try:
        is_pipe = path.is_fifo() and path.parts[1:2] not in (("dev",), ("proc",))
    except OSError as error:
        raise _refused(f"{text[:40]}…", f"{error.strerror}; expected a file") from None
    if is_pipe:
        raise _refused(text, "it is a named pipe; expected a file")
    return path


def new_file(text: str) -> Path:
    """Return the path of a file that is written."""
    path = file(text)
    if path.is_dir():
        raise _refused(text, "it is a folder; expected a file")
    return path


def new_folder(text: str) -> Path:
    """Return the path of a folder that is written to."""
    path = file(text)
    if path.is_file():
        raise _refused(text, "it is a file; expected a folder")
    return path


def changes(options: Namespace) -> dict[str, Any]:
    """Return the keys of the study that `--config` overrides, as Snakemake's option does.

    Raise InputError for text that is not KEY=VALUE, with a value in YAML.
    """
    values: dict[str, Any] = {}
    for text in options.config:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InputError(f"--config {text!r}: expected KEY=VALUE, such as source=hub")
        check_given_once([*values, key])
        values[key] = parse_yaml(value, f"--config {key}")
    return values


def open_grid(options: Namespace) -> "Grid":
    """Return the grid of the study in `--study`, and print the notices."""
    from xstilts.grid.state import open_study

    grid, notices = open_study(options.study, changes(options))
    for notice in notices:
        log.info(notice)
    return grid
