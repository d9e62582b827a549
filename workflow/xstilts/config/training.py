"""Options of a training that change no result's identity."""

from argparse import Namespace
from dataclasses import dataclass, fields

SAVE_MINUTES = 15.0


@dataclass(frozen=True)
class TrainingOptions:
    """How a training runs: what fits into memory, when its state is saved, who receives its log.

    The fields are the options of `xstilts train` by the same names.
    """

    micro_batch: int | None = None  # examples in memory at a time; None: the whole batch
    save_every: int | None = None  # optimiser steps between saves, besides those by time
    save_minutes: float = SAVE_MINUTES
    compact_embeddings: bool = False  # train only the embeddings of tokens that occur
    eager: bool = False  # start each kernel of a GPU from Python instead of CUDA graphs
    trackers: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Namespace) -> "TrainingOptions":
        """Return the options of a command line."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})

    def flags(self) -> list[str]:
        """Return the options for a command line, without those that have their default value."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        stated = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
        return [f"--{name.replace('_', '-')}{_text(value)}" for name, value in stated.items()]


_DEFAULTS = {field.name: field.default for field in fields(TrainingOptions)}


def _text(value: bool | float | tuple[str, ...]) -> str:
    if value is True:
        return ""
    if isinstance(value, tuple):
        return f" {','.join(value)}"
    return f" {value:g}" if isinstance(value, float) else f" {value}"
