"""The description next to predictions: what determined them, and the hash of each file."""

from pathlib import Path
from typing import Any, Self

from xstilts.errors import InputError
from xstilts.store.files import write_json
from xstilts.store.paths import ABOUT
from xstilts.store.records import Provenance, Record


class PredictionFile(Record):
    """A file of predictions, next to this one."""

    sha256: str
    provenance: Provenance


class About(Record):
    """Description of a folder of predictions."""

    id: str
    content: dict[str, Any]
    labels: list[str]  # of the model; empty if its predictions are no labels
    files: dict[str, PredictionFile]  # by name

    def write(self, folder: Path) -> None:
        """Write the file atomically."""
        write_json(folder / ABOUT, self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the description of a folder. Raise InputError if it is damaged."""
        remedy = f"delete {folder} and run again"
        # predictions without it count as complete, so running again without deleting makes nothing
        about = cls.load(folder / ABOUT, remedy, if_missing=remedy)
        if about.id != folder.name:
            raise InputError(f"{folder / ABOUT}: damaged: it belongs to {about.id!r}; {remedy}")
        return about
