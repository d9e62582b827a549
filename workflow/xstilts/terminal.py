"""The terminal: `visible` makes everything safe that a command draws."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import rich.console
from rich.text import Text

from xstilts.text import visible


class Console(rich.console.Console):
    """A console that shows control characters of texts as escapes, and no secrets."""

    def __init__(self, **options: Any):
        # COLUMNS=0 means an unknown width; rich would print nothing
        known = {name: value for name, value in os.environ.items() if value != "0"}
        super().__init__(**{"_environ": known, **options})

    def render(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Yield the segments of a renderable; those of rich itself stay as they are."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))

    def say(self, text: str, style: str = "") -> None:
        """Print a paragraph, wrapped between words; without a terminal, it is one line."""
        self.print(Text(text, style), soft_wrap=not self.is_terminal)


def side_by_side(widths: Sequence[int], room: int) -> list[slice]:
    """Return the groups of columns that fit in a row each, at least one column per group.

    Two spaces are between columns.
    """
    parts, start = [], 0
    for end in range(1, len(widths) + 1):
        if end == len(widths) or sum(widths[start : end + 1]) + 2 * (end + 1 - start) > room:
            parts.append(slice(start, end))
            start = end
    return parts
