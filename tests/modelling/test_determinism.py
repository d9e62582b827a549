"""Kernels of a GPU that give the same result each time, with a pretended GPU."""

import os

import pytest
import torch

from xstilts.modelling.determinism import make_deterministic


@pytest.fixture
def restored(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield monkeypatch
    torch.use_deterministic_algorithms(False)


def test_a_gpu_uses_deterministic_kernels(restored):
    restored.setattr(torch.cuda, "is_available", lambda: True)
    make_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_workspace_of_the_user_stays(restored):
    restored.setattr(torch.cuda, "is_available", lambda: True)
    restored.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_a_cpu_needs_no_other_kernels(restored):
    restored.setattr(torch.cuda, "is_available", lambda: False)
    make_deterministic()
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
