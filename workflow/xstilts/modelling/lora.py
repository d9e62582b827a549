"""LoRA (Hu et al. 2021): small matrices are trained instead of the encoder's linear layers.

The head is always trained, and so is a new pooler. A published checkpoint has the matrices added
to the weights: any later step can use it like an ordinary checkpoint.
"""

from collections.abc import Mapping

import torch
from torch import nn

from xstilts.config.settings import Lora
from xstilts.errors import InputError, nearest
from xstilts.modelling.checkpoints import POOLER, encoder_of
from xstilts.modelling.steps import Stream, torch_seed

_DOWN, _UP, _BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer."


def adapt(model: nn.Module, settings: Lora, pretrained_pooler: bool, seed: int) -> None:
    """Add matrices drawn from `seed` to the model's encoder, and freeze its other weights.

    Raise InputError if a target module is not a linear module of the layers.
    """
    from peft import LoraConfig, inject_adapter_in_model

    encoder = encoder_of(model)
    # not the seed itself: the numbers would be those of the head
    torch.manual_seed(torch_seed(seed, Stream.LORA))
    inject_adapter_in_model(
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=_targets(encoder, settings.target_modules),
        ),
        encoder,
    )
    if not pretrained_pooler:
        for name, weight in encoder.named_parameters():
            weight.requires_grad_(weight.requires_grad or name.startswith(POOLER))


def _targets(encoder: nn.Module, wanted: tuple[str, ...]) -> list[str]:
    """Return the full names of the linear modules in the encoder's layers, or of those wanted."""
    modules = [
        f"{outer}.{inner}"
        for outer, layers in encoder.named_modules()
        if isinstance(layers, nn.ModuleList)
        for inner, module in layers.named_modules()
        if isinstance(module, nn.Linear)
    ]
    modules = list(dict.fromkeys(modules))  # nested lists name a module twice
    known = {name.rsplit(".", 1)[1] for name in modules}
    for name in wanted:
        if name not in known:
            hint = nearest(name, known)
            raise InputError(f"train.lora.target_modules: no linear module {name!r}: {hint}")
    return [name for name in modules if not wanted or name.rsplit(".", 1)[1] in wanted]


def merged(weights: Mapping[str, torch.Tensor], settings: Lora) -> dict[str, torch.Tensor]:
    """Return the weights with the matrices added to them: W + alpha / rank * B A."""
    plain = {name.replace(_BASE, "."): w for name, w in weights.items() if ".lora_" not in name}
    scale = settings.alpha / settings.rank
    for name, down in weights.items():
        if name.endswith(_DOWN):
            module = name.removesuffix(_DOWN)
            change = weights[module + _UP].float() @ down.float() * scale
            target = f"{module}.weight"
            plain[target] = (plain[target].float() + change).to(plain[target].dtype)
    return plain
