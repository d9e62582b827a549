"""Manifests: what a complete folder artefact is, and the sha256 of each of its files.

The manifest is written last, when everything else has reached the disk. A folder without it is
incomplete; a file that differs from it is damaged.
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from xstilts.errors import InputError
from xstilts.identity import file_sha256
from xstilts.store.files import disk_bytes, sync, write_json
from xstilts.store.paths import LOG, MANIFEST, RELEASED
from xstilts.store.records import Provenance, Record
from xstilts.store.verified import check_once

_KEPT = (RELEASED, LOG, "config.json")  # of a released checkpoint


class Manifest(Record):
    """Manifest of a folder: its id, what determined it, the hashes of its files, provenance."""

    id: str
    content: dict[str, Any]
    files: dict[str, str]  # name -> sha256
    provenance: Provenance = Field({})

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
            # a rename between two hard links of one file, such as a shared tokenizer, does nothing
            (made / name).unlink(missing_ok=True)
        manifest = cls._written(folder, hashes, fields)
        (folder / RELEASED).unlink(missing_ok=True)
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
    def read(cls, folder: Path, name: str = MANIFEST) -> Self:
        """Return a folder's manifest. Raise InputError if it is damaged or of another folder."""
        path, remedy = folder / name, again(folder)
        manifest = cls.load(path, remedy)
        if manifest.id != folder.name:
            raise InputError(f"{path}: damaged: it belongs to {manifest.id!r}; {remedy}")
        return manifest

    @classmethod
    def recorded(cls, folder: Path) -> Self:
        """Return the manifest of a complete folder, or of one whose weights were released."""
        return cls.read(folder, record_of(folder).name)

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


def record_of(folder: Path) -> Path:
    """Return the path of a folder's manifest, also if its weights were released."""
    return folder / (MANIFEST if (folder / MANIFEST).exists() else RELEASED)


def is_released(folder: Path) -> bool:
    """Whether the weights of a complete checkpoint were deleted on purpose."""
    return (folder / RELEASED).exists() and not (folder / MANIFEST).exists()


def again(path: Path) -> str:
    """Return the remedy for a damaged file or folder."""
    return f"delete {path} and run again"


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of files by name, after each has reached the disk."""
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
        if is_released(folder):
            raise InputError(
                f"{folder}: its weights were deleted after prediction (`keep`); `snakemake "
                f"{shlex.quote(str(folder / MANIFEST))}`, with the study's --configfile, trains "
                "them again"
            )
        manifest = cls.read(folder)
        check_once(folder, manifest.files, lambda name: manifest.check(folder, name, again(folder)))
        return manifest

    @classmethod
    def release(cls, folder: Path) -> int:
        """Delete the weights of a checkpoint, and return their bytes; manifest and log stay.

        The manifest is renamed first: then the folder is not complete, and no job reads weights
        that are being deleted.
        """
        cls.read(folder)
        os.replace(folder / MANIFEST, folder / RELEASED)
        sync(folder)
        return cls.remove_weights(folder)

    @staticmethod
    def remove_weights(folder: Path) -> int:
        """Delete the weights and the tokenizer of a released checkpoint; return the bytes."""
        paths = [path for path in folder.iterdir() if path.name not in _KEPT]
        freed = disk_bytes(paths)
        for path in paths:
            path.unlink(missing_ok=True)
        return freed


def _share(path: Path) -> None:
    """Give a new file the mode that the umask states; safetensors writes files that are private.

    A hard link keeps its mode: it is also a user's own file.
    """
    if path.stat().st_nlink == 1:
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)
