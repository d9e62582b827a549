"""The commands of `xstilts`: for each, its help, the function that runs it, and its options.

`user` has the commands that a user calls, `workflow` those that the workflow calls. Importing them
is cheap; each command imports what it needs when it runs: `xstilts why` must not wait for torch.
"""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xstilts.config.yaml import parse_yaml
from xstilts.errors import InputError

if TYPE_CHECKING:
    from xstilts.grid.grid import Grid

log = logging.getLogger("xstilts")


def no_arguments(parser: ArgumentParser) -> None:
    """Add no options."""


@dataclass(frozen=True)
class Command:
    """A command of `xstilts`."""

    name: str
    help: str
    run: Callable[[Namespace], int | None]  # returns the exit status, None for 0
    add_arguments: Callable[[ArgumentParser], None] = no_arguments
    needs_study: bool = True


def changes(options: Namespace) -> dict[str, Any]:
    """Return the keys of the study that `--config` overrides, as Snakemake's option does.

    Raise InputError for text that is not KEY=VALUE, with a value in YAML.
    """
    values: dict[str, Any] = {}
    for text in options.config:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InputError(f"--config {text!r}: expected KEY=VALUE, such as source=hub")
        values[key] = parse_yaml(value, f"--config {key}")
    return values


def open_grid(options: Namespace) -> "Grid":
    """Return the grid of the study in `--study`, and print the notices."""
    from xstilts.grid.state import open_study

    grid, notices = open_study(options.study, changes(options))
    for notice in notices:
        log.info(notice)
    return grid
