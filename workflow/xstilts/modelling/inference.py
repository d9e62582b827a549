"""Predictions of a model for canonical rows, for validation in training and for the targets."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch

from xstilts.errors import Diverged, InputError
from xstilts.families import Family, Row
from xstilts.modelling.encodings import Source, encoded
from xstilts.modelling.packing import layers_of
from xstilts.modelling.precision import mixed

ROWS_PER_BLOCK = 65536  # rows encoded together, if outputs are vectors: bounds memory for ids
# Tokens of a batch, padding included. A GPU needs many to be busy; a large model still fits on a
# small one. A CPU's caches hold few: 16,384 tokens take 1.7 to 2.1 times as long.
TOKENS_PER_BATCH = {"cuda": 16384, "cpu": 2048}
SHORTEST = 0.8  # of a batch's longest example: the shortest is at least this long


def predict_rows(
    model: torch.nn.Module,
    tokenizer: Any,
    family: Family,
    rows: Sequence[Row],
    labels: Sequence[str],
    encode: Any,
    settings: Any,
    source: Source | None = None,
) -> list[dict]:
    """Return one prediction per row. `encode` and `settings` are Encode and Predict settings.

    If `source` says what determines the rows, their token ids are kept for other jobs.
    """
    size = ROWS_PER_BLOCK if family.VECTORS else len(rows)
    results: Any = []
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        part = source and source.part(first=start, rows=len(block))
        features = encoded(block, tokenizer, family, encode, labels, False, part)
        outputs = _outputs(model, features, family, tokenizer.pad_token_id, settings)
        if family.VECTORS:
            results = _gathered(results, outputs, start, len(rows))
        else:
            results += outputs
    return family.decode(rows, features, results, labels, settings)


def _gathered(vectors: Any, outputs: Sequence[np.ndarray], start: int, count: int) -> np.ndarray:
    """Return one array [count, d] with the outputs in its rows from `start`.

    A list of half a million embeddings would be copied to search it: gigabytes.
    """
    if not len(vectors):
        vectors = np.empty((count, len(outputs[0])), np.float32)
    for row, output in enumerate(outputs, start):
        vectors[row] = output
    return vectors


def _outputs(
    model: torch.nn.Module, features: Sequence[dict], family: Family, pad_id: int, settings: Any
) -> list[Any]:
    """Return the result of `family.outputs` for each feature."""
    results: list[Any] = [None] * len(features)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    layer = family.layer and family.layer(settings)
    forward = model if layer is None else partial(hidden_state, model, layer)
    with torch.inference_mode():
        for numbers in batches_of(features, TOKENS_PER_BATCH[device.type]):
            batch = family.collate([features[number] for number in numbers], pad_id)
            batch = {key: tensor.to(device) for key, tensor in batch.items()}
            with mixed(settings.precision, device):
                output = forward(**batch)
            _check_finite(output)
            outputs = family.outputs(output, batch, settings)
            for number, result in zip(numbers, outputs, strict=True):
                results[number] = result
    model.train(training)
    return results


class _Reached(Exception):
    """Ends a forward pass: the layer that is wanted has been computed."""


def hidden_state(
    model: torch.nn.Module, layer: int, **batch: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the `hidden_state` [batch, tokens, hidden] of an encoder's layer.

    0 is the embedding layer; a negative number counts from the last layer. Layers above the
    wanted one are not computed.
    """
    count = model.config.num_hidden_layers
    if not -count - 1 <= layer <= count:
        raise InputError(
            f"predict.layer is {layer}, but the model has layers 0 to {count} "
            f"(or −{count + 1} to −1)"
        )
    number = layer % (count + 1)
    if number == count:
        return {"hidden_state": model(**batch).last_hidden_state}
    if layers := layers_of(model):
        state = _input_of(layers[number], model, batch)
        if state.shape[:2] == batch["input_ids"].shape:  # some models pad inside
            return {"hidden_state": state}
    return {"hidden_state": model(**batch, output_hidden_states=True).hidden_states[number]}


def _input_of(
    layer: torch.nn.Module, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Return the first input of a layer; neither the layer nor those above it are computed.

    An encoder with fewer layers would return something else: many models normalise the output of
    their last layer only.
    """
    reached: list[torch.Tensor] = []

    def stop(module: torch.nn.Module, inputs: tuple, named: Mapping[str, Any]) -> None:
        reached.append(inputs[0] if inputs else named["hidden_states"])
        raise _Reached

    hook = layer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with suppress(_Reached):
            model(**batch)
    finally:
        hook.remove()
    return reached[0]


def _check_finite(output: Mapping[str, Any]) -> None:
    """Raise Diverged if a model's output is infinite or not a number: it is no prediction."""
    for name, values in output.items():
        if isinstance(values, torch.Tensor) and not torch.isfinite(values).all():
            raise Diverged(f"the model's {name} are not finite; train with a lower learning rate")


def batches_of(features: Sequence[dict], tokens: int) -> list[list[int]]:
    """Return batches of features, by number, with at most `tokens` tokens, padding included.

    Examples of similar length share a batch, so little is padded: the shortest has at least
    `SHORTEST` of the longest's tokens. A longer example than `tokens` is a batch of its own.
    """
    lengths = [len(f["input_ids"]) * len(f.get("choices", "1")) for f in features]
    order = sorted(range(len(features)), key=lambda number: (lengths[number], number))
    batches: list[list[int]] = []
    for number in order:
        longest = lengths[number]
        if (
            not batches
            or longest * (len(batches[-1]) + 1) > tokens
            or lengths[batches[-1][0]] < SHORTEST * longest
        ):
            batches.append([])
        batches[-1].append(number)
    return batches
