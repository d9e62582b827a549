"""Differences between what determined two artefacts."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_DIGEST = re.compile("[0-9a-f]{12}|[0-9a-f]{64}")


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted key and both values wherever two JSON values differ; None if missing.

    A list of digests is one value, because its order and length say nothing of their own.
    """
    lists = isinstance(old, list | tuple) and isinstance(new, list | tuple)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for part in sorted(old.keys() | new.keys()):
            inner = f"{key}.{part}" if key else part
            yield from differences(old.get(part), new.get(part), inner)
    elif lists and len(old) == len(new) and not are_digests(old, new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{key}[{number}]")
    elif old != new:
        yield key, old, new


def are_digests(*values: Any) -> bool:
    """Whether values are digests, lists of digests or None, and not all None."""
    texts = [text for value in values for text in listed(value)]
    return bool(texts) and all(isinstance(text, str) and _DIGEST.fullmatch(text) for text in texts)


def listed(value: Any) -> list:
    """Return a value as a list, None as an empty one."""
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def shown(value: Any) -> str:
    """Return a value as messages show it: a missing one is the default."""
    return "the default" if value is None else repr(value)
