"""Task families: all behaviour of tasks, one small module each, all with the same names.

    COLUMNS    pyarrow schema of the canonical rows
    MODEL      name of the transformers Auto class with the family's head
    METRICS    metric name -> function(rows, predictions, language) -> percent
    EXAMPLES   the same, but -> [(example's id, top, bottom)]: the metric is 100 Σ top / Σ bottom
    labels     label inventory found in rows; empty where the head needs none
    encode     rows -> features: lists of token ids, several per row where a text is long
    collate    features -> a batch of tensors
    outputs    a model's output for a batch -> one small array (or tuple of them) per feature
    decode     features' outputs -> predictions, one per row: {"id", "prediction", …}

A family may have more:

    forward      another way to its loss than the model's own
    WHOLE_BATCH  its loss compares the examples of a step: these are not split, nor mixed
    asked        the rows that get a prediction, where not all do
    ALONE        a feature is of one row, and `decode` reads none: rows are encoded in blocks
    threshold    what score a prediction needs, tuned on a validation split; `above` applies it

A metric that is no such ratio of sums is not in EXAMPLES. `mask` has no predictions, and `mine` has
no training. Importing a family imports no torch.
"""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from xstilts.errors import InputError, nearest

Row = Mapping[str, Any]
Feature = dict[str, Any]
IGNORED = -100  # the label that transformers' losses leave out


def family(name: str) -> ModuleType:
    """The module of a family that the configuration has already checked."""
    return importlib.import_module(f"xstilts.families.{name}")


def check_metrics(name: str, metrics: Sequence[str], task: str) -> None:
    """Raise InputError if a task names a metric that its family does not have."""
    known = family(name).METRICS
    for metric in metrics:
        if metric not in known:
            hint = nearest(metric, known)
            raise InputError(f"task {task!r}: family {name} has no metric {metric!r}: {hint}")


def labels_as_examples(rows: Sequence[Row], predictions: Sequence[Row], language: str) -> list:
    """Accuracy as EXAMPLES has it, of rows with a `label`."""
    pairs = zip(rows, predictions, strict=True)
    return [(row["id"], float(row["label"] == found["prediction"]), 1.0) for row, found in pairs]


def pad(features: Sequence[Feature], pad_id: int) -> dict[str, Any]:
    """Token id lists of different length -> tensors [features, longest], with attention mask."""
    batch = {"input_ids": pad_lists([f["input_ids"] for f in features], pad_id)}
    batch["attention_mask"] = pad_lists([[1] * len(f["input_ids"]) for f in features], 0)
    if "token_type_ids" in features[0]:
        batch["token_type_ids"] = pad_lists([f["token_type_ids"] for f in features], 0)
    return batch


def pad_lists(lists: Sequence[Sequence[int]], fill: int) -> Any:
    """Lists of whole numbers -> a tensor [lists, longest]."""
    import numpy as np
    import torch

    padded = np.full((len(lists), max(map(len, lists))), fill, dtype=np.int64)
    for row, values in zip(padded, lists, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(padded)


def mean_of_tokens(hidden: Any, mask: Any) -> Any:
    """Hidden states [batch, tokens, hidden] -> their mean over tokens [batch, hidden], in float32.

    Special tokens count, as in jiant (Phang et al. 2020) and XTREME's Tatoeba script.
    """
    hidden, mask = hidden.float(), mask.unsqueeze(-1).float()
    return (hidden * mask).sum(1) / mask.sum(1)


def features_of(encoding: Mapping[str, Any], inputs: Sequence[str]) -> list[Feature]:
    """A tokenizer's encoding of several texts -> a feature each with the model's inputs."""
    keys = [key for key in encoding if key in inputs and key != "attention_mask"]
    columns = [encoding[key] for key in keys]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


def class_index(labels: Sequence[str]) -> dict[str, int]:
    """Label -> index of the model's output."""
    return {label: index for index, label in enumerate(labels)}
