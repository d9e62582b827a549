"""Files of the store: atomic writing, and damage that is named."""

import errno
import os
import subprocess
import sys

import pytest

from xstilts import store
from xstilts.errors import InputError
from xstilts.store import files


class Crash(Exception):
    """Raised by a test in the middle of a publication."""


def test_a_reader_never_sees_a_part_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    store.write_text(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(Crash))
    with pytest.raises(Crash):
        store.write_text(path, "new")
    assert path.read_text() == "old"


def test_damaged_lines_are_counted(tmp_path):
    path = tmp_path / "x.jsonl"
    store.write_lines(path, [{"id": "é"}, {"id": "b"}])
    assert [row["id"] for row in store.read_lines(path)] == ["é", "b"]
    path.write_text(path.read_text()[:-4])
    with pytest.raises(InputError, match=r"x\.jsonl:2: damaged"):
        store.read_lines(path)
    with pytest.raises(InputError, match="no such file"):
        store.read_lines(tmp_path / "y.jsonl")


def test_scratch_is_emptied_unless_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (store.scratch("x") / "file").touch()
    assert (store.scratch("x", keep=True) / "file").exists()
    assert not list(store.scratch("x").iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*: cannot write here"):
        store.check_writable(tmp_path / "file" / "below")
    with pytest.raises(InputError, match=r"file: cannot write here: a file is in place of this"):
        store.check_writable(tmp_path / "file")


def test_link_to_a_purged_folder_is_named(tmp_path):
    results = tmp_path / "results"
    results.symlink_to("purged")
    reason = "it is a link to purged, which does not exist; create that folder"
    with pytest.raises(InputError, match=f"results: cannot write here: {reason}"):
        store.check_writable(results)
    with pytest.raises(OSError) as error:
        results.mkdir()
    assert store.machine_error(error.value) == f"{results}: {reason} and run again"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "too many digits"),
        (b'{"a": [{"b": NaN}]}', "'a.0.b': NaN is not a finite number"),
        (b"[-Infinity]", "-Infinity is not a finite number"),
        (b"[1e999]", "1e999 is not a finite number"),
    ],
)
def test_damaged_json_is_named_with_its_remedy(tmp_path, content, reason):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"x\.json: damaged: .*{reason}.*; try again"):
        store.read_json(path, "try again")


@pytest.mark.parametrize("line", [b"1", b"[]", b'{"id": "b"}', b"\xff", b""])
def test_damaged_rows_are_named(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id": "a", "prediction": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=r"x\.jsonl:2: damaged: .*; delete it and run again"):
        store.read_lines(path, ("id", "prediction"))


def test_temporary_files_of_dead_processes_go(tmp_path, monkeypatch):
    run = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    mine = files.temporary(tmp_path / "x")
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: int(run.stdout))
        dead = files.temporary(tmp_path / "x")
    elsewhere = tmp_path / ".tmp-000000-1-00000000"
    other = tmp_path / ".tmp-of-a-user"
    for path in (mine, dead, elsewhere, other):
        path.touch()
    store.remove_temporaries(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere, other])
    os.utime(elsewhere, (0, 0))
    store.remove_temporaries(tmp_path)
    assert not elsewhere.exists()


def test_a_name_of_any_length_has_a_temporary_file(tmp_path):
    store.write_text(tmp_path / ("ä" * 127), "x")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EDQUOT])
def test_errors_of_the_machine_say_what_to_do(number):
    said = os.strerror(number)
    assert files.machine_error(OSError(number, said, "x")).startswith(f"x: {said}. ")
    assert "run again" in files.machine_error(RuntimeError(f"I/O: {said} (os error {number})"))
    assert not files.machine_error(RuntimeError("a bug"))
