"""Words with a tag each, from a text and spans of its characters, as annotation tools export."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from xstilts.errors import InputError

OUTSIDE = "O"


def words(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each word: what stands between spaces, without marks at its ends.

    A mark at an end is a word of its own. Marks inside stay: `4:05` and `ng'ombe` are one word.
    """
    for match in re.finditer(r"\S+", text):
        yield from _parts(text, *match.span())


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    # punctuation and symbols are marks
    inner = [n for n in range(start, end) if unicodedata.category(text[n])[0] not in "PS"]
    first, last = (inner[0], inner[-1] + 1) if inner else (end, end)
    yield from ((n, n + 1) for n in range(start, first))
    if first < last:
        yield first, last
        yield from ((n, n + 1) for n in range(last, end))


def tagged(
    text: str, spans: Iterable[tuple[int, int, str]], place: str
) -> tuple[list[str], list[str]] | str:
    """Return the words of a text and their tags, B- and I- of the spans' labels.

    A span is (first character, the one after its last, label). A word belongs to the first span
    that it overlaps. Return the reason for an exclusion if a span has no word of its own; raise
    InputError for offsets outside the text, and for tags in place of labels.
    """
    places = list(words(text))
    tags = [OUTSIDE] * len(places)
    for first, end, label in sorted(spans):
        if not 0 <= first < end <= len(text):
            raise InputError(
                f"{place}: span {first} to {end} ({label}), but the text has {len(text)} characters"
            )
        if label == OUTSIDE or label[:2] in ("B-", "I-"):
            raise InputError(
                f"{place}: span {first} to {end} has the tag {label!r}; expected a type such as "
                "PER, to which B- and I- are added (`labels` renames them)"
            )
        own = _free(places, tags, first, end)
        if not own:
            return "two spans in one word"
        for position, number in enumerate(own):
            tags[number] = f"{'I' if position else 'B'}-{label}"
    return [text[first:end] for first, end in places], tags


def _free(
    places: Sequence[tuple[int, int]], tags: Sequence[str], first: int, end: int
) -> list[int]:
    """Return the numbers of the words that overlap a span and have no tag yet."""
    overlapping = [n for n, (start, stop) in enumerate(places) if start < end and first < stop]
    return [number for number in overlapping if tags[number] == OUTSIDE]
