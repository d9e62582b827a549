"""Odd YAML is one message with file and line, never a traceback."""

import contextlib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests import CONFIG
from xstilts.config import yaml as reading
from xstilts.config.yaml import parse_yaml, read_yaml
from xstilts.errors import InputError

BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstu")
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"? [a, b]\n: c", "line 1: .*a key must be text, not a list"),
        (b"a: 1\n? {b: c}\n: d", "line 2: .*a key must be text, not a mapping"),
        (b"a: " + b"9" * 5000, "line 1: .*has too many digits"),
        (b"a: !!int x", "x is no int"),
        (b"a: 010", "010 can be read as two numbers"),  # 8 in YAML 1.1, 10 in YAML 1.2
        (b"a: 1:30", "1:30 can be read as two numbers"),
        (b"a: !!python/object/apply:os.system [ls]", "tag !!python/object/apply:os.system is not"),
        (b"a: !!binary aGk=", "tag !!binary is not supported"),
        (b"a: !mine x", "tag !mine is not supported"),
        (b"a: &a [*a]", "an alias stands for a value that contains this alias"),
        (BOMB.encode(), "its aliases repeat too many values"),
        (b"a: *b", "found undefined alias 'b'"),
        (b"<<: 3", "expected a mapping"),
        (b"a: " + b"[" * 2000, "nested too deeply"),
        (b"a: 1\n\tb: 2", "line 2: .*a tab; indent with spaces"),
        (b"a: 1\nb: \x00", r"line 2: .*the character U\+0000 is not allowed"),
        (b'a: 1\nb: "\\x1b"', r"line 2: .*the character U\+001B is not allowed in a text"),
        (b'a: "\\ud83d"', r"the character U\+D83D is not allowed"),
        (b"a: caf\xe9", "not UTF-8 .byte 6"),
        (b"a: 1\n---\nb: 2", "line 2: .*expected a single document"),
        (b"a: 1\na: 2", "line 2: .*key 'a' is given twice"),
        (b"a: [1\n", "line 2: not valid YAML"),
        (b"# nothing", "the file is empty; expected the keys of a study, such as"),
        (b"- a", "not a mapping"),
        (b"text", "not a mapping"),
    ],
)
def test_odd_file_is_explained(tmp_path, content, message):
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_yaml(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\ufeffa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: 2024-13-45", {"a": "2024-13-45"}),  # a date is text
        ("a: =", {"a": "="}),
        ("a: [0, -1, 1_000, 0x1f, 0.5, '010']", {"a": [0, -1, 1000, 31, 0.5, "010"]}),
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}),
        ("[1e-5, 3E4, e5, 12]", [1e-5, 3e4, "e5", 12]),
        ("1: a\nnull: b", {1: "a", None: "b"}),
    ],
)
def test_unusual_yaml_is_read(text, value):
    assert parse_yaml(text, "here") == value


def test_valid_text_needs_libyaml_only(monkeypatch):
    monkeypatch.setattr(yaml.scanner.Scanner, "fetch_more_tokens", None)  # PyYAML's slow one
    assert parse_yaml("a: [1e-5, {b: no}]", "here") == {"a": [1e-5, {"b": False}]}


def test_deep_text_is_refused():  # libyaml's own composer would overflow the stack
    with pytest.raises(InputError, match="here: not valid YAML: nested too deeply"):
        parse_yaml("{a: " * 50_000, "here")


def test_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match="is a folder; expected a file"):
        read_yaml(tmp_path)


def test_missing_folder_says_where_to_run(tmp_path):
    with pytest.raises(InputError, match=r"no such file: there is no folder .*of your clone"):
        read_yaml(tmp_path / "config" / "config.yaml")


def test_study_in_the_folder_studies_is_a_hint(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "phang2020.yaml").write_text("study: phang2020")
    with pytest.raises(InputError, match=r"did you mean .*/studies/phang2020\.yaml"):
        read_yaml(tmp_path / "Phang2020.yaml")


def test_link_to_nothing_is_named(tmp_path):
    link = tmp_path / "study.yaml"
    link.symlink_to("other.yaml")
    with pytest.raises(InputError, match=r"a link to other\.yaml, which does not exist"):
        read_yaml(link)


def test_a_tab_is_refused_where_libyaml_accepts_it():
    for text in ("a: b\tc", "a: b\t"):
        with pytest.raises(InputError, match="a tab"):
            parse_yaml(text, "f.yaml")


def test_libyaml_reads_the_values_that_pyyaml_reads(monkeypatch):
    paths = [CONFIG / "config.yaml", *sorted(CONFIG.glob("models/*.yaml"))]
    fast = [read_yaml(path) for path in paths]
    monkeypatch.setattr(reading, "_FastLoader", reading._Loader)
    assert fast == [read_yaml(path) for path in paths]


def test_name_or_other_ending_of_a_study_is_a_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config/studies").mkdir(parents=True)
    for file in ("config/config.yaml", "config/studies/phang2020.yaml"):
        Path(file).touch()
    for given, meant in {
        "phang2020": "config/studies/phang2020.yaml",
        "config/config.yml": "config/config.yaml",
        "config/phang2020.yml": "config/studies/phang2020.yaml",
    }.items():
        with pytest.raises(InputError, match=f"{given}: no such file; did you mean {meant}\\?"):
            read_yaml(Path(given))


@pytest.mark.parametrize("text", ["!!float [1]", "!!int {a: 1}", "a: !!float [[1]]", "!!int []"])
def test_a_list_with_the_tag_of_a_number_is_refused(text):
    with pytest.raises(InputError, match=r"a list or mapping is no (int|float)"):
        parse_yaml(text, "here")


@pytest.mark.parametrize("tag", ["null", "bool", "int", "float", "str", "seq", "map", "merge"])
@pytest.mark.parametrize("value", ["[a]", "{a: b}", "a", "''", "[[a], {b: c}]"])
def test_any_tag_with_any_value_is_no_traceback(tag, value):
    for text in (f"!!{tag} {value}", f"x: !!{tag} {value}", f"!!{tag} {value}: 1"):
        with contextlib.suppress(InputError):
            parse_yaml(text, "here")
