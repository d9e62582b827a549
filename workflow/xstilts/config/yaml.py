"""Strict reading of YAML files: a repeated key is an error, and 1e-5 is a number."""

import re
from pathlib import Path
from typing import Any

import yaml

from xstilts.errors import InputError, closest


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, except that a repeated key is an error; PyYAML keeps the last value."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<` merges a mapping; the keys next to it take precedence
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML follows, reads 1e-5 as a string; YAML 1.2, and every user, as a number.
_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    "-+0123456789",
)


_STUDY = "the keys of a study, such as config/config.yaml"


def read_yaml(path: Path, content: str = _STUDY) -> dict:
    """Return the mapping in a YAML file.

    Raise InputError naming file and line, and `content` where the file does not have it.
    """
    try:
        mapping = _UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError:
        similar = closest(path.name, [other.name for other in path.parent.glob("*.yaml")])
        hint = f"; did you mean {path.with_name(similar)}?" if similar else ""
        raise InputError(f"{path}: no such file{hint}") from None
    except yaml.MarkedYAMLError as error:
        place = f"{path}, line {error.problem_mark.line + 1}"
        raise InputError(f"{place}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if mapping is None:
        raise InputError(f"{path}: the file is empty; expected {content}")
    if not isinstance(mapping, dict):
        raise InputError(f"{path}: not a mapping; expected {content}")
    return mapping


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a YAML text. Raise InputError naming `where` the text stands."""
    try:
        return _UniqueKeys(text).get_single_data()
    except yaml.YAMLError:
        raise InputError(f"{where}: {text!r} is not valid YAML") from None
