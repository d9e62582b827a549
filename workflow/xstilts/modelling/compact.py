"""Compact embeddings: train only the rows of the table whose tokens occur in the training data.

In AdamW a row without gradient, whose moments are therefore 0, only decays: each step multiplies it
by 1 - learning rate x weight decay. So rows of tokens that never occur need no moments, no
gradient and no update; one number is their decay so far. The result equals that of the whole table
up to rounding. XLM-R's table has 250,002 rows, of which English training data use a small part.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import embedding
from transformers import TrainerCallback

from xstilts.modelling import distributed

if TYPE_CHECKING:  # benchmarks/gpu.py needs this module without the package's dependencies
    from xstilts.config.settings import Train
    from xstilts.families import Family


class CompactEmbedding(nn.Module):
    """An embedding table of which the rows of `tokens`, ascending, are trained; others decay."""

    def __init__(self, table: nn.Embedding, tokens: torch.Tensor):
        super().__init__()
        place = torch.full((table.num_embeddings,), -1)
        place[tokens] = torch.arange(len(tokens))
        self.weight = nn.Parameter(table.weight.detach()[tokens].clone())
        self.padding = None if table.padding_idx is None else int(place[table.padding_idx])
        # a save has the first only; the others are those of the parent and of the data
        self.register_buffer("decay", torch.ones((), dtype=torch.float64))
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("start", table.weight.detach(), persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of tokens; outside training these may be any tokens."""
        place = self.place[ids]
        if self.training:
            return embedding(place, self.weight, self.padding)
        untrained = self.start[ids] * self.decay.to(self.start.dtype)
        trained = embedding(place.clamp(min=0), self.weight)
        return torch.where((place < 0)[..., None], untrained, trained)

    def whole(self) -> torch.Tensor:
        """Return the weights of the whole table."""
        table = self.start * self.decay.to(self.start.dtype)
        table[self.place >= 0] = self.weight.detach()
        return table


class Decay(TrainerCallback):
    """Follow the decay of the rows that are not trained."""

    def __init__(self, table: CompactEmbedding):
        self.table = table

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):  # noqa: D102
        for group in optimizer.param_groups:
            if any(weight is self.table.weight for weight in group["params"]):
                self.table.decay *= 1 - group["lr"] * group["weight_decay"]


def tokens_of(features: Iterable[Mapping[str, Any]]) -> Iterator[list[int]]:
    """Yield the token ids of features, also of features inside of them."""
    for feature in features:
        for key, value in feature.items():
            if key == "input_ids":
                yield value
            elif isinstance(value, dict):
                yield from tokens_of([value])
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                yield from tokens_of(value)


def reason_against(settings: "Train", families: Iterable["Family"], model: nn.Module) -> str:
    """Return why a step trains the whole table; "" if the rows of its data suffice."""
    from xstilts.modelling.checkpoints import encoder_of

    weight = encoder_of(model).get_input_embeddings().weight
    if distributed.count() > 1:
        return "several processes share the weights"
    if settings.precision == "fp16":
        return "with fp16 the optimiser may skip a step, unseen by the decay"
    if not weight.requires_grad:
        return "no embeddings are trained"
    users = [module for module in model.modules() if getattr(module, "weight", None) is weight]
    if len(users) > 1 or any(module.MASKED for module in families):
        return "language modelling uses all embeddings"
    return ""


def shrink(
    encoder: nn.Module, features: Iterable[Mapping[str, Any]], padding: int
) -> CompactEmbedding:
    """Replace the table of an encoder by a compact one with the tokens of all features.

    Batches also have the token `padding` of the tokenizer. It can differ from the model's: those of
    multilingual E5 small are 1 and 0.
    """
    table = encoder.get_input_embeddings()
    occurs = np.zeros(table.num_embeddings, bool)
    for ids in tokens_of(features):
        occurs[ids] = True
    occurs[[padding] if table.padding_idx is None else [padding, table.padding_idx]] = True
    compact = CompactEmbedding(table, torch.from_numpy(np.flatnonzero(occurs)))
    encoder.set_input_embeddings(compact)
    return compact


def restore(encoder: nn.Module) -> None:
    """Replace a compact table by the whole one, with its trained rows."""
    compact = encoder.get_input_embeddings()
    if isinstance(compact, CompactEmbedding):
        encoder.set_input_embeddings(nn.Embedding.from_pretrained(compact.whole(), freeze=False))
