"""A full disk, a read-only folder, too many open files: one message, and the next run resumes."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import restored_signals
from xstilts import store
from xstilts.cli import main
from xstilts.grid.state import is_done, open_study

NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EIO]
CASES = [(errno.ENOSPC, name) for name in ("fsync", "open")] + [(n, "replace") for n in NUMBERS]


@contextmanager
def failing(number: int, place=os, name: str = "replace") -> Iterator[None]:
    """Let a call to the system fail."""

    def call(path, *others, **options):
        raise OSError(number, os.strerror(number), str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, call)
        yield


def grid():
    return open_study(Path("config/config.yaml"))[0]


@pytest.fixture
def rejected(capsys):
    """Function that runs a command that must fail with one message: its cause and a remedy."""

    def run(number: int, *arguments: str) -> None:
        capsys.readouterr()
        assert main([*arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        [message] = [line for line in lines if line.startswith(f"xstilts {arguments[0]}: ")]
        assert lines[-1] == message  # no traceback
        assert os.strerror(number) in message
        assert message.endswith("run again; finished results are kept")

    return run


@pytest.mark.parametrize(("number", "name"), CASES)
def test_failed_system_calls_have_a_message(small_folder, rejected, number, name):
    data = grid().data.dataset("nli", "en", "train")
    with failing(number, os, name):
        rejected(number, "prepare", data.id)
    assert not is_done(data)
    assert main(["prepare", data.id]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit acts on Linux")
def test_too_few_addresses_for_torch_is_one_line(small_folder):
    model = next(iter(grid().artefacts().checkpoints))
    few = (600_000_000, 600_000_000)
    ended = subprocess.run(
        [sys.executable, "-m", "xstilts", "initialise", model],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, few),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    *_, last = ended.stderr.splitlines()  # after notices
    assert "`ulimit -v` is 600 MB, but libraries need 850 MB before any data. Raise" in last


def test_a_file_in_place_of_a_folder_is_named(small_folder, capsys):
    data = grid().data.dataset("nli", "en", "train")
    Path(data.path).parent.mkdir(parents=True)
    Path(data.path).touch()
    assert main(["prepare", data.id]) == 2
    expected = f"{data.path}: a file is in place of this folder; delete it and run again"
    assert expected in capsys.readouterr().err
    Path(data.path).unlink()
    assert main(["prepare", data.id]) == 0


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "scores.json").mkdir()
    with pytest.raises(OSError) as error:
        store.write_json(tmp_path / "scores.json", {})
    message = store.machine_error(error.value)
    assert (
        message
        == f"{tmp_path}/scores.json: a folder is in place of this file; delete it and run again"
    )
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as error:
        store.write_json(tmp_path / "file/scores.json", {})
    assert "in place of" in store.machine_error(error.value)


@pytest.mark.slow
def test_every_phase_resumes_after_a_full_disk(small_folder, rejected):
    score = next(s for s in grid().scores() if s.cell.recipe == "none")
    for artefact in [*score.ancestors().values(), score]:
        command = (artefact.identity.phase, artefact.id)
        with failing(errno.ENOSPC):
            rejected(errno.ENOSPC, *command)
        assert not is_done(artefact)
        with restored_signals():
            assert main([*command]) == 0
        assert is_done(artefact)
    with failing(errno.ENOSPC):
        rejected(errno.ENOSPC, "study")
    assert main(["study"]) == 0


def test_gc_in_a_read_only_folder_has_a_message(small_folder, rejected):
    stray = Path("results/data/stray.000000000000")
    stray.mkdir(parents=True)
    for path in (stray, stray.parent):
        os.utime(path, (0, 0))
    with failing(errno.EROFS, shutil, "rmtree"):
        rejected(errno.EROFS, "gc", "--delete", "--yes")
    assert stray.exists()
