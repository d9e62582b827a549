"""The terminal: everything that a command draws goes through `visible`."""

from collections.abc import Iterator
from typing import Any

import rich.console

from xstilts.text import visible


class Console(rich.console.Console):
    """A console that shows control characters of texts as escapes, and no secrets."""

    def render(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Yield the segments of a renderable; those of rich itself stay as they are."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
