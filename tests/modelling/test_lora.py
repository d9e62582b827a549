"""LoRA: trained weights, published weights, identity."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.real_classes import KINDS, grid
from tests.real_classes import trained as train_and_inspect
from tests.tiny_project import make_grid
from xstilts import store
from xstilts.config.settings import Lora, Predict, Train
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.modelling import checkpoints, inference, lora
from xstilts.recipe import Recipe, parse
from xstilts.stages import predict

SETTINGS = {"max_steps": 3, "batch_size": 4, "learning_rate": 1e-2}


def with_lora(value=True, **study):
    """Return a grid whose steps train by LoRA."""
    settings = {**SETTINGS, "lora": value}
    return grid(train=settings, multitask=settings, **study)


def beside_encoder(model) -> set[str]:
    """Return the names of a model's head weights: outside the encoder, or its new pooler."""
    encoder = {id(w) for name, w in model.base_model.named_parameters() if "pooler." not in name}
    return {name for name, weight in model.named_parameters() if id(weight) not in encoder}


@pytest.mark.parametrize("task", ["nli", "passages"])
@pytest.mark.parametrize("model", list(KINDS))
def test_lora_trains_matrices_and_head_and_merges(published, monkeypatch, model, task):
    project = with_lora()
    predictions = project.predictions(model, Recipe(), task, 1)
    step, dataset = predictions.checkpoint, predictions.datasets[0]
    module = family(predictions.family)
    rows = store.read_rows(Path(dataset.path))
    parent = checkpoints.load_weights(Path(step.parent.path))
    before = []

    def inspect(built):
        heads = beside_encoder(built)
        for name, weight in built.named_parameters():
            assert weight.requires_grad == (".lora_" in name or name in heads), name
        state = {
            name.replace(".base_layer", ""): w.clone() for name, w in built.state_dict().items()
        }
        prefix = "" if built.base_model is built else built.base_model_prefix + "."
        for name, weight in state.items():
            own = name.removeprefix(prefix)
            if ".lora_" not in name and name not in heads:
                theirs = parent.get(own, parent.get(name))
                if theirs is not None:
                    assert torch.equal(weight, theirs), name
        moved = [w for name, w in built.named_parameters() if ".lora_B" in name]
        assert moved
        assert all(weight.abs().max() > 0 for weight in moved), "B starts at 0"
        labels = module.labels(store.read_rows(Path(step.parts[0].train[0].path)))
        tokenizer = checkpoints.load_tokenizer(Path(step.parent.path))
        before.extend(
            inference.predict_rows(
                built, tokenizer, module, rows, labels, predictions.encode, Predict()
            )
        )

    train_and_inspect(step, monkeypatch, inspect)
    predict.run(predictions)
    after = store.read_lines(Path(predictions.file(dataset)))
    for prediction, expected in zip(after, before, strict=True):
        assert prediction["prediction"] == expected["prediction"]
        if "scores" in prediction:
            values = [x["scores"] for x in (prediction, expected)]
            values = [list(v.values()) if isinstance(v, dict) else v for v in values]
            assert values[0] == pytest.approx(values[1], abs=2e-5)
    # an ordinary checkpoint
    ordinary = checkpoints.fresh_head(
        Path(step.parent.path), predictions.family, ["a", "b"], False, 1
    )
    ordinary.save_pretrained("ordinary")
    keys = load_file(Path(step.path) / "model.safetensors").keys()
    assert keys == load_file("ordinary/model.safetensors").keys()
    config = json.loads((Path(step.path) / "config.json").read_text())
    assert config["architectures"] == [type(ordinary).__name__]
    checkpoints.fresh_head(Path(step.path), "tag", ["a", "b"], False, 1)


@pytest.mark.parametrize("model", ["xlmr", "mt5"])
@pytest.mark.parametrize("recipe", ["text", "completion+nli+text"])
def test_language_modelling_and_several_tasks(published, monkeypatch, model, recipe):
    step = with_lora(recipes=[recipe]).trainings.step(model, parse(recipe), 1)
    states = []
    train_and_inspect(step, monkeypatch, lambda built: states.append(built))
    [built] = states
    part = built.models["text"] if recipe != "text" else built
    embeddings = part.base_model.get_input_embeddings().weight
    parent = checkpoints.load_weights(Path(step.parent.path))
    assert any(torch.equal(embeddings, weight) for weight in parent.values()), "frozen"
    whole = lora.merged(part.base_model.state_dict(), Lora())
    child = checkpoints.fresh_head(Path(step.path), "tag", ["a", "b"], False, 1).base_model
    for name, weight in child.state_dict().items():
        if "pooler" not in name:
            torch.testing.assert_close(weight, whole[name], rtol=0, atol=0)


def test_lora_resumes_bitwise_and_is_seeded(workspace, monkeypatch):
    from tests.stages.test_train import crash

    settings = {"train": {**SETTINGS, "max_steps": 20, "lora": {"dropout": 0.1}}}
    step = workspace.step("nli", **settings)
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=13, save_every=6)
    assert workspace.train(step) == expected
    assert workspace.train(workspace.step("nli", seed=2, **settings)) != expected


def test_a_missing_target_module_is_named(root):
    model = checkpoints.fresh_head(root("xlmr"), "classify", ["a", "b"], False, 1)
    with pytest.raises(InputError, match=r"target_modules: no linear module 'qery': .*query"):
        lora.adapt(model, Lora(target_modules=("qery",)), False, 1)
    lora.adapt(model, Lora(target_modules=("query", "value")), False, 1)
    adapted = {
        name.split(".lora_")[0].rsplit(".", 1)[1] for name in model.state_dict() if "lora_" in name
    }
    assert adapted == {"query", "value"}


def test_matrices_are_scaled_by_alpha_over_rank():
    weights = {
        "layer.base_layer.weight": torch.zeros(2, 3),
        "layer.lora_A.default.weight": torch.tensor([[1.0, 2.0, 3.0]]),
        "layer.lora_B.default.weight": torch.tensor([[1.0], [10.0]]),
        "layer.base_layer.bias": torch.ones(2),
        "other.weight": torch.ones(1),
    }
    merged = lora.merged(weights, Lora(rank=1, alpha=2))
    assert merged.keys() == {"layer.weight", "layer.bias", "other.weight"}
    assert merged["layer.weight"].tolist() == [[2.0, 4.0, 6.0], [20.0, 40.0, 60.0]]


def test_lora_is_part_of_identity_and_off_by_default():
    def digest(**train):
        settings = {"max_steps": 30, "batch_size": 8, "learning_rate": 1e-3, **train}
        return make_grid(train=settings).trainings.step("xlmr", parse("nli"), 1).identity.digest

    assert digest() == digest(lora=False)
    assert len({digest(), digest(lora=True), digest(lora={"rank": 4})}) == 3
    assert digest(lora=True) == digest(lora={}) == digest(lora={"rank": 8, "alpha": 16})
    assert Train(lora=True).lora == Lora()
    with pytest.raises(ValueError, match="unknown key 'ranks'"):
        Train(lora={"ranks": 4})
