"""Predictions of a model for canonical rows: used while training and after it."""

from collections.abc import Sequence
from typing import Any

import torch

from xstilts.families import Family, Row

_ROWS = 65536  # encoded at a time, where rows are alone: their lists of ids are gigabytes
_TOKENS = 16384  # per batch, padding included: fits a large model on a small GPU


def predict_rows(
    model: torch.nn.Module,
    tokenizer: Any,
    family: Family,
    rows: Sequence[Row],
    labels: Sequence[str],
    encode: Any,
    settings: Any,
) -> list[dict]:
    """One prediction per row. `encode` and `settings` are the Encode and Predict settings."""
    size = _ROWS if family.ALONE else len(rows)
    results: list[Any] = []
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        features = family.encode(block, tokenizer, encode, labels, train=False)
        results += _outputs(model, features, family, tokenizer.pad_token_id, settings)
    return family.decode(rows, features, results, labels, settings)


def _outputs(
    model: torch.nn.Module, features: Sequence[dict], family: Family, pad_id: int, settings: Any
) -> list[Any]:
    """What `family.outputs` finds for each feature."""
    results: list[Any] = [None] * len(features)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    wanted = {"output_hidden_states": True} if family.MODEL == "AutoModel" else {}
    with torch.inference_mode():
        for numbers in _batches(features):
            batch = family.collate([features[number] for number in numbers], pad_id)
            batch = {key: tensor.to(device) for key, tensor in batch.items()}
            found = family.outputs(model(**batch, **wanted), batch, settings)
            for number, result in zip(numbers, found, strict=True):
                results[number] = result
    model.train(training)
    return results


def _batches(features: Sequence[dict]) -> list[list[int]]:
    """Features of like length together, so that little is padded."""
    lengths = [len(f["input_ids"]) * len(f.get("choices", "1")) for f in features]
    order = sorted(range(len(features)), key=lambda number: (lengths[number], number))
    batches: list[list[int]] = []
    for number in order:
        if not batches or lengths[number] * (len(batches[-1]) + 1) > _TOKENS:
            batches.append([])
        batches[-1].append(number)
    return batches
