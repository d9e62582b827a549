"""The progress file of a training: written by the training, read by `status` and by a resume."""

from pydantic import BaseModel, ValidationError

from xstilts.store.files import write_json
from xstilts.store.paths import progress_file


class Progress(BaseModel):
    """State of a training at its last report."""

    step: int
    steps: int
    loss: float | None
    examples_per_second: float
    seconds_left: int
    seconds_spent: int = 0  # in all attempts

    def write(self, id: str) -> None:
        """Write the file of the checkpoint `id`. Raise OSError if that fails."""
        write_json(progress_file(id), self.model_dump())

    @classmethod
    def read(cls, id: str) -> "Progress | None":
        """Return the last report of the checkpoint `id`; None without a readable file."""
        try:
            return cls.model_validate_json(progress_file(id).read_bytes())
        except (OSError, ValidationError):
            return None
