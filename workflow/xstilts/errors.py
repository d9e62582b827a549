"""The exceptions that end a command, and the hint that an error message ends with."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

_LISTED = 12  # choices in a hint


class InputError(Exception):
    """Bad input: the command line prints the message without a traceback and exits with 2."""


class Diverged(InputError):
    """A loss, weights or a model's output that are not finite: no later step can repair that."""


class Stopped(Exception):
    """A job received a signal to stop; its state is saved, and the next run resumes from there."""


def closest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to `name`, if one is similar at all.

    Case and punctuation do not matter: `SQuAD` is `squad`, and `XLM-R` is `xlmr`.
    """
    by_letters = {_letters(choice): choice for choice in sorted(choices, reverse=True)}
    similar = difflib.get_close_matches(_letters(name), by_letters, n=1)
    return by_letters[similar[0]] if similar else None


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for a near miss, else the valid choices.

    Error messages about names end in it.
    """
    choices = sorted(choices)
    if similar := closest(name, choices):
        return f"did you mean {similar!r}?"
    shown = ", ".join(choices[:_LISTED]) + (", …" if len(choices) > _LISTED else "")
    return f"valid: {shown or 'none'}"


def check_known(kind: str, name: str, entries: Mapping[str, Any], context: str = "") -> None:
    """Raise ValueError naming the most similar entry if `name` is not one of `entries`."""
    if name not in entries:
        raise ValueError(f"{context}unknown {kind} {name!r}: {nearest(name, entries)}")
