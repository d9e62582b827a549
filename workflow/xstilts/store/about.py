"""The file next to predictions: what determined them, and the hash of each file."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from xstilts.store.files import write_json
from xstilts.store.paths import ABOUT


class PredictionFile(BaseModel):
    """A file of predictions, next to this one."""

    sha256: str
    provenance: dict[str, Any]


class About(BaseModel):
    """Description of a folder of predictions."""

    id: str
    content: dict[str, Any]
    labels: list[str]  # of the model; empty if its predictions are no labels
    files: dict[str, PredictionFile]  # by name

    def write(self, folder: Path) -> None:
        """Write the file atomically."""
        write_json(folder / ABOUT, self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the description of a folder; None without a readable file."""
        try:
            return cls.model_validate_json((folder / ABOUT).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
