"""Mistakes in a configuration, in plain English instead of pydantic's phrases and patterns."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite
from typing import Any

from pydantic import ValidationError

from xstilts.config.origins import COMMIT, KeyMistake
from xstilts.config.schema import MODEL, RECIPE_NAME
from xstilts.errors import nearest, spelled
from xstilts.languages.names import languages
from xstilts.recipe import LANGUAGE, TASK

Key = tuple[str | int, ...]
Place = Callable[[Key], str]  # file, or option of the command line, that states a key

_PATTERNS = {
    TASK: "a lower-case letter, then lower-case letters, digits and _, at most 60",
    MODEL: "a lower-case letter, then lower-case letters, digits, - and _, at most 60",
    RECIPE_NAME: "a lower-case letter, then lower-case letters, digits and _ + @ ~ | -",
    LANGUAGE: "a language code such as 'de'",
    COMMIT: "the 40 hexadecimal digits of a commit",
}
_TYPES = {  # pydantic's name of a mistake in the type of a value
    **dict.fromkeys(("string_type", "string_unicode"), "text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("int_parsing_size",), "a smaller number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("finite_number",), "a finite number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
}
_LIMITS = {
    "greater_than": ("gt", "a number above"),
    "greater_than_equal": ("ge", "a number of at least"),
    "less_than": ("lt", "a number below"),
    "less_than_equal": ("le", "a number of at most"),
}
_EXAMPLES = {  # of lists that must not be empty
    "models": "[xlmr-base]",
    "recipes": "[none, mnli]",
    "targets": "[xnli, udpos]",
    "seeds": "[1, 2, 3]",
}
_SHOWN = 60  # characters of a value


def explain(error: ValidationError, values: Any, place: Place) -> list[str]:
    """Return one line per mistake in `values`: its place, key, what is wrong, what was expected."""
    places: dict[Key, list[Mapping]] = {}
    for mistake in error.errors():
        places.setdefault(_key(mistake, values), []).append(mistake)
    lines = []
    for key, mistakes in places.items():
        # a value with a mistake inside has the right type for one branch of a union
        inside = any(other[: len(key)] == key != other for other in places)
        if not (inside and all(mistake["type"] in _TYPES for mistake in mistakes)):
            cause = mistakes[0].get("ctx", {}).get("error")
            inner = (*key, *cause.key) if isinstance(cause, KeyMistake) else key
            shown = inner if isinstance(cause, KeyMistake) and cause.shown else key
            names = [name if isinstance(name, str) else json.dumps(name) for name in shown]
            written = f", {'.'.join(names)}" if names else ""
            lines.append(f"{place(inner)}{written}: {_message(mistakes)}")
    return lines


def allowed(pattern: str) -> str:
    """Return a description of the names that a pattern of the configuration allows."""
    return _PATTERNS[pattern]


def _key(mistake: Mapping, values: Any) -> Key:
    """Return pydantic's location without the branches of unions, which are no keys."""
    key: list[str | int] = []
    for name in mistake["loc"]:
        is_index = isinstance(values, list) and isinstance(name, int)
        if is_index or (isinstance(values, Mapping) and name in values):
            key.append(name)
            values = values[name]
    if mistake["type"] == "missing":
        key.append(mistake["loc"][-1])
    if mistake["type"].startswith("union_tag"):
        key.append(mistake["ctx"]["discriminator"].strip("'"))
    return tuple(key)


def _message(mistakes: Sequence[Mapping]) -> str:
    first = mistakes[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in ("missing", "union_tag_not_found"):
        return "this key is missing"
    if kind == "too_short":
        return _too_short(first)
    if kind == "union_tag_invalid":
        return _not_a_choice(context["tag"], context["expected_tags"])
    if kind == "literal_error" and len(mistakes) == 1:
        return _not_a_choice(first["input"], context["expected"])
    key = first["loc"][-1] if first["loc"] else ""
    expected = " or ".join(dict.fromkeys(map(_expected, mistakes)))
    if expected == "a list" and isinstance(first["input"], str | int):
        is_no_seed = key == "seeds" and isinstance(first["input"], str)
        expected += ", such as " + (_EXAMPLES[key] if is_no_seed else f"[{first['input']}]")
    return f"{quoted(first['input'])} is not allowed; expected {expected}"


def _too_short(mistake: Mapping) -> str:
    least = mistake["ctx"]["min_length"]
    if least > 1:
        return f"{quoted(mistake['input'])} is too short; expected {least} entries or more"
    example = _EXAMPLES.get(mistake["loc"][-1])
    return "the list is empty; expected one or more" + (f", such as {example}" if example else "")


def _not_a_choice(value: Any, choices: str) -> str:
    hint = nearest(str(value), re.findall("'(.*?)'", choices))
    return f"{quoted(value)} is not allowed; {hint}"


def _expected(mistake: Mapping) -> str:
    kind, value, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return f"{words} {_number(context[limit])}"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"].strip("^$")
        return allowed(pattern) + (_likely_code(value) if pattern == LANGUAGE else "")
    if kind == "literal_error":
        return context["expected"]
    if kind == "too_short":
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} that is not empty"
    if kind == "string_type" and value is False:
        return "text in quotes (YAML reads no and off as false)"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "text in quotes"
    return _TYPES.get(kind, mistake["msg"].removeprefix("Input should be "))


def _likely_code(value: str) -> str:
    """Return a hint at the code of a language that is written in another way."""
    code = spelled(value, languages()) or value.lower().replace("-", "_")
    return f"; did you mean {code!r}?" if re.fullmatch(LANGUAGE, code) else ""


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def quoted(value: Any) -> str:
    """Return a value as a message shows it, truncated."""
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, float) and not isfinite(value):
        text = {inf: ".inf", -inf: "-.inf"}.get(value, ".nan")
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
