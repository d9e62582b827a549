"""Task families: everything that is particular to one kind of task, one module per family.

A module states the fields of `Family` under the same names; a field with a default may be left out.
Every module of this package is a family. Families are imported while a study is planned, so
importing one imports neither torch nor pyarrow.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, NamedTuple

from xstilts.errors import InputError, nearest

Row = Mapping[str, Any]
Feature = dict[str, Any]
IGNORED = -100  # the label that transformers' losses leave out


@dataclass(frozen=True)
class HubColumns:
    """Canonical fields of a family that columns of a dataset on the Hub may fill."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    several: frozenset[str] = frozenset()  # fields that may be filled by a list of columns
    together: tuple[frozenset[str], ...] = ()  # optional fields that need each other
    label: type = str  # type of a label's value; int: the number of a choice
    worded: bool = False  # the key `wording` is allowed
    lines: bool = False  # the key `lines` is allowed


class Shown(NamedTuple):
    """A text of an example, as the report's page shows it."""

    name: str
    text: str
    position: int = 0  # a character that stays visible when the page truncates the text
    language: str = ""  # if it differs from the language of the data


@dataclass(frozen=True)
class Family:
    """One kind of task. Fields in capitals are data, the others are functions."""

    name: str
    COLUMNS: Mapping[str, Any]  # column of a canonical row -> str, int, list[str] or list[int]
    MODEL: str  # name of the transformers Auto class with the family's head
    TOKENS: float  # estimated sub-word tokens of an example, padding included; for costs
    encode: Callable  # (rows, tokenizer, settings, labels, train) -> features: lists of token ids
    collate: Callable  # (features, pad_id) -> a batch of tensors

    # training
    VERSION: int = 1  # raised when the family trains other weights; those of others stay valid
    labels: Callable = lambda rows: []  # label inventory; empty if the head needs none
    check_labels: Callable = lambda labels, metrics: None  # raise InputError if they do not fit
    forward: Callable | None = None  # (model, **batch) -> output; replaces the model's own forward
    # (features of an optimiser step, settings, random) -> features with their random changes
    corrupt: Callable | None = None
    terms: Callable = lambda feature: 1  # number of terms in the loss, which is their mean
    ALL_LANGUAGES: bool = False  # without `@language`, a step trains on all languages of the task
    MASKED: bool = False  # masked language modelling: needs a mask token, keeps the pretrained head
    WHOLE_BATCH: bool = False  # the loss compares the examples of a step: a step is never split
    SEQUENCES: int = 1  # token sequences of an example; each has at most `encode.max_length` tokens
    TEXT_TO_TEXT: str = ""  # name of the family that handles these tasks for text-to-text models
    SETTINGS: frozenset[str] = frozenset()  # settings that it reads and that not every family reads

    # prediction and scores; a family without metrics only trains
    METRICS: Mapping[str, Callable] = field(default_factory=dict)  # (rows, predictions, language)
    # The same arguments -> [(example's id, top, bottom)]; the metric is 100 Σ top / Σ bottom. A
    # metric that is no ratio of sums has no entry.
    EXAMPLES: Mapping[str, Callable] = field(default_factory=dict)
    outputs: Callable | None = None  # (output, batch, settings) -> an array or tuple per feature
    decode: Callable | None = None  # (rows, features, outputs, labels, settings) -> predictions
    # (settings) -> number of the layer whose `hidden_state` `outputs` reads, instead of the output
    layer: Callable | None = None
    # `outputs` returns a vector per row; `decode` reads no features: rows are encoded in blocks
    VECTORS: bool = False
    asked: Callable = lambda rows, settings: rows  # the rows that get a prediction
    # (rows, predictions) -> threshold tuned on a validation split
    threshold: Callable | None = None
    above: Callable | None = None  # (predictions, threshold) -> predictions; "" below the threshold
    CANDIDATES: bool = False  # a task may have a split `candidates`, which all languages rank

    # the source `hub`: (records of sources.hub) -> items of sources.records
    HUB: HubColumns | None = None
    hub_items: Callable | None = None

    # the report
    CATEGORY: str = ""  # group of tasks, as in XTREME
    shown_texts: Callable | None = None  # (row) -> [Shown]
    gold: Callable = lambda row: row["label"]  # the right answer, as a prediction has it
    # (row, answer, rows by id, all answers) -> [(text, tag)]
    shown_answer: Callable = lambda row, answer, *_: [(str(answer), "")] if answer else []


@cache
def family(name: str) -> Family:
    """Return the family of a name that the configuration has checked."""
    module = vars(importlib.import_module(f"{__name__}.{name}"))
    stated = {key.name: module[key.name] for key in fields(Family) if key.name in module}
    return Family(**{"name": name, **stated})


@cache
def names(key: str = "COLUMNS") -> list[str]:
    """Return the names of the families that a task may have, or only of those that state `key`.

    A text-to-text family is not among them: the form of the model implies it.
    """
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    implied = {family(name).TEXT_TO_TEXT for name in modules}
    return sorted(name for name in set(modules) - implied if getattr(family(name), key))


@cache
def particular_settings() -> frozenset[str]:
    """Return the settings that only some families read."""
    modules = pkgutil.iter_modules(__path__)
    return frozenset().union(*(family(module.name).SETTINGS for module in modules))


def check_metrics(name: str, metrics: Sequence[str], task: str) -> None:
    """Raise InputError if a task names a metric that its family does not have."""
    known = family(name).METRICS
    for metric in metrics:
        if metric not in known:
            hint = nearest(metric, known)
            raise InputError(f"task {task!r}: family {name} has no metric {metric!r}: {hint}")


def labelled_tokens(feature: Feature) -> int:
    """Return the number of tokens of a feature that have a label."""
    return sum(label != IGNORED for label in feature["labels"])


def pad(features: Sequence[Feature], pad_id: int) -> dict[str, Any]:
    """Return token ids as tensors [features, longest], with their attention mask."""
    batch = {"input_ids": pad_lists([f["input_ids"] for f in features], pad_id)}
    batch["attention_mask"] = pad_lists([[1] * len(f["input_ids"]) for f in features], 0)
    if "token_type_ids" in features[0]:
        batch["token_type_ids"] = pad_lists([f["token_type_ids"] for f in features], 0)
    return batch


def pad_lists(lists: Sequence[Sequence[int]], fill: int) -> Any:
    """Return lists of integers as a tensor [lists, longest]."""
    import numpy as np
    import torch

    padded = np.full((len(lists), max(map(len, lists))), fill, dtype=np.int64)
    for row, values in zip(padded, lists, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(padded)


def mean_of_tokens(hidden: Any, mask: Any) -> Any:
    """Return the mean over tokens [batch, hidden] of states [batch, tokens, hidden], in float32.

    Special tokens count, as in jiant (Phang et al. 2020) and XTREME's Tatoeba script.
    """
    hidden, mask = hidden.float(), mask.unsqueeze(-1).float()
    return (hidden * mask).sum(1) / mask.sum(1)


def features_of(encoding: Mapping[str, Any], inputs: Sequence[str]) -> list[Feature]:
    """Return one feature per text of a tokenizer's encoding, with the model's inputs."""
    keys = [key for key in encoding if key in inputs and key != "attention_mask"]
    columns = [encoding[key] for key in keys]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


def class_index(labels: Sequence[str]) -> dict[str, int]:
    """Return the index of each label in the model's output."""
    return {label: index for index, label in enumerate(labels)}
