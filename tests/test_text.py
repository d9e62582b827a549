"""Text of others neither acts on a terminal nor shows a secret, and odd JSON is an error."""

import io
import logging
import math

import pytest
from rich.text import Text

from xstilts.cli import _Formatter
from xstilts.terminal import Console
from xstilts.text import decode_json, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),  # clears the screen
        ("\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),  # writes to the clipboard
        ("a\x9b1m\x7f\r\x08", r"a\x9b1m\x7f\r\x08"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("\ud83d", r"\ud83d"),
        ("ü\tमी\n\u200d", "ü\tमी\n\u200d"),
        ("https://me:secret@host/x", "https://***@host/x"),
        ("Authorization: Bearer abcdefgh.12345", "Authorization: Bearer ***"),
        ("hf_AbCdEfGhIjKlMnOp", "***"),
        ("a@b, 10:30, https://host/a@b", "a@b, 10:30, https://host/a@b"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown


def test_tokens_of_the_environment_are_hidden(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-token-without-prefix")
    assert visible("401 for a-token-without-prefix") == "401 for ***"


def test_console_escapes_texts_and_keeps_its_own_colours():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text("\x1b[2Jred", "red"))
    assert console.file.getvalue() == "\x1b[31m\\x1b[2Jred\x1b[0m\n"


def test_log_lines_and_tracebacks_are_escaped():
    try:
        raise ValueError("\x1b[2J https://me:secret@host")
    except ValueError as error:
        record = logging.LogRecord("x", 40, "", 1, "%s", ("\x07",), (ValueError, error, None))
    line = _Formatter().format(record)
    assert line.startswith("\\x07\n")
    assert line.endswith("ValueError: \\x1b[2J https://***@host")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('{"a": 1,}', "not valid JSON, or truncated: .* at line 1, column 9"),
        ('[\n"\\ud83d"]', r"\\ud83d at line 2, column 2 is half of a character"),
        ('["\\uDE00"]', "half of a character"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "too many digits"),
    ],
)
def test_unusable_json_is_explained(source, message):
    with pytest.raises(ValueError, match=message):
        decode_json(source)


@pytest.mark.parametrize(
    ("source", "value"),
    [(r'"\ud83d\ude00"', "😀"), (r'"\\ud83d"', "\\ud83d"), ("[1]", [1]), ("[1e999]", [math.inf])],
)
def test_usable_json_is_read(source, value):
    assert decode_json(source) == value
