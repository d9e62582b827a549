"""Strict reading of YAML files: plain values only, no repeated key, and 1e-5 is a number."""

import re
from collections.abc import Hashable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError

from xstilts.errors import InputError, closest

_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
_STRINGS = {_TAG + name for name in ("timestamp", "value")}  # a date, and a lone `=`
_NUMBERS = {f"{_TAG}int", f"{_TAG}float"}
_AMBIGUOUS = re.compile(r"[-+]?(0[0-9_]+|.*:.*)")  # octal 010, and 1:30, which YAML 1.1 reads as 90
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LARGEST = 1_000_000  # values of a file after its aliases are replaced by what they stand for
_SHOWN = 30  # characters of a value


# YAML 1.1, which PyYAML follows, reads 1e-5 as a string; YAML 1.2, and every user, as a number.
_FLOAT = (f"{_TAG}float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"))


class _Strict:
    """Restrictions of PyYAML's loaders: a repeated key is an error, not the last value."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _STRINGS]
        + [_FLOAT] * (first in "-+0123456789")
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def get_single_data(self) -> Any:
        """Return the value of the only document. Raise ConstructorError if it is too large."""
        node = self.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return self.construct_document(node)

    def construct_object(self, node, deep=False):
        if node.tag not in _PLAIN:
            tag = node.tag.replace(_TAG, "!!")
            _fail(node, f"the tag {tag} is not supported; write text, numbers, lists and mappings")
        if node.tag in _NUMBERS and not isinstance(node, yaml.ScalarNode):  # `!!float [1]`
            _fail(node, f"a list or mapping is no {node.tag.replace(_TAG, '')}")
        if node.tag in _NUMBERS and _AMBIGUOUS.fullmatch(node.value):
            given = _shortened(node.value)
            _fail(node, f"{given} can be read as two numbers; write a plain one, or text in quotes")
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError) as error:  # of `!!int x`, and huge
            is_huge = "digits" in str(error)
            problem = "has too many digits" if is_huge else f"is no {node.tag.replace(_TAG, '')}"
            _fail(node, f"{_shortened(node.value)} {problem}")
        if isinstance(value, str) and (unsafe := _UNSAFE.search(value)):
            _fail(node, f"the character U+{ord(unsafe[0]):04X} is not allowed in a text")
        return value

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == f"{_TAG}merge":
                continue  # `<<` merges a mapping; the keys next to it take precedence
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                kind = "list" if isinstance(key, list) else "mapping"
                _fail(key_node, f"a key must be text, not a {kind}")
            if key in seen:
                _fail(key_node, f"key {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Loader(_Strict, yaml.SafeLoader):
    """The loader whose errors name the place and the problem."""


if yaml.__with_libyaml__:

    class _FastLoader(_Strict, Composer, yaml.CSafeLoader):
        """The same on libyaml, about eight times as fast.

        It keeps PyYAML's composer: libyaml's overflows the stack where values are nested deeply.
        """

        def __init__(self, text: str):
            Composer.__init__(self)
            yaml.CSafeLoader.__init__(self, text)

else:
    _FastLoader = _Loader


def _fail(node: yaml.Node, problem: str) -> None:
    raise ConstructorError(None, None, problem, node.start_mark)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _check_size(root: yaml.Node) -> None:
    """Raise ConstructorError if aliases make a value endless, or far larger than its text."""
    sizes: dict[int, int | None] = {}  # None: inside this node

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            if sizes[id(node)] is None:
                _fail(node, "an alias stands for a value that contains this alias")
            return sizes[id(node)]
        sizes[id(node)] = None
        total = 1 + sum(map(size, _inner(node)))
        if total > _LARGEST:
            _fail(node, "its aliases repeat too many values")
        sizes[id(node)] = total
        return total

    size(root)


def _inner(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


_STUDY = "the keys of a study, such as config/config.yaml"


def read_yaml(path: Path, content: str = _STUDY) -> dict:
    """Return the mapping in a YAML file.

    Raise InputError naming file and line, and `content` if the file has no mapping.
    """
    return mapping_of(read_text(path), path, content)


def mapping_of(text: str, path: Path, content: str = _STUDY) -> dict:
    """Return the mapping in the text of a YAML file; raise as `read_yaml`."""
    mapping = parse_yaml(text, str(path))
    if mapping is None:
        raise InputError(f"{path}: the file is empty; expected {content}")
    if not isinstance(mapping, dict):
        raise InputError(f"{path}: not a mapping; expected {content}")
    return mapping


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a YAML text. Raise InputError that begins with `where`, its place."""
    if not {"\t", "\ufeff"} & {*text}:  # libyaml accepts them in places where YAML does not
        with suppress(yaml.YAMLError, ValueError, RecursionError):  # the other loader explains it
            return _FastLoader(text).get_single_data()
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}, line {mark.line + 1}" if mark else where
        raise InputError(f"{place}: not valid YAML: {_problem(error)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"the character U+{ord(text[error.position]):04X} is not allowed"
        raise InputError(f"{where}, line {line}: not valid YAML: {character}") from None
    except RecursionError:
        raise InputError(f"{where}: not valid YAML: nested too deeply") from None


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context
    if r"'\t'" in problem:
        return "a tab; indent with spaces"
    return f"{error.context}, {problem}" if problem.startswith("but ") else problem


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8. Raise InputError saying why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{_hint(path)}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a file") from None
    except UnicodeDecodeError as error:
        place = f"byte {error.start} of the file"
        raise InputError(f"{path}: not valid YAML: not UTF-8 ({place}); convert it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # the system has no path with a zero byte
        raise InputError(f"{str(path)!r}: not a path") from None


def _hint(path: Path) -> str:
    """Return advice for a missing file: a similar name, or where to run the command."""
    if path.is_symlink():
        return f": it is a link to {path.readlink()}, which does not exist"
    folder = path.parent
    if not folder.is_dir():
        return f": there is no folder {folder}; run this in the folder of your clone"
    kind = path.suffix if path.suffix not in ("", ".yml") else ".yaml"
    places = [folder] if path.suffix else [folder / "config", folder / "config" / "studies"]
    others = [file for place in places for file in place.glob(f"*{kind}")]
    others += folder.glob(f"studies/*{kind}") if path.suffix else ()
    names = {str(o.relative_to(folder) if path.suffix else o.stem): o for o in others}
    similar = closest(path.name.replace(".yml", ".yaml"), names)
    return f"; did you mean {names[similar]}?" if similar else ""
