"""Exceptions that end a command, and hints at the end of error messages: the nearest name."""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

_LISTED = 12  # choices in a hint
_OF_PATHS = (".", "/", "\\", "~")  # beginnings of paths; these are not names

# Names that a user may give; as a mapping, with other spellings of each, such as its label.
Choices = Iterable[str] | Mapping[str, Any]


class InputError(Exception):
    """Bad input: the command line prints the message without a traceback and exits with 2."""


class NotationError(InputError):
    """A mistake in a notation; the message states its position (from 1) and what was expected."""

    def __init__(self, kind: str, text: str, position: int, expected: str, given: str):
        found = f"{given!r}{foreign(given)}" if given else "the end"
        super().__init__(
            f"{kind} {text!r}, position {position + 1}: expected {expected}, found {found}\n"
            f"  {text}\n  {' ' * position}^"
        )
        self.position = position


class Diverged(InputError):
    """A loss, weights or a model's output that are not finite: no later step can repair that."""


class Stopped(BaseException):
    """A job received a signal to stop; its state is saved, and the next run resumes from there.

    It is not an Exception, as KeyboardInterrupt is not: libraries catch those during imports, too.
    """

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number


@runtime_checkable
class Spelled(Protocol):
    """An entry that users also call by other names than its own."""

    def spellings(self) -> list[str]:
        """Return the other names, such as the label."""


def spelled(name: str, choices: Choices) -> str | None:
    """Return the choice that `name` spells, or None.

    Case and punctuation do not matter: `XLM-R-base` is `xlmr-base`. A choice's other spellings
    count where no choice has that name, and only one choice has that spelling.
    """
    names = list(choices)
    if name in names:
        return name
    letters = _letters(name)
    if not letters or name.startswith(_OF_PATHS):
        return None
    same = [choice for choice in names if _letters(choice) == letters]
    if not same:
        same = [choice for choice in names if letters in map(_letters, _others(choices, choice))]
    return same[0] if len(same) == 1 else None


def closest(name: str, choices: Choices) -> str | None:
    """Return the choice that `name` spells, or else the most similar one, if one is similar."""
    if found := spelled(name, choices):
        return found
    by_letters: dict[str, str] = {}
    names = sorted(choices)
    others = [(spelling, choice) for choice in names for spelling in _others(choices, choice)]
    for spelling, choice in [*zip(names, names, strict=True), *others]:
        by_letters.setdefault(_letters(spelling), choice)
    by_letters.pop("", None)
    letters = _letters(name)
    similar = difflib.get_close_matches(letters, by_letters, n=5)
    # among equally similar names, of the most similar length: `nly` is nli rather than xnli_my
    similar.sort(key=lambda known: (-_similarity(known, letters), abs(len(known) - len(letters))))
    if not similar and len(letters) > 2:  # `tydi`, `paws`: the beginning of one name
        similar = sorted((known for known in by_letters if known.startswith(letters)), key=len)
    return by_letters[similar[0]] if similar else None


def _similarity(known: str, letters: str) -> float:
    return difflib.SequenceMatcher(None, known, letters).ratio()


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _others(choices: Choices, choice: str) -> list[str]:
    entry = choices[choice] if isinstance(choices, Mapping) else None
    return entry.spellings() if isinstance(entry, Spelled) else []


def foreign(name: str) -> str:
    """Return which character of a name is not ASCII, since it may look like another; or ''."""
    other = next((char for char in name if not char.isascii()), "")
    return f" ({other!r} is {unicodedata.name(other, 'no letter').lower()})" if other else ""


def nearest(name: str, choices: Choices) -> str:
    """Return `did you mean 'x'?` for a near miss, else the valid choices.

    Error messages about names end in it. A long list begins with the most similar choices.
    """
    if similar := closest(name, choices):
        return f"did you mean {similar!r}?{foreign(name)}"
    listed = sorted(choices)
    if len(listed) > _LISTED:
        listed.sort(key=lambda choice: -_similarity(_letters(choice), _letters(name)))
    shown = ", ".join(listed[:_LISTED]) + (", …" if len(listed) > _LISTED else "")
    return f"valid: {shown or 'none'}"


def check_given_once(keys: Iterable[str]) -> None:
    """Raise InputError for a key that is given twice in the option `--config`."""
    for key, times in Counter(keys).items():
        if times > 1:
            raise InputError(f"--config: {key} is given twice; expected one value")
