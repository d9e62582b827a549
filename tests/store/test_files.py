"""The store: what is there is whole, and what is damaged is named."""

import os

import pytest

from tests.tiny_project import TASK_OF, make_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.grid import state


class Crash(Exception):
    """Raised by a test in the middle of a publication."""


@pytest.fixture
def made(tmp_path):
    """Half-made files."""
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("a.bin", "b.bin", "c.bin"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


def test_what_is_published_is_verified(made, tmp_path):
    folder = tmp_path / "store" / "x.123"
    store.publish(made, folder, {"id": "x"})
    manifest = store.verify(folder, "")
    assert manifest["id"] == "x"
    assert sorted(manifest["files"]) == ["a.bin", "b.bin", "c.bin"]
    assert not made.exists()


@pytest.mark.parametrize("damage", ["missing", "longer", "bit"])
def test_the_damaged_file_is_named_and_what_to_do(made, tmp_path, damage):
    folder = tmp_path / "x"
    store.publish(made, folder, {})
    path = folder / "b.bin"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content + b"\0" if damage == "longer" else b"\0" + content[1:])
    with pytest.raises(InputError, match=r"b\.bin: (missing|damaged).*; try again") as error:
        store.verify(folder, "try again")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", '{"files": {"a.bin": ', "\xff"])
def test_a_damaged_manifest_is_named(made, tmp_path, content):
    store.publish(made, tmp_path / "x", {})
    (tmp_path / "x" / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        store.verify(tmp_path / "x", "")


@pytest.mark.parametrize("moves", range(4))
def test_interrupted_publish_leaves_no_artefact(made, tmp_path, monkeypatch, moves):
    monkeypatch.chdir(tmp_path)
    dataset = make_grid().dataset("nli", "en", "train")
    folder = tmp_path / dataset.path
    replace, done = os.replace, []

    def counted(source, target):
        if len(done) == moves:
            raise Crash
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", counted)
        with pytest.raises(Crash):
            store.publish(made, folder, {"id": "x"})
    assert not state.is_done(dataset)
    with pytest.raises(InputError, match=r"manifest\.json: no such file"):
        store.verify(folder, "")
    made.mkdir(exist_ok=True)
    for name in ("a.bin", "b.bin", "c.bin"):
        (made / name).write_bytes(b"again")
    store.publish(made, folder, {"id": "x"})
    assert state.is_done(dataset)
    assert store.verify(folder, "")["id"] == "x"


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


@pytest.mark.parametrize("family", [*TASK_OF, "mine"])
def test_rows_come_back_as_they_were_written(tmp_path, rows, family):
    from xstilts import families

    given = rows(TASK_OF.get(family, "tatoeba"), "xa", "train" if family == "mask" else "test")
    (tmp_path / "made").mkdir()
    columns = families.family(family).COLUMNS
    store.write_rows(tmp_path / "made" / "data.parquet", given, columns)
    store.publish(tmp_path / "made", tmp_path / "x", {})
    assert store.read_rows(tmp_path / "x") == given
