"""How many optimiser steps a training has, and how often each of its tasks is drawn.

Cost estimates use the same functions as training, so this module imports no torch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from xstilts.errors import InputError


class Stream(IntEnum):
    """Independent random streams of a training; each is seeded by `[seed, stream, …]`."""

    SUBSAMPLE = 1  # examples of a task that are used
    MIXING = 2  # task of each optimiser step
    ORDER = 3  # examples of each batch
    MASKING = 4  # tokens that are masked
    HEAD = 5  # initial weights of the heads of a multi-task step, except the first
    LORA = 6  # initial weights of low-rank matrices


def torch_seed(seed: int, *stream: int) -> int:
    """Return the seed of a random stream of torch, which takes one number."""
    return int(np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0])


def head_seed(seed: int, number: int) -> int:
    """Return the seed of head `number` of a step, from 0.

    Heads of one shape must not start from equal weights. The first head has the step's own seed.
    """
    return torch_seed(seed, Stream.HEAD, number) if number else seed


def ceil_div(total: float, size: float) -> int:
    """Return `total / size`, rounded up."""
    return math.ceil(total / size)


def steps_of(tasks: Iterable[tuple[float, float]], batch_size: int) -> int:
    """Return the optimiser steps of a training on tasks, given as (examples, epochs).

    As in jiant, each step draws one task: the number is the sum over the tasks of
    epochs x ceil(examples / batch size), with at least one step for each task.
    """
    return sum(max(1, round(epochs * ceil_div(examples, batch_size))) for examples, epochs in tasks)


def shares(sizes: Sequence[float], mixing: str, temperature: float | None = None) -> np.ndarray:
    """Return the probability with which each task is drawn.

    It is proportional to the size, to size^(1/temperature) (Raffel et al. 2020), or uniform.
    """
    power = {"proportional": 1.0, "temperature": 1 / (temperature or 1.0), "uniform": 0.0}[mixing]
    weights = np.array(sizes, dtype=float) ** power
    return weights / weights.sum()


# Model types whose layers can compute packed batches: `tests/modelling/test_packing.py` compares.
PACKED_TYPES = ("bert", "eurobert", "modernbert", "xlm-roberta", "xlm-roberta-xl")


def check_packing(model_type: str, place: str) -> None:
    """Raise InputError if the layers of a model cannot compute packed batches."""
    if model_type not in PACKED_TYPES:
        raise InputError(
            f"{place}: train.packing is not possible for model_type {model_type!r}, only for "
            f"{', '.join(PACKED_TYPES)}; state `packing` in the `train` of those models only"
        )


def longest_sequence(architecture: Mapping[str, Any]) -> int:
    """Return the longest sequence of a model; RoBERTa's positions start after the padding's."""
    positions = architecture.get("max_position_embeddings", 512)
    return positions - 2 if "roberta" in architecture.get("model_type", "") else positions
