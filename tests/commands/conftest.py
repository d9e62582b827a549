"""The small study as working directory of commands."""

import shutil
from pathlib import Path

import pytest

from tests import SMALL, restored_signals
from tests.commands import ids, results
from xstilts.cli import BAD_INPUT, main


@pytest.fixture
def rejection(capsys):
    """Return a function that runs a command with bad input and returns its message."""

    def run(*arguments: str) -> str:
        before = results()
        capsys.readouterr()
        assert main(arguments) == BAD_INPUT
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert err.count(f"xstilts {arguments[0]}: ") == 1, err
        assert results() == before
        return err[err.index(f"xstilts {arguments[0]}: ") :].strip()  # after the notices

    return run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The small study with its data and its initial model."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(SMALL, folder / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["prepare", *ids("datasets").values()]) == 0
        assert main(["initialise", ids("checkpoints")["tiny.init"]]) == 0
    return folder


@pytest.fixture
def workplace(prepared, tmp_path, monkeypatch):
    """A copy of `prepared` as working directory."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with restored_signals():
        yield tmp_path
