"""Number formats of the computation: those that a device supports, and their use by torch."""

from contextlib import AbstractContextManager, nullcontext

import torch

from xstilts.config.settings import Precision
from xstilts.errors import InputError

_MIXED = {"bf16": torch.bfloat16, "fp16": torch.float16}


def prepare(precision: Precision, artefact: str) -> None:
    """Set the format of matrix products in fp32.

    Raise InputError, naming the artefact, if the device cannot compute in `precision`.
    """
    on_gpu = torch.cuda.is_available()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    if precision == "fp16" and not on_gpu:
        raise InputError(f"{artefact}: `precision: fp16` needs a GPU; state bf16 or fp32 for a CPU")
    if precision == "bf16" and on_gpu and not torch.cuda.is_bf16_supported(False):
        name = torch.cuda.get_device_name()
        raise InputError(f"{artefact}: {name} has no bf16; state `precision: fp16` or fp32")


def mixed(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Return the context in which a model's forward pass has this precision."""
    if precision not in _MIXED:
        return nullcontext()
    return torch.autocast(device.type, _MIXED[precision])
