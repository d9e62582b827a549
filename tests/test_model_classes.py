"""Every family with every real class of model, tiny and with tokenizer files as published."""

import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from tiny_project import STUDY, TASK_OF, TASKS

from xstilts import inference, models, store
from xstilts.config import Project
from xstilts.errors import InputError
from xstilts.families import family, retrieve
from xstilts.recipe import Recipe, parse
from xstilts.stages import fetch, predict, train
from xstilts.study import Grid

SIZES = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 96,
    "initializer_range": 0.2,
}
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.1}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}


@dataclass(frozen=True)
class Kind:
    """A published class: its configuration, its published class and the files of its tokenizer."""

    config: dict
    published: str
    tokenizer: str
    tokenizer_class: str = "AutoTokenizer"


KINDS = {
    "xlmr": Kind({"model_type": "xlm-roberta", **SIZES}, "XLMRobertaForMaskedLM", "xlmr"),
    "xlmr-xl": Kind(
        {"model_type": "xlm-roberta-xl", **SIZES},
        "XLMRobertaXLForMaskedLM",
        "xlmr",
        "XLMRobertaTokenizer",
    ),
    "mt5": Kind({"model_type": "mt5", **T5}, "MT5ForConditionalGeneration", "t5"),
    "mbert": Kind({"model_type": "bert", **SIZES}, "BertForMaskedLM", "wordpiece"),
    "mdeberta": Kind(
        {"model_type": "deberta-v2", **SIZES, **DISENTANGLED}, "DebertaV2ForMaskedLM", "deberta"
    ),
    "minilm": Kind(
        {"model_type": "bert", **SIZES}, "BertForMaskedLM", "xlmr", "XLMRobertaTokenizer"
    ),
    # any other encoder: the library has no class of it for choose and answer
    "eurobert": Kind(
        {"model_type": "eurobert", **SIZES, "pad_token_id": 1, "bos_token_id": 0}
        | {"eos_token_id": 2, "mask_token_id": 4},
        "EuroBertForMaskedLM",
        "xlmr",
        "XLMRobertaTokenizer",
    ),
}
# file name, and what of SentencePiece's own pieces the published models have
SENTENCEPIECE = {
    "xlmr": ("sentencepiece.bpe.model", {}),
    "t5": (
        "spiece.model",
        {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
        | {"user_defined_symbols": ["<extra_id_0>"]},
    ),
    "deberta": (
        "spm.model",
        {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
        | {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
        | {"user_defined_symbols": ["[MASK]"]},
    ),
}
PASSAGES = {"source": "lab", "kind": "passages", "size": 8}
RETRIEVAL = {
    "family": "retrieve",
    "roles": ["intermediate", "target"],
    "languages": ["en"],
    "splits": {"train": PASSAGES, "test": PASSAGES},
    "metrics": ["map_at_20"],
    "encode": {"max_length": 48, "max_question_length": 16},
}
TASK = {**TASK_OF, "retrieve": "passages", "mine": "tatoeba"}


def grid(**study) -> Grid:
    """The tiny project's tasks with every class as a model of the Hub."""
    about = {
        name: {
            "hub": {
                "repository": f"published/{name}",
                "revision": "0" * 40,
                "tokenizer_class": kind.tokenizer_class,
            }
        }
        for name, kind in KINDS.items()
    }
    settings = {"max_steps": 2, "batch_size": 4, "learning_rate": 1e-3}
    study = {**STUDY, "models": list(KINDS), "train": settings, **study}
    tasks = {**TASKS, "passages": RETRIEVAL}
    return Grid(Project.model_validate({"study": study, "tasks": tasks, "models": about}))


def tokenizer_files(folder: Path, form: str, texts: list[str]) -> None:
    """The vocabulary in the form in which models of a class are published."""
    if form == "wordpiece":
        words = " ".join(texts)
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(words.split()))[:60]]
        letters = sorted(set(words) - {" "})
        pieces = dict.fromkeys([*pieces, *letters, *(f"##{letter}" for letter in letters)])
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
        return
    import sentencepiece

    name, options = SENTENCEPIECE[form]
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        vocab_size=120,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (folder / name).write_bytes(trained.getvalue())
    if form == "t5":
        (folder / "tokenizer_config.json").write_text('{"extra_ids": 0}')


def publish(root, texts: list[str]) -> None:
    """Leave a model in the store as `fetch` does of a published one."""
    kind = KINDS[root.model]
    made = store.scratch(root.id)
    tokenizer_files(made, kind.tokenizer, texts)
    config = transformers.AutoConfig.for_model(**kind.config, vocab_size=320)
    torch.manual_seed(1)
    model = getattr(transformers, kind.published)(config)
    state = {key: w.contiguous().clone() for key, w in model.state_dict().items()}
    save_file(state, made / "model.safetensors")  # with what is tied, as many published ones
    config.architectures = [kind.published]
    config.save_pretrained(made)
    fetch._complete_tokenizer(made, root.origin)
    told = {"lineage": [root.id], "pretrained_pooler": False, "labels": {}}
    store.publish(made, Path(root.path), {"id": root.id, **told})


@pytest.fixture(scope="module")
def published(_prepared, tmp_path_factory):
    """A store with the tiny project's data and every class, as working directory."""
    folder = tmp_path_factory.mktemp("classes") / "store"
    shutil.copytree(_prepared, folder)
    back = os.getcwd()
    os.chdir(folder)
    everything = grid()
    text = [
        store.read_rows(Path(everything.dataset("text", x, "train").path)) for x in ("en", "xa")
    ]
    texts = [row["text"] for rows in text for row in rows]
    for model in KINDS:
        publish(everything.root(model), texts)
    questions = [
        {"id": f"q{n}", "question": t, "text": t[:20], "context": t, "matches": [f"a{n}"]}
        for n, t in enumerate(texts[:8])
    ]
    answers = [
        {"id": f"a{n}", "question": "", "text": t[:20], "context": t, "matches": []}
        for n, t in enumerate(texts[:8])
    ]
    for split in ("train", "test"):
        made = store.scratch(split)
        store.write_rows(made / "data.parquet", [*questions, *answers], retrieve.COLUMNS)
        store.publish(made, Path(everything.dataset("passages", "en", split).path), {})
    yield everything
    os.chdir(back)


def trained(step, monkeypatch, look) -> None:
    """Train a step in this process, and show what it has before it is saved to `look`."""
    publish = train._publish

    def looked(step, trainer, *rest):
        look(trainer.model)
        publish(step, trainer, *rest)

    monkeypatch.setattr(train, "_publish", looked)
    train.run(step)


def encoder(model) -> dict[str, torch.Tensor]:
    """The weights of a model's encoder, a pooler left out."""
    state = model.base_model.state_dict()
    return {key: weight.clone() for key, weight in state.items() if not key.startswith("pooler.")}


def equal(one: dict, other: dict) -> bool:
    """Whether two sets of weights are equal, bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["classify", "choose", "tag", "answer", "retrieve", "mine"])
@pytest.mark.parametrize("model", list(KINDS))
def test_a_trained_model_predicts_the_same_after_it_is_saved(published, monkeypatch, model, name):
    found = published.predictions(model, Recipe(), TASK[name], 1)
    module, dataset = family(name), found.datasets[0]
    rows = store.read_rows(Path(dataset.path))
    before = []

    def look(built):
        labels = module.labels(store.read_rows(Path(found.checkpoint.parts[0].train[0].path)))
        tokenizer = models.load_tokenizer(Path(found.checkpoint.parent.path))
        before[:] = inference.predict_rows(
            built, tokenizer, module, rows, labels, found.encode, found.settings
        )
        before.append(encoder(built))

    if name != "mine":
        trained(found.checkpoint, monkeypatch, look)
    predict.run(found)
    after = store.read_lines(Path(found.file(dataset)))
    assert len(after) == len(
        rows if name not in ("retrieve", "mine") else module.asked(rows, found.settings)
    )
    if name == "mine":
        return
    *predictions, weights = before
    assert after == predictions
    # the encoder is the next step's, under whatever head
    folder = Path(found.checkpoint.path)
    for other in ("classify", "choose", "tag", "answer", "mask", "retrieve"):
        built = models.fresh_head(folder, other, ["a", "b"], False, 2)
        assert equal(encoder(built), weights), other


@pytest.mark.parametrize("model", list(KINDS))
def test_masked_language_modelling_goes_on_from_what_was_learnt(published, monkeypatch, model):
    step = published.step(model, parse("text"), 1)
    states = []
    trained(step, monkeypatch, lambda built: states.append(dict(built.state_dict())))
    losses = [
        e["loss"] for e in store.read_lines(Path(step.path) / "training.jsonl") if "loss" in e
    ]
    assert losses
    again = models.fresh_head(Path(step.path), "mask", [], False, 7)
    assert equal(again.state_dict(), states[0]), "head and encoder"
    parent = models.fresh_head(Path(step.parent.path), "mask", [], False, 1)
    assert not equal(encoder(parent), encoder(again))


@pytest.mark.parametrize("model", list(KINDS))
def test_several_heads_share_an_encoder(published, monkeypatch, model):
    recipe = "completion+entities+nli+reading+text"
    settings = {"max_steps": 8, "batch_size": 4, "learning_rate": 1e-3}
    several = grid(train=settings, multitask=settings, recipes=[recipe])
    step = several.step(model, parse(recipe), 1)
    weights = []
    trained(step, monkeypatch, lambda built: weights.append(encoder(built.models["nli"])))
    child = models.fresh_head(Path(step.path), "tag", ["a", "b"], False, 1)
    assert equal(encoder(child), weights[0])


@pytest.mark.parametrize("model", list(KINDS))
def test_a_checkpoint_opens_with_the_class_of_its_encoder(published, model):
    step = published.step(model, parse("nli"), 1)
    if not (Path(step.path) / store.MANIFEST).exists():
        train.run(step)
    built = models.load_trained(Path(step.path), "classify")
    opened = type(built.base_model).from_pretrained(step.path)
    assert type(opened) is models.model_class(built.config, "retrieve")
    assert equal(encoder(opened), encoder(built))
    if model == "mt5":
        assert type(opened) is transformers.MT5EncoderModel
    else:
        assert type(transformers.AutoModel.from_pretrained(step.path)) is type(opened)
    transformers.AutoTokenizer.from_pretrained(step.path)


def test_mt5s_encoder_is_the_published_one(published):
    root = Path(published.root("mt5").path)
    own = models.load_weights(root)
    for name in ("classify", "mask", "retrieve"):
        weights = encoder(models.fresh_head(root, name, ["a", "b"], False, 1))
        for key, weight in weights.items():
            assert torch.equal(weight, own[key]), key


def test_a_mean_of_tokens_does_not_see_the_padding(published):
    root = Path(published.root("mt5").path)
    for name in ("classify", "choose"):
        model = models.fresh_head(root, name, ["a", "b"], False, 1).eval()
        ids = torch.tensor([[5, 6, 7, 1]])
        padded = torch.tensor([[5, 6, 7, 1, 0, 0]])
        shape = (1, 1, -1) if name == "choose" else (1, -1)
        with torch.no_grad():
            one, other = (
                model(input_ids=x.view(shape), attention_mask=(x != 0).long().view(shape)).logits
                for x in (ids, padded)
            )
        torch.testing.assert_close(one, other)


def test_the_first_loss_of_a_language_head_is_that_of_a_guess(published):
    root = Path(published.root("mt5").path)
    model = models.fresh_head(root, "mask", [], False, 1).eval()
    with torch.no_grad():
        model.base_model.get_input_embeddings().weight.mul_(50)
    ids = torch.arange(3, 90).view(3, 29)
    labels = torch.where(ids % 3 == 0, ids, -100)
    with torch.no_grad():
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
    assert loss.item() == pytest.approx(torch.log(torch.tensor(320.0)).item(), abs=1.5)


def test_the_mask_of_t5_is_its_first_sentinel(published):
    folder = Path(published.root("mt5").path)
    tokenizer = models.load_tokenizer(folder)
    assert tokenizer.mask_token_id is None
    assert "extra_id_0" in tokenizer.convert_ids_to_tokens(models.mask_id(tokenizer))
    xlmr = models.load_tokenizer(Path(published.root("xlmr").path))
    assert models.mask_id(xlmr) == xlmr.mask_token_id
    xlmr.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        models.mask_id(xlmr)


@pytest.mark.parametrize("model_type", ["mbart", "whisper"])
def test_an_encoder_that_cannot_be_used_alone_is_named(model_type):
    config = transformers.AutoConfig.for_model(model_type)
    with pytest.raises(InputError, match=f"model_type '{model_type}': transformers has no encoder"):
        models.model_class(config, "classify")
