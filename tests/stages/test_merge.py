"""Merging: means and scaled task vectors of encoders, and what cannot be merged."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xstilts import store
from xstilts.errors import InputError
from xstilts.modelling.checkpoints import encoder_weights, fresh_head, load_trained, opened_weights
from xstilts.stages import merge

FEW = {"train": {"max_steps": 2, "batch_size": 4, "learning_rate": 1e-2}}


def trained(workspace, recipe: str, model: str = "xlmr"):
    """Train all parents of a merge, and return its checkpoint."""
    step = workspace.step(recipe, model, **FEW)
    for parent in step.merged:
        workspace.train(parent)
    return step


def weights(step, inside: str = "") -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint below a prefix, by the rest of their names."""
    found = load_file(Path(step.path) / "model.safetensors")
    return {k.removeprefix(inside): w for k, w in found.items() if k.startswith(inside)}


@pytest.mark.parametrize("scale", [None, 0.3])
def test_a_merge_adds_task_vectors(workspace, scale):
    step = trained(workspace, "nli|reading" + (f"~{scale}" if scale else ""))
    merge.run(step)
    base = weights(step.parent, "roberta.")
    parts = [weights(parent, "roberta.") for parent in step.merged]
    merged = weights(step)
    assert merged.keys() == {k for k in base if not k.startswith("pooler.")}
    for name, weight in merged.items():
        expected = base[name] + (scale or 0.5) * sum(part[name] - base[name] for part in parts)
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)
    assert any(not torch.equal(merged[name], base[name]) for name in merged)


def test_a_merge_is_the_parent_of_a_training(workspace):
    step = trained(workspace, "nli|reading")
    merge.run(step)
    manifest = store.CheckpointManifest.verify(Path(step.path))
    assert manifest.lineage == [node.id for node in step.lineage()]
    assert manifest.provenance["libraries"]
    model = fresh_head(Path(step.path), "tag", ["O", "B"], manifest.pretrained_pooler, 1)
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(model.base_model.state_dict()[name], weights(step)[name])
    assert load_trained(Path(step.path), "mine").config.architectures == ["XLMRobertaModel"]
    target = workspace.step("nli|reading-entities", **FEW)
    assert workspace.train(target)


def test_a_merge_has_equal_bytes_again(workspace):
    step = trained(workspace, "nli|entities+paraphrase")
    merge.run(step)
    first = workspace.files(step)
    shutil.rmtree(step.path)
    merge.run(step)
    assert workspace.files(step) == first


def refusal(step, *folders) -> str:
    """Return the message for checkpoints with other architectures or vocabularies."""
    made = type(load_trained(folders[0], "mine"))
    some = [encoder_weights(opened_weights(folder), made, False) for folder in folders]
    with pytest.raises(InputError) as error:
        merge.check_architectures(step.id, folders, some)
    return str(error.value)


def test_other_models_are_not_merged(workspace, tmp_path):
    step = workspace.step("nli|reading")
    xlmr = Path(step.parent.path)
    deberta = Path(workspace.step("none", "deberta").path)
    assert "the architecture (" in refusal(step, xlmr, deberta)
    other = shutil.copytree(xlmr, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"][9], tokenizer["model"]["vocab"][10] = (
        tokenizer["model"]["vocab"][10],
        tokenizer["model"]["vocab"][9],
    )
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert f"the vocabulary of {other} differs" in refusal(step, xlmr, other)


def test_trainings_of_other_parents_are_not_merged():
    def manifest(id, parent):
        about = {"content": {}, "files": {}, "pretrained_pooler": False, "labels": {}}
        return store.CheckpointManifest(id=id, lineage=[parent, id], **about)

    with pytest.raises(InputError, match=r"b was trained from \['y'\], but a from \['x'\]"):
        merge.check_parents("m", [manifest("a", "x"), manifest("b", "y")])
