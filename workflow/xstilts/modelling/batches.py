"""The batches of a training: which examples each optimiser step sees, known before it starts.

A training is a list of micro-batches, and what micro-batch number i holds depends on the seed and
on i alone. A run that resumes at step i therefore sees exactly what an uninterrupted one sees.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.recipe import Size

_POOL = 50  # batches that are sorted by length together: little padding, still random


@dataclass(frozen=True)
class Supply:
    """What a task brings to a step: the length of each example, in tokens, and its settings."""

    lengths: Sequence[int]
    epochs: float
    cap: int | None = None
    groups: Sequence[int] = ()  # examples of each language, in this order; () is one pool
    temperature: float = 1.0  # of drawing among the groups


def subsample(count: int, size: Size | None, seed: int) -> list[int]:
    """Positions of a subsample of `count` examples; for one seed a small one is in a larger one."""
    if size is None:
        return list(range(count))
    order = np.random.default_rng([seed, 1]).permutation(count)
    return sorted(order[: size.of(count)].tolist())


def plan(
    supplies: Mapping[str, Supply],
    batch_size: int,
    seed: int,
    mixing: str = "proportional",
    max_steps: int | None = None,
    temperature: float | None = None,
) -> list[tuple[str, list[int]]]:
    """The task and the examples of every optimiser step.

    Steps as in jiant, whose multi-task training draws one task per step: sum over the tasks of
    epochs x ceil(min(examples, cap) / batch size). A task is drawn with a probability proportional
    to min(examples, cap), to its 1/temperature power (Raffel et al. 2020), or uniformly.
    """
    sizes = {
        task: min(len(supply.lengths), supply.cap or math.inf) for task, supply in supplies.items()
    }
    steps = max_steps or sum(
        max(1, round(supply.epochs * math.ceil(sizes[task] / batch_size)))
        for task, supply in supplies.items()
    )
    random = np.random.default_rng([seed, 2])
    streams = {
        task: _stream_of(supply, batch_size, np.random.default_rng([seed, 3, number]))
        for number, (task, supply) in enumerate(supplies.items())
    }
    tasks = list(supplies)
    power = {"proportional": 1.0, "temperature": 1 / (temperature or 1.0), "uniform": 0.0}[mixing]
    drawn = random.choice(len(tasks), size=steps, p=_shares([sizes[t] for t in tasks], power))
    return [(tasks[number], next(streams[tasks[number]])) for number in drawn]


def _shares(sizes: Sequence[float], power: float) -> np.ndarray:
    """Probabilities in proportion to sizes^power."""
    weights = np.array(sizes, dtype=float) ** power
    return weights / weights.sum()


def _stream_of(supply: Supply, batch_size: int, random: np.random.Generator):
    """Batches without end; with groups, each of one group that is drawn by the temperature."""
    if not supply.groups:
        yield from _stream(supply.lengths, batch_size, random)
    starts = np.cumsum([0, *supply.groups])[:-1]
    streams = [
        _stream(supply.lengths[start : start + size], batch_size, random.spawn(1)[0])
        for start, size in zip(starts, supply.groups, strict=True)
    ]
    shares = _shares(supply.groups, 1 / supply.temperature)
    while True:
        number = random.choice(len(streams), p=shares)
        yield [int(starts[number]) + example for example in next(streams[number])]


def _stream(lengths: Sequence[int], batch_size: int, random: np.random.Generator):
    """Batches without end: every pass sees each example once, batches of like length shuffled."""
    while True:
        order = random.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), _POOL * batch_size):
            pool = sorted(order[start : start + _POOL * batch_size], key=lambda i: lengths[i])
            batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        for number in random.permutation(len(batches)):
            yield [int(example) for example in batches[number]]


def split(examples: Sequence[int], parts: int) -> list[list[int]]:
    """A step's examples as `parts` micro-batches of like size; an empty one repeats the first."""
    return [list(examples[part::parts]) or list(examples[:1]) for part in range(parts)]
