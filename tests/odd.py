"""Odd values and damaged texts, for the fuzzer."""

import random
from typing import Any

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 1.5, 1e308, float("inf"), float("nan")),
    *("", " ", "none", "None", "1", "no", "~", "*", "\n", "\t", "\x00", "\x1b[2J", "\u202e"),
    *("\ud83d", "x" * 300, *"ü मी .. ../x / a/b {language} {node} {} $HOME".split()),
    *"nli NLI nli-nli nli+text nli~10k nli@xa tiny TINY [ %s {0}".split(),
    *([], [[]], [None], ["nli"], [1, "a"], {}, {"a": 1}, {1: 2}, {"": {}}, {"nli": {}}, [{}] * 3),
]
TOKENS = "nli text NLI paws-x none @ ~ + - all xa 10 k 5pct 300steps 0 é __ m".split()
TOKENS += ["9" * 5000, " ", "", "\n"]
MARKUP = "{ } [ ] : , !! | > ' \" # % --- ... \\ud83d 1e999 .inf .nan 0x 0b2 1:99 = ~".split()
MARKUP += ["\n", "  ", "\t", "- ", "? ", "&a ", "*a", "<<: ", "!!int ", "!!binary ", "\r"]
MARKUP += ["!!python/name:os ", "2024-01-99", "\x00", "9" * 5000, "\ufeff"]


def swapped(value: Any, rng: random.Random) -> Any:
    """Return a value in which one part, at a random place, is odd, missing or doubled."""
    if rng.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return rng.choice(ODD)
    if isinstance(value, list):
        copy = list(value)
        at = rng.randrange(len(copy))
        copy[at] = swapped(copy[at], rng)
        return rng.choice([copy, copy, copy + copy[:1], copy[:at]])
    copy = dict(value)
    key = rng.choice(list(copy))
    entry = copy.pop(key)
    action = rng.random()
    if action < 0.7:
        copy[key] = swapped(entry, rng)
    elif action < 0.85:
        odd = rng.choice(ODD)
        copy[odd if isinstance(odd, str | int | float | None) else "odd"] = entry
    return copy


def cut(text: bytes, rng: random.Random) -> bytes:
    """Return bytes with a random damage: removed, doubled, replaced or inserted."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([0, 1, 2, 5, 50]))
        new = rng.choice([b"", text[start:end] * 2, _token(rng), bytes([rng.randrange(256)])])
        text = text[:start] + new + text[end:]
    return text


def _token(rng: random.Random) -> bytes:
    odd = rng.choice([*MARKUP, *TOKENS, '"\\ud83d"', "null", "1e400", "-1", "[" * 3000, "\\"])
    return odd.encode("utf-8", "surrogatepass")
