"""Checkpoints: unchanged files are hashed once, changed files again."""

import os

import pytest

from xstilts import store
from xstilts.errors import InputError
from xstilts.store import manifest, verified

FIELDS = {"content": {}, "pretrained_pooler": True, "labels": {}}


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint that is older than a tick of the file system's clock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verified, "_SECONDS", -1.0)
    made = store.scratch("made")
    (made / "model.safetensors").write_bytes(b"weights")
    folder = tmp_path / "results" / "checkpoints" / "x.123"
    store.CheckpointManifest.publish(made, folder, **FIELDS)
    return folder


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that are hashed."""
    names, original = [], manifest.file_sha256

    def remember(path):
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(manifest, "file_sha256", remember)
    return names


def test_an_unchanged_checkpoint_is_hashed_once(checkpoint, hashed):
    for _ in range(3):
        assert store.CheckpointManifest.verify(checkpoint).id == "x.123"
    assert hashed == ["model.safetensors"]


def test_a_changed_file_is_hashed_again(checkpoint, hashed):
    store.CheckpointManifest.verify(checkpoint)
    path = checkpoint / "model.safetensors"
    times = path.stat()
    other = checkpoint / "other"
    other.write_bytes(b"weightz")
    os.replace(other, path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `rsync -t` would
    with pytest.raises(InputError, match=r"model\.safetensors: damaged"):
        store.CheckpointManifest.verify(checkpoint)
    path.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: missing"):
        store.CheckpointManifest.verify(checkpoint)


def test_a_file_that_has_just_changed_is_hashed(checkpoint, hashed, monkeypatch):
    monkeypatch.setattr(verified, "_SECONDS", 3600.0)
    for _ in range(2):
        store.CheckpointManifest.verify(checkpoint)
    assert hashed == ["model.safetensors"] * 2


@pytest.mark.parametrize("content", ["[]", "{", '{"model.safetensors": 3}'])
def test_a_damaged_memory_is_ignored(checkpoint, hashed, content):
    store.CheckpointManifest.verify(checkpoint)
    store.write_text(store.SCRATCH / "x.123.verified", content)
    store.CheckpointManifest.verify(checkpoint)
    assert hashed == ["model.safetensors"] * 2
