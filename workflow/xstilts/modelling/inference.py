"""Predictions of a model for canonical rows, for validation in training and for the targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from xstilts.errors import Diverged
from xstilts.families import Family, Row
from xstilts.modelling.precision import mixed

ROWS_PER_BLOCK = 65536  # rows encoded together, if the family allows it: bounds memory for ids
TOKENS_PER_BATCH = 16384  # padding included: fits a large model on a small GPU


def predict_rows(
    model: torch.nn.Module,
    tokenizer: Any,
    family: Family,
    rows: Sequence[Row],
    labels: Sequence[str],
    encode: Any,
    settings: Any,
) -> list[dict]:
    """Return one prediction per row. `encode` and `settings` are Encode and Predict settings."""
    size = ROWS_PER_BLOCK if family.ALONE else len(rows)
    results: list[Any] = []
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        features = family.encode(block, tokenizer, encode, labels, train=False)
        results += _outputs(model, features, family, tokenizer.pad_token_id, settings)
    return family.decode(rows, features, results, labels, settings)


def _outputs(
    model: torch.nn.Module, features: Sequence[dict], family: Family, pad_id: int, settings: Any
) -> list[Any]:
    """Return the result of `family.outputs` for each feature."""
    results: list[Any] = [None] * len(features)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    options = {"output_hidden_states": True} if family.MODEL == "AutoModel" else {}
    with torch.inference_mode():
        for numbers in batches_of(features):
            batch = family.collate([features[number] for number in numbers], pad_id)
            batch = {key: tensor.to(device) for key, tensor in batch.items()}
            with mixed(settings.precision, device):
                output = model(**batch, **options)
            _check_finite(output)
            outputs = family.outputs(output, batch, settings)
            for number, result in zip(numbers, outputs, strict=True):
                results[number] = result
    model.train(training)
    return results


def _check_finite(output: Mapping[str, Any]) -> None:
    """Raise Diverged if a model's output is infinite or not a number: it is no prediction."""
    for name, values in output.items():
        if isinstance(values, torch.Tensor) and not torch.isfinite(values).all():
            raise Diverged(f"the model's {name} are not finite; train with a lower learning rate")


def batches_of(features: Sequence[dict]) -> list[list[int]]:
    """Return batches of features, by number; similar lengths share a batch to pad little."""
    lengths = [len(f["input_ids"]) * len(f.get("choices", "1")) for f in features]
    order = sorted(range(len(features)), key=lambda number: (lengths[number], number))
    batches: list[list[int]] = []
    for number in order:
        if not batches or lengths[number] * (len(batches[-1]) + 1) > TOKENS_PER_BATCH:
            batches.append([])
        batches[-1].append(number)
    return batches
