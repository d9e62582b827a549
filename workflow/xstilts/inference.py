"""Predictions of a model for canonical rows: used while training and after it."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

from xstilts.families import Row

_TOKENS = 16384  # per batch, padding included: fits a large model on a small GPU


def predict_rows(
    model: torch.nn.Module,
    tokenizer: Any,
    family: ModuleType,
    rows: Sequence[Row],
    labels: Sequence[str],
    encode: Any,
    settings: Any,
) -> list[dict]:
    """One prediction per row. `encode` and `settings` are the Encode and Predict settings."""
    features = family.encode(rows, tokenizer, encode, labels, train=False)
    results: list[Any] = [None] * len(features)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    wanted = {"output_hidden_states": True} if family.MODEL == "AutoModel" else {}
    with torch.inference_mode():
        for numbers in _batches(features):
            batch = family.collate([features[number] for number in numbers], tokenizer.pad_token_id)
            batch = {key: tensor.to(device) for key, tensor in batch.items()}
            found = family.outputs(model(**batch, **wanted), batch, settings)
            for number, result in zip(numbers, found, strict=True):
                results[number] = result
    model.train(training)
    return family.decode(rows, features, results, labels, settings)


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
