"""Models: new heads on a parent's encoder, one encoder under several heads."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny_project import TASK_OF, architecture
from xstilts.errors import InputError
from xstilts.modelling import checkpoints

NLI = ["entailment", "neutral", "contradiction"]
MODELS = ["xlmr", "bert", "deberta"]


def encoder(model) -> dict[str, torch.Tensor]:
    """Return the weights of a model's encoder, without a pooler."""
    state = model.base_model.state_dict()
    return {key: weight.clone() for key, weight in state.items() if not key.startswith("pooler.")}


def head(model) -> dict[str, torch.Tensor]:
    """Return the weights of a model outside its encoder."""
    prefix = model.base_model_prefix + "."
    return {key: w for key, w in model.state_dict().items() if not key.startswith(prefix)}


def same(weights: dict, expected: dict) -> bool:
    """Whether two sets of weights are equal, bit by bit."""
    same_keys = weights.keys() == expected.keys()
    return same_keys and all(torch.equal(weights[key], expected[key]) for key in weights)


def save(folder: Path, parent: Path, model) -> Path:
    """Save a checkpoint whose head has constant weights."""
    with torch.no_grad():
        for weight in head(model).values():
            weight.fill_(0.125)
    model.save_pretrained(folder)
    checkpoints.load_tokenizer(parent).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", list(TASK_OF))
def test_encoder_is_inherited_and_head_is_seeded(root, model, name):
    parent = root(model)
    built = checkpoints.fresh_head(parent, name, NLI, False, 7)
    weights = load_file(parent / "model.safetensors")
    prefix = built.base_model_prefix + "."
    for key, weight in encoder(built).items():
        assert torch.equal(weight, weights[prefix + key]), key
    torch.rand(5)  # what was drawn before plays no part
    assert same(
        built.state_dict(), checkpoints.fresh_head(parent, name, NLI, False, 7).state_dict()
    )
    if name != "mask":
        other = checkpoints.fresh_head(parent, name, NLI, False, 8)
        assert not same(head(built), head(other))
        assert same(encoder(built), encoder(other))


@pytest.mark.parametrize("name", ["classify", "choose", "tag", "answer"])
def test_an_intermediate_head_is_not_inherited(root, tmp_path, name):
    parent = root("xlmr")
    expected = checkpoints.fresh_head(parent, name, NLI, False, 1)
    trained = checkpoints.fresh_head(parent, name, NLI, False, 1)
    folder = save(tmp_path / "checkpoint", parent, trained)
    again = checkpoints.fresh_head(folder, name, NLI, False, 1)
    assert same(head(again), head(expected)), "same family, same number of labels"
    assert same(encoder(again), encoder(trained))
    assert again.config.id2label == dict(enumerate(NLI))


def test_labels_are_of_the_step_not_of_the_parent(root, tmp_path):
    folder = save(
        tmp_path / "c",
        root("xlmr"),
        checkpoints.fresh_head(root("xlmr"), "classify", NLI, False, 1),
    )
    for labels in (["0", "1"], ["a", "b", "c", "d"]):
        built = checkpoints.fresh_head(folder, "tag", labels, False, 1)
        assert built.config.id2label == dict(enumerate(labels))
        assert built.classifier.out_features == len(labels)
    assert checkpoints.fresh_head(folder, "answer", [], False, 1).qa_outputs.out_features == 2


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_pooler_is_a_head_unless_pretrained(root, tmp_path, pretrained):
    trained = checkpoints.fresh_head(root("xlmr"), "choose", [], False, 1)
    with torch.no_grad():
        trained.base_model.pooler.dense.weight.fill_(0.5)
    folder = save(tmp_path / "c", root("xlmr"), trained)
    built = checkpoints.fresh_head(folder, "choose", [], pretrained, 1)
    kept = bool((built.base_model.pooler.dense.weight == 0.5).all())
    assert kept == pretrained


@pytest.mark.parametrize("model", MODELS)
def test_a_pretrained_language_head_is_kept(root, model):
    built = checkpoints.fresh_head(root(model), "mask", [], False, 1)
    assert head(built)
    weights = load_file(root(model) / "model.safetensors")
    for key, weight in built.state_dict().items():
        if key in weights:
            assert torch.equal(weight, weights[key]), key
    assert not set(weights) - set(built.state_dict())


@pytest.mark.parametrize("model", MODELS)
def test_language_modelling_loss_is_the_models_own(root, model):
    built = checkpoints.fresh_head(root(model), "mask", [], False, 1)
    ids = torch.arange(5, 65).view(4, 15)
    labels = torch.where(ids % 4 == 0, ids, -100)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    chosen = torch.cat([(labels != -100).nonzero().T, torch.full((2, 3), -1)], dim=1)  # -1 pads
    own = partial(type(built).forward, built)
    losses, gradients = [], []
    for forward in (partial(built.forward, chosen=chosen), own):
        loss = forward(**batch).loss
        built.zero_grad()
        loss.backward()
        losses.append(loss.item())
        gradients.append([weight.grad.clone() for weight in built.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_language_head_is_new_after_another_family(root, tmp_path):
    trained = checkpoints.fresh_head(root("xlmr"), "classify", NLI, False, 1)
    built = checkpoints.fresh_head(
        save(tmp_path / "c", root("xlmr"), trained), "mask", [], False, 1
    )
    assert same(encoder(built), encoder(trained))
    embeddings = built.base_model.embeddings.word_embeddings.weight
    assert built.lm_head.decoder.weight is embeddings


def test_a_checkpoint_without_architecture_opens(root, tmp_path):
    # as that of microsoft/mdeberta-v3-base
    checkpoints.load_tokenizer(root("deberta")).save_pretrained(tmp_path)
    config = json.loads((root("deberta") / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(load_file(root("deberta") / "model.safetensors"), tmp_path / "model.safetensors")
    model = checkpoints.fresh_head(tmp_path, "classify", NLI, False, 1)
    assert same(
        model.state_dict(),
        checkpoints.fresh_head(root("deberta"), "classify", NLI, False, 1).state_dict(),
    )


def test_weights_in_several_files(root, tmp_path):
    built = checkpoints.fresh_head(root("xlmr"), "classify", NLI, False, 1)
    built.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert same(checkpoints.load_weights(tmp_path), built.state_dict())
    assert same(
        checkpoints.fresh_head(tmp_path, "tag", NLI, False, 1).state_dict(),
        checkpoints.fresh_head(root("xlmr"), "tag", NLI, False, 1).state_dict(),
    )


@pytest.fixture
def several(root):
    """One encoder under four heads."""
    heads = {"nli": "classify", "completion": "choose", "reading": "answer", "text": "mask"}
    return checkpoints.Multitask(
        {
            task: checkpoints.fresh_head(root("xlmr"), name, NLI if task == "nli" else [], False, 1)
            for task, name in heads.items()
        }
    )


def test_four_heads_share_one_encoder(several):
    encoders = {id(model.base_model) for model in several.models.values()}
    assert encoders == {id(several.encoder)}
    names = [{name for name, _ in model.named_parameters()} for model in several.models.values()]
    assert any("pooler" in name for name in names[0]), "one head needs the pooler"
    counted = sum(weight.numel() for weight in several.parameters())
    own = sum(
        weight.numel()
        for model in several.models.values()
        for key, weight in head(model).items()
        if not key.startswith("lm_head.decoder") and key != "lm_head.bias"
    )
    bias = several.models["text"].lm_head.bias.numel()
    assert counted == sum(w.numel() for w in several.encoder.parameters()) + own + bias
    decoder = several.models["text"].lm_head.decoder.weight
    assert decoder is several.encoder.embeddings.word_embeddings.weight


def test_each_task_learns_with_its_own_head(several, tokenizer, rows):
    from types import SimpleNamespace

    import numpy as np

    from xstilts.config.settings import Encode
    from xstilts.families import family

    batches = {}
    random = np.random.default_rng(1)
    masking = SimpleNamespace(mask_rate=0.3, mask_id=tokenizer.mask_token_id, vocabulary=200)
    for name, task in TASK_OF.items():
        if task not in several.models:
            continue
        module = family(name)
        data = rows(task, "en", "train")[:8]
        features = module.encode(
            data, tokenizer, Encode(max_length=70, max_question_length=20), NLI, train=True
        )
        if module.corrupt:
            features = module.corrupt(features, masking, random)
        batches[task] = module.collate(features, tokenizer.pad_token_id)
    alone = several(task="nli", **batches["nli"]).loss
    alone.backward()
    assert several.encoder.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    assert all(w.grad is None for w in several.models["completion"].classifier.parameters())
    several.zero_grad()
    optimiser = torch.optim.AdamW(several.parameters(), lr=3e-3)
    losses = {task: [] for task in batches}
    for _ in range(25):
        for task, batch in batches.items():
            loss = several(task=task, **batch).loss
            losses[task].append(loss.item())
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    for task, values in losses.items():
        assert values[-1] < 0.9 * values[0], (task, values[0], values[-1])


def test_state_of_several_heads_survives_saving(several, tmp_path):
    with torch.no_grad():
        for weight in several.parameters():
            weight.add_(0.01)
    before = {key: w.clone() for key, w in torch.nn.Module.state_dict(several).items()}
    save_file(several.state_dict(), tmp_path / "x.safetensors")
    with torch.no_grad():
        for weight in several.parameters():
            weight.zero_()
    result = several.load_state_dict(load_file(tmp_path / "x.safetensors"), False)
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert same(before, torch.nn.Module.state_dict(several))
    with pytest.raises(KeyError):
        several.load_state_dict({}, False)


def test_initial_weights_depend_only_on_the_seed(tokenizer):
    model = checkpoints.initialise(architecture(), tokenizer, 1)
    torch.rand(3)
    assert same(
        model.state_dict(), checkpoints.initialise(architecture(), tokenizer, 1).state_dict()
    )
    assert not same(
        model.state_dict(), checkpoints.initialise(architecture(), tokenizer, 2).state_dict()
    )
    assert model.config.vocab_size == len(tokenizer) == 200


def test_an_initial_encoder_decoder_has_both_parts(tokenizer):
    small = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    model = checkpoints.initialise({"model_type": "mt5", **small}, tokenizer, 1)
    assert type(model).__name__ == "MT5ForConditionalGeneration"
    assert model.config.pad_token_id == tokenizer.pad_token_id
    with pytest.raises(InputError, match=r"init\.architecture.*num_heads"):
        checkpoints.initialise({"model_type": "mt5", **small, "num_heads": "two"}, tokenizer, 1)


def test_a_misspelt_key_of_an_architecture_is_named(tokenizer):
    with pytest.raises(InputError, match="unknown key 'hiden_size'; did you mean 'hidden_size'"):
        checkpoints.initialise({**architecture(), "hiden_size": 8}, tokenizer, 1)


@pytest.mark.parametrize(
    "wrong",
    [{"model_type": "xlm-robert"}, {"hidden_size": 15}, {"vocab_size": 7}, {"hidden_size": "x"}],
)
def test_an_impossible_architecture_is_reported(tokenizer, wrong):
    with pytest.raises(InputError, match=r"init\.architecture"):
        checkpoints.initialise({**architecture(), **wrong}, tokenizer, 1)


def test_a_tokenizer_is_like_xlmrs_and_reproducible(tmp_path, rows):
    texts = [row["text"] for row in rows("text", "en", "train")]
    trained = checkpoints.train_tokenizer(texts, 150, tmp_path / "a")
    checkpoints.train_tokenizer(texts, 150, tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert len(trained) == 150
    assert trained.convert_ids_to_tokens([0, 1, 2, 3]) == ["<s>", "<pad>", "</s>", "<unk>"]
    assert trained.mask_token_id == 149
    assert trained.unk_token_id not in trained(texts)["input_ids"][0]
    assert trained.decode(trained(texts[0])["input_ids"], skip_special_tokens=True) == texts[0]
    with pytest.raises(InputError, match="no text"):
        checkpoints.train_tokenizer([], 150, tmp_path / "c")


def test_heads_of_one_step_start_from_different_numbers(workspace, monkeypatch):
    from xstilts.stages import train

    class Built(Exception):
        pass

    def stop(model, *args):
        raise Built(model)

    monkeypatch.setattr(train.lora, "adapt", stop)
    step = workspace.step("nli+paraphrase", multitask={"lora": True})
    with pytest.raises(Built) as built:
        train.run(step)
    models = built.value.args[0].models.values()
    first, second = (dict(model.named_parameters())["classifier.dense.weight"] for model in models)
    assert first.shape == second.shape
    assert not torch.equal(first, second)
