"""Claims about gains: sentences that a study wants checked, in a small notation.

    mean gain of squad > 0
    gain of squad on tydiqa > gain of squad on xnli
    gain of multitask > gain of each other
    gain of mnli+mlm, squad+mlm < gain of mnli, squad + 1

    claim := gain (">" | "<") (number | gain [("+" | "-") number])
    gain  := ["mean"] "gain of" names ["on" names] ["in" names]
    names := "all" | "each other" | name ("," name)*

`of` names recipes, `on` targets (by default all), `in` languages (by default the zero-shot
average). Several names mean the average over them. Recipe `best` is each target's best recipe by
validation, chosen on other seeds than those it is scored on. `each other` stands on the right: the
claim must hold for each recipe, or target, that the left side does not name. Numbers are points.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import Field, field_validator

from xstilts import recipe
from xstilts.config.origins import Strict
from xstilts.errors import NotationError
from xstilts.recipe import Recipe

ALL = ("all",)
EACH_OTHER = ("each other",)
ZERO_SHOT = ("zero_shot",)
BEST = "best"  # in place of a recipe: each target's best recipe by validation
_WORD = re.compile(r"[^\s,<>]+|[,<>]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_KEYWORDS = {"mean", "gain", "of", "on", "in", "each", "other", ">", "<", "+", "-", ","}


@dataclass(frozen=True)
class Gain:
    """The gain of some recipes, averaged over them and over targets and languages."""

    recipes: tuple[str, ...]
    targets: tuple[str, ...] = ALL
    languages: tuple[str, ...] = ZERO_SHOT


@dataclass(frozen=True)
class Comparison:
    """`left` is above (or below) `right` + `margin`; without `right`, above `margin` points."""

    left: Gain
    above: bool
    right: Gain | None = None
    margin: float = 0.0


class Claim(Strict):
    """A claim about gains, with its source and a comparison that decides it."""

    says: str = Field(min_length=1, description="The claim in words.")
    source: str = Field(min_length=1, description="Who claims it: a publication, or you.")
    holds_if: str = Field(
        description="Comparison of gains in points, such as `gain of squad on tydiqa > 0` or "
        "`gain of multitask > gain of each other`."
    )
    reported: float | None = Field(
        None, description="Value of the left side minus the right, as published."
    )
    note: str = Field("", description="Difference between the published setting and the study's.")

    @field_validator("holds_if")
    @classmethod
    def _parses(cls, text: str) -> str:
        parse(text)
        return text

    @cached_property
    def comparison(self) -> Comparison:
        """The comparison that decides the claim."""
        return parse(self.holds_if)


def named(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names; none for `all` and `each other`."""
    return () if names in (ALL, EACH_OTHER) else names


def recipe_called(text: str, recipes: Mapping[str, Recipe]) -> str | None:
    """Return the name of the study's recipe with this name or in this notation, if any."""
    if text in recipes or text == BEST:
        return text
    try:
        wanted = recipe.parse(text)
    except recipe.RecipeError:
        return None
    return next((name for name, value in recipes.items() if value == wanted), None)


def parse(text: str) -> Comparison:
    """Return the comparison that `text` denotes. Raise NotationError with the first mistake."""
    words = _Words(text)
    left = _gain(words, each=False)
    above = words.take("'>' or '<'", ">", "<") == ">"
    right, margin = None, 0.0
    if words.word and _NUMBER.fullmatch(words.word):
        margin = _number(words)
    else:
        right = _gain(words, each=True)
        if words.accept("+"):
            margin = _number(words)
        elif words.accept("-"):
            margin = -_number(words)
    if words.word is not None:
        raise words.error("the end")
    return Comparison(left, above, right, margin)


class _Words:
    """The words of a claim, read one by one with their positions."""

    def __init__(self, text: str):
        self._text, self._at = text, 0
        self._matches = list(_WORD.finditer(text))

    @property
    def word(self) -> str | None:
        """The word to read next; None at the end."""
        return self._matches[self._at].group() if self._at < len(self._matches) else None

    def next(self) -> str:
        self._at += 1
        return self._matches[self._at - 1].group()

    def accept(self, word: str) -> bool:
        """Read a word if it is the next one; return whether it was."""
        accepted = self.word == word
        self._at += accepted
        return accepted

    def take(self, expected: str, *words: str) -> str:
        if self.word not in words:
            raise self.error(expected)
        return self.next()

    def error(self, expected: str) -> NotationError:
        ended = self._at >= len(self._matches)
        position = len(self._text) if ended else self._matches[self._at].start()
        return NotationError("claim", self._text, position, expected, self.word or "")


def _gain(words: _Words, each: bool) -> Gain:
    """Read a gain; `each other` is allowed where `each` is true, once."""
    words.accept("mean")
    words.take("a number or 'gain of'" if each else "'gain of'", "gain")
    words.take("'of' and names of recipes", "of")
    recipes, targets, languages = _names(words, "recipe", each), ALL, ZERO_SHOT
    if words.accept("on"):
        targets = _names(words, "target", each and recipes != EACH_OTHER)
    if words.accept("in"):
        languages = _names(words, "language", False)
    return Gain(recipes, targets, languages)


def _names(words: _Words, kind: str, each: bool) -> tuple[str, ...]:
    if each and words.accept("each"):
        words.take("'other'", "other")
        return EACH_OTHER
    names = [_name(words, kind)]
    while words.accept(","):
        names.append(_name(words, kind))
    return tuple(names)


def _name(words: _Words, kind: str) -> str:
    if words.word is None or words.word in _KEYWORDS:
        raise words.error(f"the name of a {kind}")
    return words.next()


def _number(words: _Words) -> float:
    if words.word is None or not _NUMBER.fullmatch(words.word):
        raise words.error("a number of points")
    return float(words.next())
