"""The exceptions that a command ends with, and the hint that goes with a user's mistake."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class InputError(Exception):
    """Bad input: the command line prints the message alone, without a traceback, and exits 2."""


class Stopped(Exception):
    """A job was told to stop; its state is saved, and the next run goes on from there."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """`did you mean 'x'?` for a near miss, else the valid choices: the end of an error message."""
    choices = sorted(choices)
    close = difflib.get_close_matches(name, choices, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(choices[:12]) + (", …" if len(choices) > 12 else "")
    return f"valid: {shown or 'none'}"


def check_known(kind: str, name: str, entries: Mapping[str, Any], context: str = "") -> None:
    """Raises ValueError naming the nearest entry if `name` is none of them."""
    if name not in entries:
        raise ValueError(f"{context}unknown {kind} {name!r}: {nearest(name, entries)}")
