"""Text from outside: made safe for terminals and logs, and JSON read without tracebacks."""

import json
import math
import os
import re
from collections import Counter
from typing import Any

# Control characters except tab and line feed, marks that reorder text, and surrogates
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SECRETS = re.compile(
    r"(?<=://)[^/\s@]+@"  # user and password of an address
    r"|\bhf_[A-Za-z0-9]{10,}"
    r"|(?<=[Bb]earer )[\w.~+/-]{8,}=*"
)
_SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "GITHUB_TOKEN")
_SHORTEST_SECRET = 8  # characters; a shorter value also occurs in ordinary text
_HIDDEN = "***"
_ESCAPE = re.compile(  # a pair of surrogates, half a pair (group 1), or another escape
    r"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(u[dD][89a-fA-F]\w\w)|.)", re.DOTALL
)


def visible(text: str) -> str:
    """Return text that is safe for a terminal, a log or a message.

    Control characters become escapes such as `\\x1b`; tokens and passwords become `***`.
    """
    return _UNSAFE.sub(_escaped, _hidden(text))


def say(text: Any) -> None:
    """Print a line of a command's result."""
    print(visible(str(text)))


def _escaped(match: re.Match) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _hidden(text: str) -> str:
    for value in map(os.environ.get, _SECRET_VARIABLES):
        if value and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, _HIDDEN)
    return _SECRETS.sub(lambda match: _HIDDEN + match[0][-1] * match[0].endswith("@"), text)


class _NotFinite(ValueError):
    """A number that is infinite or not a number, which JSON does not have."""


class _Repeated(ValueError):
    """A key that an object has twice."""


def decode_json(source: str, finite: bool = False, unique: bool = False) -> Any:
    """Return the value of a JSON text. Raise ValueError that says what is wrong, and where.

    NaN and Infinity, which Python's own writer allows, are accepted unless `finite`; of a repeated
    key, the last value counts unless `unique`.
    """
    hooks: dict[str, Any] = {"parse_constant": _refuse, "parse_float": _finite} if finite else {}
    if unique:
        hooks["object_pairs_hook"] = _once
    try:
        value = json.loads(source, **hooks)
    except json.JSONDecodeError as error:
        place = _position(source, error.pos)
        raise ValueError(f"not valid JSON, or truncated: {error.msg} at {place}") from None
    except RecursionError:
        raise ValueError("not valid JSON: nested too deeply") from None
    except _Repeated as error:
        raise ValueError(str(error)) from None
    except _NotFinite as error:
        raise ValueError(f"{_not_finite(json.loads(source))!r}: {error}") from None
    except ValueError:
        raise ValueError("not valid JSON: a number has too many digits") from None
    if "\\ud" in source or "\\uD" in source:
        half = next((match for match in _ESCAPE.finditer(source) if match[1]), None)
        if half:
            raise ValueError(
                f"{half[0]} at {_position(source, half.start())} is half of a character "
                "(an unpaired surrogate), which no file in UTF-8 can hold"
            )
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        repeated = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Repeated(f"the key {repeated!r} is given twice")
    return value


def _refuse(text: str) -> float:
    raise _NotFinite(f"{text} is not a finite number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _not_finite(value: Any) -> str:
    """Return the key, with its parents', of a number that is not finite."""
    items = [("", value)]
    while items:
        key, value = items.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return key
        inside = value.items() if isinstance(value, dict) else ()
        inside = enumerate(value) if isinstance(value, list) else inside
        items += [(f"{key}.{name}".lstrip("."), child) for name, child in inside]
    return ""


def _position(source: str, offset: int) -> str:
    line = source.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - source.rfind(chr(10), 0, offset)}"
