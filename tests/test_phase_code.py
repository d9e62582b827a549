"""The reminder of changed code: what counts as a change, and what it says."""

import copy

import pytest

from tests.phase_code import CODE, PACKAGE, changes, code_hash, current
from xstilts import identity
from xstilts.config import settings


def test_hash_ignores_comments_layout_and_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""Docs."""\n\ndef f(x):\n    """Docs."""\n    return x + 1  # comment\n')
    before = code_hash(path)
    path.write_text("def f(\n    x,\n):\n    return (x\n        + 1)\n")
    assert code_hash(path) == before
    path.write_text("import re\n\n\ndef f(x):\n    import os\n\n    return x + 1\n")
    assert code_hash(path) == before
    path.write_text("def f(x):\n    return x + 2\n")
    assert code_hash(path) != before


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("def f(x):\n    return x + 1\n", True),
        ('def f(x):\n    """Add one."""\n    # a comment\n    return (x  +  1)\n', True),
        ('"""A module."""\n\ndef f(x):\n    return x + 1\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(y):\n    return y + 1\n", False),
    ],
)
def test_code_hash_ignores_comments_and_layout(tmp_path, source, same):
    reference, variant = tmp_path / "a.py", tmp_path / "b.py"
    reference.write_text("def f(x):\n    return x + 1\n")
    variant.write_text(source)
    assert (code_hash(reference) == code_hash(variant)) == same


def test_every_phase_lists_existing_code():
    assert CODE.keys() == identity.VERSIONS.keys()
    for places in CODE.values():
        assert [place for place in places if not (PACKAGE / place).exists()] == []


def test_changed_code_is_reported_per_phase():
    before = current()
    after = copy.deepcopy(before)
    after["train"]["code"] = "0"
    assert changes(before, before) == []
    [line] = changes(before, after)
    assert line.startswith("train: code changed")
    assert "identity.VERSIONS['train']" in line


def test_changed_default_is_reported(monkeypatch):
    before = current()
    monkeypatch.setattr(settings.Encode.model_fields["max_length"], "default", 256)
    lines = changes(before, current())
    assert [line.split(":")[0] for line in lines] == ["train", "predict"]
