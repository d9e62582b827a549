"""Recipes: the intermediate steps of a cell, in a short notation.

The notation is the same in YAML, in paths and in tables:

    none                   no intermediate step: the baseline
    mnli                   one step on MNLI
    mnli-hellaswag         MNLI first, then HellaSwag
    mnli+squad2+qqp        one step on several tasks: a shared encoder and one head per task
    mnli@de                training data in German; `mnli@all`: in all languages of the task
    mnli~10k, mnli~5pct    a subsample of the training data; for one seed, subsamples are nested
    mnli+qqp~300steps      300 optimiser steps, which override the settings

    recipe := "none" | step ("-" step)*        step := part ("+" part)* ["~" count "steps"]
    part   := task ["@" language] ["~" size]   size := count ["k" | "m"] | percent "pct"

Printing a parsed recipe gives its canonical form: the parts of a step sorted, counts shortened
(`1000` becomes `1k`). Two spellings of the same training therefore share one identity.
"""

import re
from dataclasses import dataclass

from xstilts.errors import NotationError

NONE = "none"
ALL = "all"  # in place of a language: all languages of the task
TASK = r"[a-z][a-z0-9_]{0,59}"  # part of file names
LANGUAGE = r"[a-z]{2,3}(?:_[a-z0-9]{1,20}){0,3}"
_UNITS = {"m": 1_000_000, "k": 1_000, "": 1}
_TOKENS = {
    "a task name (lower-case letters, digits, _)": re.compile(TASK),
    "a language code such as 'de'": re.compile(LANGUAGE),
    "a size such as '10k', '500' or '5pct'": re.compile(r"([1-9][0-9]*)(pct|k|m|)"),
}
_TASK, _LANGUAGE, _SIZE = _TOKENS
_DIGITS = 12
_MAX_STEPS = re.compile(r"~([1-9][0-9]*)steps")


class RecipeError(NotationError):
    """A malformed recipe."""

    def __init__(self, text: str, position: int, expected: str):
        super().__init__("recipe", text, position, expected, text[position : position + 1])


@dataclass(frozen=True, order=True)
class Size:
    """Size of a subsample of the training data: a number or a percentage of the examples."""

    number: int
    percent: bool = False

    def __str__(self) -> str:
        if self.percent:
            return f"{self.number}pct"
        unit = next(unit for unit, factor in _UNITS.items() if self.number % factor == 0)
        return f"{self.number // _UNITS[unit]}{unit}"

    def of(self, total: int) -> int:
        """Return the size as a number of examples, at least 1 and at most `total`."""
        wanted = round(total * self.number / 100) if self.percent else self.number
        return max(1, min(total, wanted))


@dataclass(frozen=True, order=True)
class Part:
    """The training data of one task in a step; without `language`, the task's default applies."""

    task: str
    language: str | None = None
    size: Size | None = None

    def __str__(self) -> str:
        language = f"@{self.language}" if self.language else ""
        return self.task + language + (f"~{self.size}" if self.size else "")


@dataclass(frozen=True)
class Step:
    """One training: on one task, or on several with a shared encoder and one head each."""

    parts: tuple[Part, ...]
    max_steps: int | None = None  # None: the settings decide

    def __str__(self) -> str:
        steps = f"~{self.max_steps}steps" if self.max_steps else ""
        return "+".join(sorted(map(str, self.parts))) + steps


@dataclass(frozen=True)
class Recipe:
    """The intermediate steps in order; the baseline `none` has no steps."""

    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return "-".join(map(str, self.steps)) or NONE

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts of all steps, in order."""
        return tuple(part for step in self.steps for part in step.parts)


def parse(text: str) -> Recipe:
    """Return the recipe that `text` denotes.

    Raise RecipeError with the position of the first mistake.
    """
    if text == NONE:
        return Recipe()
    position, steps, parts = 0, [], []
    while True:
        start = position
        part, position = _parse_part(text, position)
        if str(part) in map(str, parts):
            raise RecipeError(text, start, f"another task than {str(part)!r}, already in this step")
        parts.append(part)
        fixed = _MAX_STEPS.match(text, position)
        position = fixed.end() if fixed else position
        separator = text[position : position + 1]
        if separator not in ("-", "") and (fixed or separator != "+"):
            raise RecipeError(text, position, _continuation(part, bool(fixed)))
        if separator != "+":
            max_steps = _number(fixed.group(1), text, fixed.start() + 1) if fixed else None
            steps.append(Step(tuple(sorted(parts, key=str)), max_steps))
            parts = []
        if not separator:
            return Recipe(tuple(steps))
        position += 1


def _parse_part(text: str, position: int) -> tuple[Part, int]:
    task, end = _take(text, position, _TASK)
    if task.group() == NONE:
        raise RecipeError(text, position, "a task name ('none' stands alone)")
    language = size = None
    if text[end : end + 1] == "@":
        match, end = _take(text, end + 1, _LANGUAGE)
        language = match.group()
    if text[end : end + 1] == "~" and not _MAX_STEPS.match(text, end):
        start = end + 1
        match, end = _take(text, start, _SIZE)
        number, unit = _number(match.group(1), text, start), match.group(2)
        if unit == "pct" and number > 100:
            raise RecipeError(text, start, "a percentage from 1 to 100")
        if unit != "pct":
            size = Size(number * _UNITS[unit])
        elif number < 100:  # else all of the data, as without a size
            size = Size(number, True)
    return Part(task.group(), language, size), end


def _number(digits: str, text: str, position: int) -> int:
    if len(digits) > _DIGITS:
        raise RecipeError(text, position, f"a number of at most {_DIGITS} digits")
    return int(digits)


def _take(text: str, position: int, token: str) -> tuple[re.Match, int]:
    match = _TOKENS[token].match(text, position)
    if not match:
        raise RecipeError(text, position, token)
    return match, match.end()


def _continuation(part: Part, fixed: bool) -> str:
    """Return what may follow a part: each suffix once, in the order language, size, steps."""
    if fixed:
        return "'-' or the end"
    suffixes = [] if part.size else ["'~'"]
    if not part.size and not part.language:
        suffixes = ["'@'", "'~'"]
    return ", ".join([*suffixes, "'+'", "'-'"]) + " or the end"
