"""The same training twice on one GPU gives the same weights."""

import logging
import os

import torch

log = logging.getLogger("xstilts")


def make_deterministic(enabled: bool = True) -> None:
    """Let a GPU use only kernels that give the same result each time; a CPU does so anyway.

    By default the backward pass of attention adds in an order that varies from run to run, and
    cuBLAS may choose its workspace by what else runs
    (https://docs.pytorch.org/docs/stable/notes/randomness.html). Must be called before the first
    matrix product.
    """
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(enabled)
        torch.utils.deterministic.fill_uninitialized_memory = False  # only a help to find bugs


def allow_other_kernels(error: RuntimeError, artefact: str) -> bool:
    """Allow kernels with varying results where there is no other; return whether this is new.

    `error` is what torch raised for the first of them.
    """
    operation, lacks, _ = str(error).partition(" does not have a deterministic implementation")
    if not lacks or torch.is_deterministic_algorithms_warn_only_enabled():
        return False
    log.warning(f"{artefact}: no deterministic kernel of {operation}: trainings vary by rounding")
    torch.use_deterministic_algorithms(True, warn_only=True)
    return True
