"""Every family with every real class of model, tiny and with tokenizer files as published."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers

from tests.modelling.test_checkpoints import encoder, same
from tests.real_classes import KINDS, TASK, grid, predictions_of, trained
from xstilts import store
from xstilts.config.training import TrainingOptions
from xstilts.errors import InputError
from xstilts.families import family, pad, tag
from xstilts.modelling import checkpoints, inference, packing
from xstilts.recipe import Recipe, parse
from xstilts.stages import predict, train

# heads of the next step: from each family and to each family, for each class of model
NEXT = {
    "classify": ["tag", "mask"],
    "choose": ["answer", "classify"],
    "tag": ["classify", "choose"],
    "answer": ["retrieve", "tag"],
    "retrieve": ["mask", "answer"],
}


@pytest.mark.parametrize("name", ["classify", "choose", "tag", "answer", "retrieve", "mine"])
@pytest.mark.parametrize("model", list(KINDS))
def test_predictions_are_equal_after_saving(published, monkeypatch, model, name):
    predictions = published.predictions(model, Recipe(), TASK[name], 1)
    module, dataset = family(name), predictions.datasets[0]
    rows = store.read_rows(Path(dataset.path))
    before = []

    def inspect(built):
        before[:] = [*predictions_of(built, predictions), encoder(built)]

    if name != "mine":
        trained(predictions.checkpoint, monkeypatch, inspect)
    predict.run(predictions)
    after = store.read_lines(Path(predictions.file(dataset)))
    assert len(after) == len(
        rows if name not in ("retrieve", "mine") else module.asked(rows, predictions.settings)
    )
    if name == "mine":
        return
    *expected, weights = before
    assert after == expected
    # the next step inherits the encoder, with any head
    folder = Path(predictions.checkpoint.path)
    for other in NEXT[name]:
        built = checkpoints.fresh_head(folder, other, ["a", "b"], False, 2)
        assert same(encoder(built), weights), other


@pytest.mark.parametrize("model", list(KINDS))
def test_masked_language_modelling_keeps_its_head(published, monkeypatch, model):
    step = published.trainings.step(model, parse("text"), 1)
    states = []
    trained(step, monkeypatch, lambda built: states.append(dict(built.state_dict())))
    losses = [
        e["loss"] for e in store.read_lines(Path(step.path) / "training.jsonl") if "loss" in e
    ]
    assert losses
    again = checkpoints.fresh_head(Path(step.path), "mask", [], False, 7)
    assert same(again.state_dict(), states[0]), "head and encoder"
    parent = checkpoints.fresh_head(Path(step.parent.path), "mask", [], False, 1)
    assert not same(encoder(parent), encoder(again))


@pytest.mark.parametrize("model", list(KINDS))
def test_several_heads_share_an_encoder(published, monkeypatch, model):
    recipe = "completion+entities+nli+reading+text"
    settings = {"max_steps": 8, "batch_size": 4, "learning_rate": 1e-3}
    several = grid(train=settings, multitask=settings, recipes=[recipe])
    step = several.trainings.step(model, parse(recipe), 1)
    weights = []
    trained(step, monkeypatch, lambda built: weights.append(encoder(built.models["nli"])))
    child = checkpoints.fresh_head(Path(step.path), "tag", ["a", "b"], False, 1)
    assert same(encoder(child), weights[0])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["eurobert", "modernbert", "rembert"])
def test_an_interrupted_training_ends_with_equal_weights(published, monkeypatch, model):
    recipe = "completion+entities+nli+reading+text"
    settings = {"max_steps": 6, "batch_size": 4, "learning_rate": 1e-3}
    several = grid(train=settings, multitask=settings, recipes=[recipe])
    step = several.trainings.step(model, parse(recipe), 2)
    train.run(step)
    expected = checkpoints.load_weights(Path(step.path))
    shutil.rmtree(step.path)

    def die(self, args, state, control, **kwargs):
        if state.global_step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train.Progress, "on_step_end", die)
        with pytest.raises(KeyboardInterrupt):
            train.run(step, TrainingOptions(save_every=2))
    saves = store.SCRATCH / step.id / "trainer"
    assert (saves / "checkpoint-2").exists()
    train.run(step)
    assert same(checkpoints.load_weights(Path(step.path)), expected)


@pytest.mark.parametrize("model", list(KINDS))
def test_a_checkpoint_opens_with_its_encoders_class(published, model):
    step = published.trainings.step(model, parse("nli"), 1)
    if not (Path(step.path) / store.MANIFEST).exists():
        train.run(step)
    built = checkpoints.load_trained(Path(step.path), "classify")
    opened = type(built.base_model).from_pretrained(step.path)
    assert type(opened) is checkpoints.model_class(built.config, "retrieve")
    assert same(encoder(opened), encoder(built))
    if model == "mt5":
        assert type(opened) is transformers.MT5EncoderModel
    else:
        assert type(transformers.AutoModel.from_pretrained(step.path)) is type(opened)
    transformers.AutoTokenizer.from_pretrained(step.path)


def test_mt5s_encoder_is_the_published_one(published):
    root = Path(published.trainings.root("mt5").path)
    own = checkpoints.load_weights(root)
    for name in ("classify", "mask", "retrieve"):
        weights = encoder(checkpoints.fresh_head(root, name, ["a", "b"], False, 1))
        for key, weight in weights.items():
            assert torch.equal(weight, own[key]), key


def test_a_mean_of_tokens_ignores_padding(published):
    root = Path(published.trainings.root("mt5").path)
    for name in ("classify", "choose"):
        model = checkpoints.fresh_head(root, name, ["a", "b"], False, 1).eval()
        ids = torch.tensor([[5, 6, 7, 1]])
        padded = torch.tensor([[5, 6, 7, 1, 0, 0]])
        shape = (1, 1, -1) if name == "choose" else (1, -1)
        with torch.no_grad():
            logits, with_padding = (
                model(input_ids=x.view(shape), attention_mask=(x != 0).long().view(shape)).logits
                for x in (ids, padded)
            )
        torch.testing.assert_close(logits, with_padding)


def test_first_loss_of_a_language_head_is_a_guess(published):
    root = Path(published.trainings.root("mt5").path)
    model = checkpoints.fresh_head(root, "mask", [], False, 1).eval()
    with torch.no_grad():
        model.base_model.get_input_embeddings().weight.mul_(50)
    ids = torch.arange(3, 90).view(3, 29)
    labels = torch.where(ids % 3 == 0, ids, -100)
    with torch.no_grad():
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
    assert loss.item() == pytest.approx(torch.log(torch.tensor(320.0)).item(), abs=1.5)


def test_the_mask_of_t5_is_its_first_sentinel(published):
    folder = Path(published.trainings.root("mt5").path)
    tokenizer = checkpoints.load_tokenizer(folder)
    assert tokenizer.mask_token_id is None
    assert "extra_id_0" in tokenizer.convert_ids_to_tokens(checkpoints.mask_id(tokenizer))
    xlmr = checkpoints.load_tokenizer(Path(published.trainings.root("xlmr").path))
    assert checkpoints.mask_id(xlmr) == xlmr.mask_token_id
    xlmr.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        checkpoints.mask_id(xlmr)


@pytest.mark.parametrize("model", list(KINDS))
def test_a_text_keeps_its_special_tokens(published, model):
    tokenizer = checkpoints.load_tokenizer(Path(published.trainings.root(model).path))
    first = 0 if model == "mt5" else 1
    mask = tokenizer("ab", return_special_tokens_mask=True)["special_tokens_mask"]
    assert (mask[0], mask[-1], sum(mask)) == (first, 1, first + 1)


@pytest.mark.parametrize("model", list(KINDS))
def test_listed_words_have_the_tokens_of_a_text(published, model):
    tokenizer = checkpoints.load_tokenizer(Path(published.trainings.root(model).path))
    words = ["ab", "c", "ab", "dcab"]
    row = {"words": words, "tags": ["X"] * len(words)}
    settings = SimpleNamespace(max_length=64)
    [feature] = tag.encode([row], tokenizer, settings, ["X"], train=True)
    assert feature["input_ids"] == tokenizer(" ".join(words))["input_ids"]
    # a word that begins a later part has the space before it, too
    settings.max_length = max(token for _, token in feature["first"]) + 1
    parts = tag.encode([row], tokenizer, settings, ["X"], train=True)
    assert len(parts) > 1
    text = [token for part in parts for token in part["input_ids"]]
    special = set(tokenizer.all_special_ids)
    assert [t for t in text if t not in special] == [
        t for t in feature["input_ids"] if t not in special
    ]


@pytest.mark.parametrize(("model", "longest"), [("xlmr", 94), ("modernbert", 96), ("mt5", None)])
def test_longest_text_is_that_of_the_positions(published, model, longest):
    folder = Path(published.trainings.root(model).path)
    tokenizer = checkpoints.load_tokenizer(folder)
    checkpoints.check_length(folder, tokenizer, longest or 5000, "step")
    if longest:
        with pytest.raises(InputError, match=f"at most {longest} tokens"):
            checkpoints.check_length(folder, tokenizer, longest + 1, "step")
        tokenizer.model_max_length = 32
        with pytest.raises(InputError, match="at most 32 tokens"):
            checkpoints.check_length(folder, tokenizer, 33, "step")


def test_padding_equal_to_the_last_token_is_ignored(published):
    folder = Path(published.trainings.root("eurobert").path)
    tokenizer = checkpoints.load_tokenizer(folder)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    features = [tokenizer(text) for text in ("ab", "ab cab dab")]
    for name in ("classify", "tag", "answer"):
        model = checkpoints.fresh_head(folder, name, ["a", "b"], False, 1).eval()
        with torch.no_grad():
            alone = model(**pad(features[:1], tokenizer.pad_token_id))[0]
            padded = model(**pad(features, tokenizer.pad_token_id))[0]
        torch.testing.assert_close(padded[:1, : alone.shape[1]], alone)


@pytest.mark.parametrize("model_type", ["mbart", "whisper"])
def test_an_encoder_unusable_alone_is_named(model_type):
    config = transformers.AutoConfig.for_model(model_type)
    with pytest.raises(InputError, match=f"model_type '{model_type}': transformers has no encoder"):
        checkpoints.model_class(config, "classify")


@pytest.mark.parametrize("model", list(KINDS))
def test_layers_above_the_wanted_one_are_not_computed(published, model):
    folder = Path(published.trainings.root(model).path)
    built = checkpoints.load_trained(folder, "mine")
    ids = torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])
    batch = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])}
    with torch.inference_mode():
        complete = built(**batch, output_hidden_states=True).hidden_states
        calls = []
        for layer in packing.layers_of(built):
            layer.register_forward_hook(lambda *_: calls.append(1))
        for number, expected in enumerate(complete):
            calls.clear()
            state = inference.hidden_state(built, number, **batch)["hidden_state"]
            assert torch.equal(state, expected)
            assert len(calls) == number
            negative = inference.hidden_state(built, number - len(complete), **batch)
            assert torch.equal(negative["hidden_state"], expected)
    for layer in (len(complete), -len(complete) - 1):
        with pytest.raises(InputError, match=f"predict.layer is {layer}, .* layers 0 to 2"):
            inference.hidden_state(built, layer, **batch)
