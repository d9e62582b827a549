"""How many optimiser steps a training has, and how often each of its tasks is drawn.

Cost estimates use the same functions as training, so this module imports no torch.
"""

import math
from collections.abc import Iterable, Sequence
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Independent random streams of a training; each is seeded by `[seed, stream, …]`."""

    SUBSAMPLE = 1  # examples of a task that are used
    MIXING = 2  # task of each optimiser step
    ORDER = 3  # examples of each batch
    MASKING = 4  # tokens that are masked


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
