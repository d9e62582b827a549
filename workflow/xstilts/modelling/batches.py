"""The batches of a training: which examples each optimiser step sees, known before it starts.

A training is a list of micro-batches. The content of micro-batch i depends only on the seed and
on i, so a resumed training sees exactly what an uninterrupted one sees.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.modelling.steps import Stream, shares, steps_of
from xstilts.recipe import Size

_POOL = 50  # batches that are sorted by length together: little padding, still random


@dataclass(frozen=True)
class Supply:
    """A task's examples in a step: the length of each, in tokens, and the task's settings."""

    lengths: Sequence[int]
    epochs: float
    cap: int | None = None
    groups: Sequence[int] = ()  # examples of each language, in this order; () is one pool
    temperature: float = 1.0  # of drawing among the groups

    @property
    def size(self) -> float:
        """Number of examples, at most the cap."""
        return min(len(self.lengths), self.cap or math.inf)


def subsample(count: int, size: Size | None, seed: int) -> list[int]:
    """Return positions of a subsample of `count` examples, in order.

    With one seed, a smaller subsample is part of a larger one.
    """
    if size is None:
        return list(range(count))
    order = np.random.default_rng([seed, Stream.SUBSAMPLE]).permutation(count)
    return sorted(order[: size.of(count)].tolist())


def plan(
    supplies: Mapping[str, Supply],
    batch_size: int,
    seed: int,
    mixing: str = "proportional",
    max_steps: int | None = None,
    temperature: float | None = None,
) -> list[tuple[str, list[int]]]:
    """Return the task and the examples of every optimiser step.

    `steps_of` gives the number of steps, unless `max_steps` does; `shares` gives the probability
    with which a step draws each task.
    """
    tasks = list(supplies)
    sizes = [supply.size for supply in supplies.values()]
    epochs = [supply.epochs for supply in supplies.values()]
    steps = max_steps or steps_of(zip(sizes, epochs, strict=True), batch_size)
    random = np.random.default_rng([seed, Stream.MIXING])
    streams = [
        _stream_of(supply, batch_size, np.random.default_rng([seed, Stream.ORDER, number]))
        for number, supply in enumerate(supplies.values())
    ]
    drawn = random.choice(len(tasks), size=steps, p=shares(sizes, mixing, temperature))
    return [(tasks[number], next(streams[number])) for number in drawn]


def _stream_of(supply: Supply, batch_size: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Yield batches without end; each is of one group, drawn by the temperature."""
    if not supply.groups:
        yield from _stream(supply.lengths, batch_size, random)
    starts = np.cumsum([0, *supply.groups])[:-1]
    streams = [
        _stream(supply.lengths[start : start + size], batch_size, random.spawn(1)[0])
        for start, size in zip(starts, supply.groups, strict=True)
    ]
    probabilities = shares(supply.groups, "temperature", supply.temperature)
    while True:
        number = random.choice(len(streams), p=probabilities)
        yield [int(starts[number]) + example for example in next(streams[number])]


def _stream(
    lengths: Sequence[int], batch_size: int, random: np.random.Generator
) -> Iterator[list[int]]:
    """Yield batches without end: each pass sees every example once.

    A batch holds examples of similar length, so that little is padded; batches are shuffled.
    """
    while True:
        order = random.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), _POOL * batch_size):
            pool = sorted(order[start : start + _POOL * batch_size], key=lambda i: lengths[i])
            batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        for number in random.permutation(len(batches)):
            yield [int(example) for example in batches[number]]


def split(examples: Sequence[int], parts: int) -> list[list[int]]:
    """Return a step's examples as `parts` micro-batches of similar size.

    If there are fewer examples than parts, the first example fills the empty micro-batches.
    """
    return [list(examples[part::parts]) or list(examples[:1]) for part in range(parts)]
