"""The batches of a training: which examples each optimiser step sees, known before it starts.

A training is a list of optimiser steps. The content of step i depends only on the seed and on i, so
a resumed training sees exactly what an uninterrupted one sees, in micro-batches of any size.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from xstilts import store
from xstilts.config.settings import Train
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid.artefacts import Checkpoint, TrainPart
from xstilts.modelling import distributed
from xstilts.modelling.checkpoints import check_length, mask_id
from xstilts.modelling.encodings import Source, encoded, source_of
from xstilts.modelling.packing import layout_of
from xstilts.modelling.steps import Stream, ceil_div, shares, steps_of
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


def split(count: int, parts: int) -> list[range]:
    """Return the positions of a step's `count` examples as `parts` micro-batches of similar size.

    Micro-batches are empty if there are fewer examples than parts.
    """
    return [range(part, count, parts) for part in range(parts)]


@dataclass
class Material:
    """A part of a step, read and encoded; parts of one task have the same labels and head."""

    part: TrainPart
    labels: list[str]
    features: list[dict]
    validation: list[dict]
    groups: tuple[int, ...] = ()  # features of each language, if languages are drawn apart
    source: Source | None = None  # of the validation data

    def supply(self) -> Supply:
        """Return what the plan of the step needs to know."""
        settings = self.part.settings
        return Supply(
            [len(feature["input_ids"]) for feature in self.features],
            settings.epochs,
            settings.examples_cap,
            self.groups,
            settings.language_temperature or 1.0,
        )


def read_materials(step: Checkpoint, tokenizer) -> dict[str, Material]:
    """Return the examples of each part, subsampled and encoded.

    Raise InputError if the texts are too long for the model, or if the step needs validation, but
    no part has validation data.
    """
    for part in step.parts:
        check_length(Path(step.parent.path), tokenizer, part.encode.max_length, step.id)
    rows = {
        part.name: [
            (data.language, row) for data in part.train for row in store.read_rows(Path(data.path))
        ]
        for part in step.parts
    }
    materials = {}
    for part in step.parts:
        same_head = [row for p in step.parts if p.task == part.task for _, row in rows[p.name]]
        labels = list(part.labels) or family(part.family).labels(same_head)
        materials[part.name] = _material(step, part, rows[part.name], labels, tokenizer)
    if step.settings.evaluate_every and not any(m.validation for m in materials.values()):
        raise InputError(
            f"{step.id}: train.evaluate_every needs a task with validation data and a metric"
        )
    return materials


def _material(
    step: Checkpoint,
    part: TrainPart,
    rows: Sequence[tuple[str, dict]],
    labels: list[str],
    tokenizer: Any,
) -> Material:
    """Return a subsample of (language, row) pairs, encoded, by language if they are drawn apart."""
    module = family(part.family)
    source = source_of(Path(step.parent.path), [Path(data.path) for data in part.train])
    if part.size:
        source = source.part(size=str(part.size), seed=step.seed)
    apart = part.settings.language_temperature is not None
    pools: dict[str, list[dict]] = {}
    for language, row in (rows[n] for n in subsample(len(rows), part.size, step.seed)):
        pools.setdefault(language if apart else "", []).append(row)
    features = [
        encoded(pool, tokenizer, module, part.encode, labels, True, source.part(pool=name))
        for name, pool in pools.items()
    ]
    validation, own = _validation(part, step.settings), None
    if validation:  # read now: another run may release the parent during the training
        own = source_of(Path(step.parent.path), [Path(part.validation.path)])
    return Material(
        part,
        labels,
        [feature for pool in features for feature in pool],
        validation,
        tuple(map(len, features)) if apart else (),
        own,
    )


def _validation(part: TrainPart, settings: Train) -> list[dict]:
    if not (settings.evaluate_every and part.validation and part.metrics):
        return []
    return store.read_rows(Path(part.validation.path))[: settings.validation_examples]


@dataclass(frozen=True)
class Masking:
    """How the tokens of an optimiser step are masked."""

    mask_rate: float
    mask_id: int | None
    vocabulary: int


class Batches(Dataset):
    """Micro-batch number -> tensors, `weight` and, if the step has several heads, `task`.

    The loss of a step is the mean over all terms of the losses of its examples, however they are
    divided into micro-batches. Its gradient is therefore the same for every size of micro-batches
    and every number of processes, up to rounding and to the random numbers of dropout.
    """

    def __init__(self, step: Checkpoint, materials: Mapping[str, Material], tokenizer, micro: int):
        self.step, self.materials, self.tokenizer = step, materials, tokenizer
        self.families = [family(material.part.family) for material in materials.values()]
        self.mask_id = mask_id(tokenizer) if any(f.MASKED for f in self.families) else None
        self.several = len({material.part.task for material in materials.values()}) > 1
        settings = step.settings
        self.planned = plan(
            {name: material.supply() for name, material in materials.items()},
            settings.batch_size,
            step.seed,
            settings.mixing,
            settings.max_steps,
            settings.temperature,
        )
        self.steps = len(self.planned)
        # if a loss needs the whole batch, every process computes all of it
        self.whole = any(f.WHOLE_BATCH for f in self.families)
        processes = distributed.count()
        per_process = 1 if self.whole else ceil_div(ceil_div(settings.batch_size, micro), processes)
        self.per_step = per_process * processes  # micro-batches: equally many for each process
        self.current: tuple[int, list[dict]] = (-1, [])  # an optimiser step and its features

    def __len__(self) -> int:
        return self.steps * self.per_step

    def __getitem__(self, number: int) -> dict[str, Any]:
        step, position = divmod(number, self.per_step)
        part = self.materials[self.planned[step][0]].part
        module = family(part.family)
        features = self._features(step)
        count, parts = len(features), self.per_step
        chunks = [range(count)] * parts if self.whole else split(count, parts)
        terms = [sum(module.terms(features[n]) for n in chunk) for chunk in chunks]
        own = [features[n] for n in chunks[position]] or features[:1]  # its weight is 0
        batch = module.collate(own, self.tokenizer.pad_token_id)
        batch["weight"] = torch.tensor(parts * terms[position] / sum(terms))
        if self.step.settings.packing:
            batch["layout"] = layout_of(batch["attention_mask"])
        return {"task": part.task, **batch} if self.several else batch

    def _features(self, step: int) -> list[dict]:
        """Return the features of an optimiser step, with the random changes of the family.

        They are drawn for all examples together, so they depend on the step alone.
        """
        if self.current[0] != step:
            name, examples = self.planned[step]
            material = self.materials[name]
            features = [material.features[example] for example in examples]
            if corrupt := family(material.part.family).corrupt:
                rate = material.part.settings.mask_rate
                settings = Masking(rate, self.mask_id, len(self.tokenizer))
                random = np.random.default_rng([self.step.seed, Stream.MASKING, step])
                features = corrupt(features, settings, random)
            self.current = step, features
        return self.current[1]
