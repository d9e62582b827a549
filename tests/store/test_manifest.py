"""Manifests: a published folder is complete, and what is damaged is named with its remedy."""

import json
import os

import pytest

from tests.tiny_project import TASK_OF, make_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.grid import state
from xstilts.store import manifest as manifests
from xstilts.store.manifest import Manifest


class Crash(Exception):
    """Raised by a test in the middle of a publication."""


def fill(folder, content: bytes = b"") -> None:
    """Write unpublished files."""
    folder.mkdir(exist_ok=True)
    for name in ("a.bin", "b.bin", "c.bin"):
        (folder / name).write_bytes(content or name.encode() * 100)


@pytest.fixture
def made(tmp_path):
    """Unpublished files."""
    fill(tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def published(made, tmp_path):
    """A published folder."""
    Manifest.publish(made, tmp_path / "x.123", content={})
    return tmp_path / "x.123"


def test_published_files_are_verified(made, tmp_path):
    folder = tmp_path / "store" / "x.123"
    Manifest.publish(made, folder, content={"seed": 1})
    manifest = Manifest.verify(folder)
    assert (manifest.id, manifest.content) == ("x.123", {"seed": 1})
    assert sorted(manifest.files) == ["a.bin", "b.bin", "c.bin"]
    assert not made.exists()


@pytest.mark.parametrize("damage", ["missing", "longer", "bit", "empty"])
def test_a_damaged_file_is_named_with_the_remedy(published, damage):
    path = published / "b.bin"
    content = path.read_bytes()
    changed = {"longer": content + b"\0", "bit": b"\0" + content[1:], "empty": b""}
    path.unlink() if damage == "missing" else path.write_bytes(changed[damage])
    with pytest.raises(InputError) as error:
        Manifest.verify(published)
    assert str(error.value).startswith(f"{path}: {'missing' if damage == 'missing' else 'damaged'}")
    assert str(error.value).endswith(f"; delete {published} and run again")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"1" * 5000,
        b'{"id": "x.123", "content": {}}',
        b'{"id": "x.123", "content": {}, "files": []}',
        b'{"id": "x.123", "content": {}, "files": {"a.bin": 1}}',
        b'{"id": "y.123", "content": {}, "files": {}}',
    ],
)
def test_a_damaged_manifest_is_named(published, content):
    (published / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=r"manifest\.json: damaged: ") as error:
        Manifest.verify(published)
    assert str(error.value).endswith(f"; delete {published} and run again")
    assert "\n" not in str(error.value)


def test_a_manifest_is_read_again_when_it_changes(published):
    assert Manifest.read(published) is Manifest.read(published)
    content = json.loads((published / "manifest.json").read_text())
    Manifest(**{**content, "content": {"seed": 2}}).write(published)
    assert Manifest.read(published).content == {"seed": 2}


@pytest.mark.parametrize("moves", range(4))
def test_interrupted_publish_leaves_no_artefact(made, tmp_path, monkeypatch, moves):
    monkeypatch.chdir(tmp_path)
    dataset = make_grid().data.dataset("nli", "en", "train")
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
            Manifest.publish(made, folder, content={})
    assert not state.is_done(dataset)
    with pytest.raises(InputError, match=r"manifest\.json: no such file"):
        Manifest.verify(folder)
    fill(made, b"again")
    Manifest.publish(made, folder, content={})
    assert state.is_done(dataset)
    assert Manifest.verify(folder).id == dataset.id


def test_files_reach_the_disk_before_the_manifest(made, tmp_path, monkeypatch):
    events = []
    sync, replace = manifests.sync, os.replace
    monkeypatch.setattr(manifests, "sync", lambda path: (events.append(path.name), sync(path)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append(f"> {b.name}"), replace(a, b)))
    Manifest.publish(made, tmp_path / "x", content={})
    assert events == [
        *("a.bin", "b.bin", "c.bin", "> a.bin", "> b.bin", "> c.bin"),
        *("x", "> manifest.json", "x", tmp_path.name),
    ]


def test_a_sealed_folder_lists_its_subfolders(tmp_path):
    fill(tmp_path / "save")
    fill(tmp_path / "save" / "part")
    Manifest.seal(tmp_path / "save", content={})
    (tmp_path / "save/part/b.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"save/part/b\.bin: damaged"):
        Manifest.verify(tmp_path / "save")


@pytest.mark.parametrize("family", [*TASK_OF, "mine"])
def test_rows_are_read_as_they_were_written(tmp_path, rows, family):
    from xstilts import families

    given = rows(TASK_OF.get(family, "tatoeba"), "xa", "train" if family == "mask" else "test")
    (tmp_path / "made").mkdir()
    columns = families.family(family).COLUMNS
    store.write_rows(tmp_path / "made" / "data.parquet", given, columns)
    store.DatasetManifest.publish(tmp_path / "made", tmp_path / "x", content={}, rows=len(given))
    assert store.read_rows(tmp_path / "x") == given


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_manifest_has_no_number_that_is_not_finite(tmp_path, number):
    folder = tmp_path / "x"
    folder.mkdir()
    text = f'{{"id": "x", "content": {{"a": {number}}}, "files": {{}}}}'
    (folder / store.MANIFEST).write_text(text)
    message = rf"damaged: 'content.a': {number} is not a finite number; "
    with pytest.raises(InputError, match=message):
        store.Manifest.read(folder)
