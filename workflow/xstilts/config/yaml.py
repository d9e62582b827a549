"""YAML files of the configuration, read strictly: a repeated key is an error, 1e-5 is a number."""

import difflib
import re
from pathlib import Path

import yaml

from xstilts.errors import InputError


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, but a repeated key is an error instead of the last one winning."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<`: keys stated beside it win
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 1e-5 as a string; YAML 1.2, and every user, as a number.
_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    "-+0123456789",
)


def read_yaml(path: Path) -> dict:
    """A YAML file as a mapping. Raises InputError naming file and line."""
    try:
        content = _UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError:
        beside = difflib.get_close_matches(
            path.name, [p.name for p in path.parent.glob("*.yaml")], 1
        )
        hint = f"; did you mean {path.with_name(beside[0])}?" if beside else ""
        raise InputError(f"{path}: no such file{hint}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of keys to values")
    return content
