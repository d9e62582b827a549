"""The commands of `xstilts`: for each, its help, the function that runs it, and its options.

`user` has the commands that a user calls, `workflow` those that the workflow calls. Importing them
is cheap; each command imports what it needs when it runs: `xstilts why` must not wait for torch.
"""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def open_grid(options: Namespace) -> "Grid":
    """Return the grid of the study in `--study`, and print the notices."""
    from xstilts.grid.state import open_study

    grid, notices = open_study(options.study)
    for notice in notices:
        log.info(notice)
    return grid
