"""Kernels of a GPU that give the same result each time, with a pretended GPU."""

import os

import pytest
import torch

from xstilts.modelling.determinism import make_deterministic
from xstilts.stages import train

SETTINGS = {"max_steps": 3, "batch_size": 4}


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


def test_a_training_asks_for_deterministic_kernels(workspace, monkeypatch):
    calls = []
    monkeypatch.setattr(train, "make_deterministic", lambda: calls.append(1))
    workspace.train(workspace.step("nli", train=SETTINGS))
    assert calls == [1]


def test_a_missing_kernel_does_not_end_a_training(workspace, restored, caplog):
    step = workspace.step("nli", train=SETTINGS)
    expected = workspace.reference(step)
    compute_loss, failures = train.StepTrainer.compute_loss, iter([True])

    def failing(*args, **options):
        if next(failures, False):
            raise RuntimeError("put_ does not have a deterministic implementation, but you set")
        return compute_loss(*args, **options)

    restored.setattr(train.StepTrainer, "compute_loss", failing)
    assert workspace.train(step) == expected
    assert f"{step.id}: no deterministic kernel of put_: trainings vary by rounding" in caplog.text
