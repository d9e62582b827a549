"""Packed batches: the layers of an encoder compute no padding.

Embeddings and heads see the padded batch, as always. Between them the tokens of all texts are one
sequence, [1, tokens, hidden], in which each text attends to itself alone. So positions, heads and
losses of all families stay as they are; only a loss that counts padding needs another form
(`Family.packed_loss`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.modeling_layers import GradientCheckpointingLayer

Layout = Mapping[str, Any]

_NAME = "packed"  # of the attention; the library builds no mask for a name that it does not know
_HALF = (torch.float16, torch.bfloat16)


def layout_of(mask: torch.Tensor) -> Layout:
    """Return where the tokens of a padded batch are, from its attention mask on the CPU.

    It is computed before the batch is on a GPU, which would otherwise have to wait for the sizes.
    """
    mask = mask.reshape(-1, mask.shape[-1])
    sizes = mask.sum(1)
    tokens = mask.flatten().nonzero().squeeze(1)
    return {
        "tokens": tokens,  # place of each token in the padded batch
        "positions": tokens % mask.shape[-1],  # its place in its text
        "bounds": nn.functional.pad(sizes.cumsum(0), (1, 0)).int(),
        "sizes": sizes.tolist(),
    }


def layers_of(model: nn.Module) -> Sequence[nn.Module]:
    """Return the layers of an encoder; () if they are not one list of modules."""
    for layers in model.modules():
        if (
            isinstance(layers, nn.ModuleList)
            and len(layers) == model.config.num_hidden_layers
            and all(isinstance(layer, GradientCheckpointingLayer) for layer in layers)
        ):
            return layers
    return ()


@contextmanager
def packed(encoder: nn.Module, layout: Layout | None) -> Iterator[None]:
    """Run the layers of `encoder` without padding; None changes nothing."""
    if layout is None:
        yield
        return
    layers, plain, shape = layers_of(encoder), encoder.config._attn_implementation, []
    hooks = [layers[0].register_forward_pre_hook(partial(_pack, layout, shape), with_kwargs=True)]
    hooks += [x.register_forward_pre_hook(partial(_add, layout), with_kwargs=True) for x in layers]
    hooks.append(layers[-1].register_forward_hook(partial(_unpack, layout, shape)))
    encoder.config._attn_implementation = _NAME
    try:
        yield
    finally:
        encoder.config._attn_implementation = plain
        for hook in hooks:
            hook.remove()


def _pack(layout: Layout, shape: list, layer: nn.Module, inputs: tuple, named: dict) -> tuple:
    """Return the inputs of the first layer with packed states; store the shape of padded ones."""
    states, *others = inputs
    shape[:] = states.shape
    return (states.flatten(0, 1)[layout["tokens"]][None], *others), named


def _add(layout: Layout, layer: nn.Module, inputs: tuple, named: dict) -> tuple:
    """Return the inputs of a layer with the layout, and with rotations at each token's position."""
    named = {**named, "layout": layout}
    if rotations := named.get("position_embeddings"):
        named["position_embeddings"] = tuple(part[:, layout["positions"]] for part in rotations)
    return inputs, named


def _unpack(layout: Layout, shape: list, layer: nn.Module, inputs: tuple, states: Any) -> Any:
    """Return the padded states of the last layer; those of padding are 0."""
    texts, longest, hidden = shape
    padded = states.new_zeros(texts * longest, hidden).index_copy(0, layout["tokens"], states[0])
    return padded.view(texts, longest, hidden)


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    *,
    layout: Layout,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return the output [1, tokens, heads, size] of attention within each text."""
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = (states.repeat_interleave(groups, 1) for states in (key, value))
    # the library counts a token itself in its window
    window = None if sliding_window is None else sliding_window - 1
    has_kernel = query.is_cuda and query.dtype in _HALF and query.shape[-1] % 8 == 0
    compute = _flash if has_kernel else _by_text
    return compute(query, key, value, layout, dropout, scaling, window), None


def _flash(query, key, value, layout, dropout, scaling, window) -> torch.Tensor:
    """Return the attention of one kernel, which draws the dropout itself."""
    states = [s[0].transpose(0, 1).contiguous() for s in (query, key, value)]
    bounds, longest = layout["bounds"], max(layout["sizes"])
    output = torch.ops.aten._flash_attention_forward(
        *states,
        *(bounds, bounds, longest, longest),
        *(dropout, False, False),
        scale=scaling,
        window_size_left=window,
        window_size_right=window,
    )
    return output[0][None]


def _by_text(query, key, value, layout, dropout, scaling, window) -> torch.Tensor:
    """Return the attention text by text, on any device and in any precision."""
    texts = zip(*(s.split(layout["sizes"], 2) for s in (query, key, value)), strict=True)
    options = {"dropout_p": dropout, "scale": scaling}
    outputs = [
        scaled_dot_product_attention(*text, attn_mask=_near(text[0], window), **options)
        for text in texts
    ]
    return torch.cat(outputs, 2).transpose(1, 2)


def _near(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return which tokens of a text are in each other's window; None if all are."""
    length = query.shape[2]
    if window is None or length <= window + 1:
        return None
    place = torch.arange(length, device=query.device)
    return (place[:, None] - place).abs() <= window


AttentionInterface.register(_NAME, attention)
