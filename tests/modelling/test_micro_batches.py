"""Micro-batches and processes divide a step's work; the result is the same but for rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import real_classes
from xstilts.modelling import checkpoints
from xstilts.modelling.batches import Batches
from xstilts.recipe import parse
from xstilts.stages import train

# with a large epsilon, AdamW does not divide rounding errors by gradients that are nearly zero
SETTINGS = {"max_steps": 2, "batch_size": 7, "learning_rate": 1e-3, "adam_epsilon": 1e-2}
# model, form and recipe: every family that trains
STEPS = {
    "classify": ("xlmr", "heads", "nli"),
    "choose": ("xlmr", "heads", "completion"),
    "tag": ("xlmr", "heads", "entities"),
    "answer": ("xlmr", "heads", "reading"),
    "mask": ("xlmr", "heads", "text"),
    "retrieve": ("xlmr", "heads", "passages"),
    "classify_text": ("mt5", "text-to-text", "nli"),
    "choose_text": ("mt5", "text-to-text", "completion"),
}


@pytest.fixture
def gradients(workspace, monkeypatch):
    """Function that returns the gradients of each step of a training without dropout."""

    def compute(name: str, processes: int = 1, micro_batch: int = 7) -> list[torch.Tensor]:
        model_name, form, recipe = STEPS[name]
        settings = {"train": SETTINGS, "encode": {"max_length": 90 if form == "heads" else 400}}
        grid = real_classes.grid(form, recipes=[recipe], **settings)
        if not Path(grid.trainings.root(model_name).path).exists():
            real_classes.fill(grid, [model_name])
        step = grid.trainings.step(model_name, parse(recipe), 1)
        folder = Path(step.parent.path)
        tokenizer = checkpoints.load_tokenizer(folder)
        materials = train.read_materials(step, tokenizer)
        [material] = materials.values()
        shorten(material.features)
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        batches = Batches(step, materials, tokenizer, micro_batch)
        order = np.argsort(material.supply().lengths, kind="stable")
        batches.planned = [(material.part.name, [*order[:4], *order[-3:]])] * batches.steps
        if batches.per_step == 1:
            assert not batches[0]["attention_mask"].all(), "otherwise nothing is padded"
        model = checkpoints.fresh_head(folder, material.part.family, material.labels, False, 1)
        return [_gradient(model.eval(), batches, number) for number in range(batches.steps)]

    return compute


def shorten(features):
    """Give the candidates of an example different lengths: they are all truncated to one."""
    for feature in features:
        for number, choice in enumerate(feature.get("choices", ())):
            choice |= {key: values[: 40 - 7 * number] for key, values in choice.items()}


def _gradient(model: torch.nn.Module, batches: Batches, step: int) -> torch.Tensor:
    model.zero_grad()
    for position in range(batches.per_step):
        batch = batches[step * batches.per_step + position]
        weight = batch.pop("weight")
        (model(**batch)["loss"] * weight / batches.per_step).backward()
    return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])


@pytest.mark.parametrize("name", STEPS)
def test_gradients_do_not_depend_on_micro_batches(gradients, name):
    expected = gradients(name)
    assert expected[0].norm() > 0
    for processes, micro_batch in ((1, 3), (1, 1), (2, 7), (3, 2)):
        for gradient, reference in zip(
            gradients(name, processes, micro_batch), expected, strict=True
        ):
            torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("recipe", ["text", "entities", "nli+text"])
def test_weights_do_not_depend_on_micro_batches(workspace, recipe):
    step = workspace.step(recipe, train=SETTINGS, multitask=SETTINGS)
    expected, *others = (workspace.weights(step, micro_batch=micro) for micro in (None, 4, 1))
    for other in others:
        for name, weight in expected.items():
            torch.testing.assert_close(other[name], weight, rtol=0, atol=1e-6)
