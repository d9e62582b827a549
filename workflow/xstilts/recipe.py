"""Recipes: the intermediate steps of a cell, in a short notation.

The notation is the same in YAML, in paths and in tables:

    none                   no intermediate step: the baseline
    mnli                   one step on MNLI
    mnli-hellaswag         MNLI first, then HellaSwag
    mnli+squad2+qqp        one step on several tasks: a shared encoder and one head per task
    mnli@de                training data in German; `mnli@all`: in all languages of the task
    mnli~10k, mnli~5pct    a subsample of the training data; for one seed, subsamples are nested
    mnli+qqp~300steps      300 optimiser steps, which override the settings
    mnli|squad             two trainings from one checkpoint, merged: the mean of their encoders
    mnli|squad~0.3         their checkpoint plus 0.3 times the sum of their task vectors

    recipe   := "none" | step ("-" step)*        step := training ("|" training)* ["~" scale]
    training := part ("+" part)* ["~" count "steps"]
    part     := task ["@" language] ["~" size]   size := count ["k" | "m"] | percent "pct"

A task vector is what a training changed: the trained weights minus those it began with (Ilharco et
al. 2023). `+` binds more closely than `|`, and `|` more closely than `-`: in `qqp-mnli|squad-ccg`,
MNLI and SQuAD both begin with QQP's checkpoint, and CCG continues from their mean.

Printing a parsed recipe gives its canonical form: the parts of a step sorted, counts shortened
(`1000` becomes `1k`), the scale of a mean omitted. Two spellings of the same training therefore
share one identity.
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
    "a size such as '10k' or '5pct', or a scale such as '0.3'": re.compile(
        r"([1-9][0-9]*)(pct|k|m|)"
    ),
}
_TASK, _LANGUAGE, _SIZE = _TOKENS
_DIGITS = 12
_MAX_STEPS = re.compile(r"~([1-9][0-9]*)steps")
_SCALE = re.compile(r"~([0-9]+\.[0-9]+)")
_DECIMALS, _LARGEST = 3, 10  # of a scale; a larger one leaves nothing of the model


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
class Merge:
    """Trainings from one checkpoint, merged: that checkpoint plus `scale` times what they changed.

    Without `scale`, it is the mean of their weights.
    """

    trainings: tuple[Step, ...]
    scale: float | None = None

    def __str__(self) -> str:
        scale = "" if self.scale is None else f"~{self.scale}"
        return "|".join(sorted(map(str, self.trainings))) + scale

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts of all trainings."""
        return tuple(part for training in self.trainings for part in training.parts)


@dataclass(frozen=True)
class Recipe:
    """The intermediate steps in order; the baseline `none` has no steps."""

    steps: tuple[Step | Merge, ...] = ()

    def __str__(self) -> str:
        return "-".join(map(str, self.steps)) or NONE

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts of all steps, in order."""
        return tuple(part for step in self.steps for part in step.parts)


def trainings(step: Step | Merge) -> tuple[Step, ...]:
    """Return the trainings of a step: those that it merges, or itself."""
    return step.trainings if isinstance(step, Merge) else (step,)


def parse(text: str) -> Recipe:
    """Return the recipe that `text` denotes.

    Raise RecipeError with the position of the first mistake.
    """
    if text == NONE:
        return Recipe()
    step, position = _parse_step(text, 0)
    steps = [step]
    while position < len(text):  # there is a "-"
        step, position = _parse_step(text, position + 1)
        steps.append(step)
    return Recipe(tuple(steps))


def _parse_step(text: str, position: int) -> tuple[Step | Merge, int]:
    training, end = _parse_training(text, position)
    found = [training]
    while text[end : end + 1] == "|":
        start = end + 1
        training, end = _parse_training(text, start)
        if training in found:
            expected = f"another training than {str(training)!r}, already in this merge"
            raise RecipeError(text, start, expected)
        found.append(training)
    scale = None
    if match := _SCALE.match(text, end):
        scale, end = _parse_scale(match), match.end()
        if text[end : end + 1] not in ("-", ""):
            raise RecipeError(text, end, "'-' or the end (a scale is that of all merged trainings)")
    mean = 1 / len(found)
    if scale is None or scale == mean:
        return (Merge(_sorted(found)) if len(found) > 1 else training), end
    return Merge(_sorted(found), scale), end


def _parse_scale(match: re.Match) -> float:
    digits = match.group(1)
    scale = float(digits)
    if len(digits.partition(".")[2]) > _DECIMALS or not 0 < scale <= _LARGEST:
        expected = f"a scale above 0, at most {_LARGEST}, with at most {_DECIMALS} decimals"
        raise RecipeError(match.string, match.start(1), expected)
    return scale


def _parse_training(text: str, position: int) -> tuple[Step, int]:
    parts: list[Part] = []
    while True:
        start = position
        part, position = _parse_part(text, position)
        if str(part) in map(str, parts):
            raise RecipeError(text, start, f"another task than {str(part)!r}, already in this step")
        parts.append(part)
        fixed = _MAX_STEPS.match(text, position)
        position = fixed.end() if fixed else position
        separator = text[position : position + 1]
        if separator == "+" and not fixed:
            position += 1
            continue
        if separator not in ("-", "|", "") and not _SCALE.match(text, position):
            raise RecipeError(text, position, _continuation(part, bool(fixed)))
        max_steps = _number(fixed.group(1), text, fixed.start() + 1) if fixed else None
        return Step(_sorted(parts), max_steps), position


def _sorted(items: list) -> tuple:
    return tuple(sorted(items, key=str))


def _parse_part(text: str, position: int) -> tuple[Part, int]:
    task, end = _take(text, position, _TASK)
    if task.group() == NONE:
        raise RecipeError(text, position, "a task name ('none' stands alone)")
    language = size = None
    if text[end : end + 1] == "@":
        match, end = _take(text, end + 1, _LANGUAGE)
        language = match.group()
    follows = _MAX_STEPS.match(text, end) or _SCALE.match(text, end)
    if text[end : end + 1] == "~" and not follows:
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
        return "'|', '-' or the end"
    suffixes = [] if part.size else ["'~'"]
    if not part.size and not part.language:
        suffixes = ["'@'", "'~'"]
    return ", ".join(["'|'", *suffixes, "'+'", "'-'"]) + " or the end"
