"""The same training twice on one GPU gives the same weights."""

import os

import torch


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
