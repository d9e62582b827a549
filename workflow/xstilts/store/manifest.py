"""Manifests: what a complete folder artefact is, and the sha256 of each of its files.

The manifest is written last, when everything else has reached the disk. A folder without it is
incomplete; a file that differs from it is damaged.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from xstilts.errors import InputError
from xstilts.identity import file_sha256
from xstilts.store.files import sync, write_json
from xstilts.store.paths import MANIFEST
from xstilts.store.records import Record
from xstilts.store.verified import check_once


class Manifest(Record):
    """Manifest of a folder: its id, what determined it, its files and where they come from."""

    id: str
    content: dict[str, Any]
    files: dict[str, str]  # name -> sha256
    provenance: dict[str, Any] = Field({})

    @property
    def seconds(self) -> float:
        """Wall time of all attempts; 0 if it is not recorded."""
        seconds = self.provenance.get("seconds")
        return seconds if isinstance(seconds, int | float) else 0

    @classmethod
    def publish(cls, made: Path, folder: Path, **fields: Any) -> Self:
        """Move the files of `made` into `folder`, then write the manifest with their hashes."""
        hashes = _hashes(made, (path.name for path in made.iterdir()))
        folder.mkdir(parents=True, exist_ok=True)
        for name in hashes:
            _share(made / name)
            os.replace(made / name, folder / name)
        manifest = cls._written(folder, hashes, fields)
        made.rmdir()
        return manifest

    @classmethod
    def seal(cls, folder: Path, **fields: Any) -> Self:
        """Write the manifest of the files that `folder` and its subfolders contain."""
        names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        names = (name for name in names if name != MANIFEST)
        return cls._written(folder, _hashes(folder, names), fields)

    @classmethod
    def _written(cls, folder: Path, hashes: dict[str, str], fields: dict[str, Any]) -> Self:
        manifest = cls(id=folder.name, files=hashes, **fields)
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            sync(path)  # the names of the files, before the manifest that lists them
        manifest.write(folder)
        return manifest

    def write(self, folder: Path) -> None:
        """Write the manifest of `folder`."""
        write_json(folder / MANIFEST, self.model_dump(exclude_unset=True))
        sync(folder)
        sync(folder.parent)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return a folder's manifest. Raise InputError if it is damaged or of another folder."""
        path, remedy = folder / MANIFEST, again(folder)
        manifest = cls.load(path, remedy)
        if manifest.id != folder.name:
            raise InputError(f"{path}: damaged: it belongs to {manifest.id!r}; {remedy}")
        return manifest

    @classmethod
    def verify(cls, folder: Path) -> Self:
        """Return the manifest of a folder after checking all its files against it.

        Raise InputError naming a missing or damaged file and the remedy.
        """
        manifest = cls.read(folder)
        for name in manifest.files:
            manifest.check(folder, name, again(folder))
        return manifest

    def check(self, folder: Path, name: str, remedy: str) -> None:
        """Check a file of `folder`. Raise InputError with the remedy if it is not as recorded."""
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing, but listed in {MANIFEST}; {remedy}")
        if file_sha256(path) != self.files.get(name):
            raise InputError(f"{path}: damaged: its sha256 differs from {MANIFEST}; {remedy}")


def again(path: Path) -> str:
    """Return the remedy for a damaged file or folder."""
    return f"delete {path} and run again"


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of files that have reached the disk."""
    hashes = {}
    for name in sorted(names):
        sync(folder / name)
        hashes[name] = file_sha256(folder / name)
    return hashes


class DatasetManifest(Manifest):
    """Manifest of a prepared data set."""

    rows: int
    excluded: dict[str, int] = Field({})  # reason -> number of rows
    gaps: list[Any] = Field([])
    labels: list[str] = Field([])


class CheckpointManifest(Manifest):
    """Manifest of a checkpoint."""

    pretrained_pooler: bool
    labels: dict[str, list[str]]  # task -> labels, in the order of the head's classes
    lineage: list[str] = Field([])
    examples: dict[str, int] = Field({})
    steps: int | None = None
    best_step: int | None = None
    parameters: int | None = None
    vocabulary: int | None = None

    @classmethod
    def verify(cls, folder: Path) -> Self:
        """Return the manifest of a folder after checking the files that changed since a check.

        Raise InputError naming a missing or damaged file and the remedy.
        """
        manifest = cls.read(folder)
        check_once(folder, manifest.files, lambda name: manifest.check(folder, name, again(folder)))
        return manifest


def _share(path: Path) -> None:
    """Give a new file the mode that the umask states; safetensors writes files that are private.

    A hard link keeps its mode: it is also a user's own file.
    """
    if path.stat().st_nlink == 1:
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)
