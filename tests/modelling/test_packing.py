"""Packed batches: losses and gradients of every family equal those of padded batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import real_classes
from tests.modelling.test_micro_batches import SETTINGS, STEPS, shorten
from tests.stages.test_train import crash
from xstilts.errors import InputError
from xstilts.modelling import checkpoints, packing
from xstilts.modelling.batches import Batches
from xstilts.modelling.packing import layers_of, layout_of, packed
from xstilts.modelling.steps import PACKED_TYPES
from xstilts.recipe import parse
from xstilts.stages import train
from xstilts.status.problems import settings_problems

FAMILIES = [name for name, (_, form, _) in STEPS.items() if form == "heads"]
MODELS = [n for n, kind in real_classes.KINDS.items() if kind.config["model_type"] in PACKED_TYPES]


@pytest.fixture
def computed(published):
    """Function: (family, model) -> loss and gradient, padded and packed, without dropout."""

    def compute(name: str, model_name: str) -> list[tuple[float, torch.Tensor]]:
        recipe = STEPS[name][2]
        grid = real_classes.grid(recipes=[recipe], encode={"max_length": 90})
        step = grid.trainings.step(model_name, parse(recipe), 1)
        folder = Path(step.parent.path)
        tokenizer = checkpoints.load_tokenizer(folder)
        materials = train.read_materials(step, tokenizer)
        [material] = materials.values()
        shorten(material.features)
        model = checkpoints.fresh_head(folder, name, material.labels, False, 1).eval()
        batches = Batches(step, materials, tokenizer, 4)
        order = np.argsort(material.supply().lengths)
        batches.planned = [(material.part.name, [*order[:2], *order[-2:]])]
        batch = batches[0]
        del batch["weight"]
        assert not batch["attention_mask"].all(), "otherwise nothing is padded"
        layout = layout_of(batch["attention_mask"])
        return [_loss(model, name, batch, used) for used in (None, layout)]

    return compute


def _loss(model, name, batch, layout):
    model.zero_grad()
    with packed(model.base_model, layout):
        output = model(**batch)
    loss = output["loss"]
    loss.backward()
    gradients = [w.grad.flatten() for w in model.parameters() if w.grad is not None]
    return loss.item(), torch.cat(gradients)


@pytest.mark.parametrize(
    ("model", "name"),
    [*(("xlmr", name) for name in FAMILIES), *((model, "answer") for model in MODELS[1:])],
)
def test_packed_losses_equal_padded_ones(computed, model, name):
    (loss, gradient), (packed_loss, packed_gradient) = computed(name, model)
    assert packed_loss == pytest.approx(loss, abs=1e-5)
    torch.testing.assert_close(packed_gradient, gradient, rtol=1e-3, atol=1e-5)


def test_layers_compute_no_padding(root):
    model = checkpoints.fresh_head(root("xlmr"), "tag", ["a", "b"], False, 1).eval()
    mask = torch.tensor([[1] * 5, [1, 1, 0, 0, 0]])
    batch = {"input_ids": torch.where(mask > 0, 7, 1), "attention_mask": mask}
    shapes = []
    for layer in layers_of(model):
        layer.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[:2])))
    with packed(model.base_model, layout_of(mask)):
        assert model(**batch).logits.shape == (2, 5, 2)
    assert set(shapes) == {(1, 7)}
    shapes.clear()
    model(**batch)
    assert set(shapes) == {(2, 5)}, "afterwards the model is as before"


@pytest.mark.parametrize("window", [None, 3])
def test_the_kernel_takes_these_arguments(window):
    states = [torch.empty(1, 2, 7, 16, dtype=torch.bfloat16, device="meta")] * 3
    layout = {"bounds": torch.tensor([0, 5, 7], dtype=torch.int32, device="meta"), "sizes": [5, 2]}
    output = packing._flash(*states, layout, 0.1, 0.25, window)
    assert output.shape == (1, 7, 2, 16)


@pytest.mark.parametrize("recipe", ["nli", "entities+nli+text"])
def test_packing_changes_weights_by_rounding_only(workspace, recipe):
    weights = []
    for settings in (SETTINGS, SETTINGS | {"packing": True}):
        step = workspace.step(recipe, train=settings, multitask=settings)
        weights.append(workspace.weights(step))
    assert step.settings.packing
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=0, atol=1e-6)


def test_a_packed_training_with_dropout_resumes_bitwise(workspace, monkeypatch):
    settings = SETTINGS | {"max_steps": 4, "packing": True}
    step = workspace.step("reading", "dropout", train=settings)
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=3, save_every=2)
    assert workspace.train(step) == expected


def test_a_model_that_cannot_pack_is_refused(published):
    grid = real_classes.grid(train={"packing": True}, models=["mt5"], recipes=["none"])
    message = (
        "model 'mt5': train.packing is not possible for model_type 'mt5', only for bert, "
        "eurobert, modernbert, xlm-roberta, xlm-roberta-xl; state `packing` in the `train` of "
        "those models only"
    )
    assert settings_problems(grid) == [message]
    step = grid.trainings.step("mt5", parse("nli"), 1)
    with pytest.raises(InputError, match=f"{step.id}: train.packing is not possible for"):
        train.run(step)
