"""Every real class of model, tiny and with tokenizer files as published, in a results store."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from tests.tiny_project import STUDY, TASK_OF, TASKS
from xstilts import store
from xstilts.config.project import Project
from xstilts.families import family, retrieve
from xstilts.grid.grid import Grid
from xstilts.modelling import checkpoints, inference
from xstilts.sources import models
from xstilts.stages import train

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
    """A published model: its configuration, its class and the files of its tokenizer."""

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
    # the library has no class of it for choose and answer; padded with the last token of a text
    "eurobert": Kind(
        {"model_type": "eurobert", **SIZES, "bos_token_id": 0, "eos_token_id": 1}
        | {"pad_token_id": 1, "mask_token_id": 2},
        "EuroBertForMaskedLM",
        "llama",
    ),
    # mmBERT: its configuration names one token as first and last, and its tokenizer another
    "modernbert": Kind(
        {"model_type": "modernbert", **SIZES, "local_attention": 8, "classifier_pooling": "mean"}
        | {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1, "cls_token_id": 1}
        | {"sep_token_id": 1},
        "ModernBertForMaskedLM",
        "gemma",
    ),
    "rembert": Kind(
        {"model_type": "rembert", **SIZES, "input_embedding_size": 16, "output_embedding_size": 48},
        "RemBertForMaskedLM",
        "rembert",
    ),
}
# file name, and options for the special pieces of the published models
SENTENCEPIECE = {
    "xlmr": ("sentencepiece.bpe.model", {}),
    "t5": (
        "spiece.model",
        {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
        | {"user_defined_symbols": ["<extra_id_0>", "1", "2", "3", "4"]},
    ),
    "deberta": (
        "spm.model",
        {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
        | {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
        | {"user_defined_symbols": ["[MASK]"]},
    ),
    "rembert": (
        "sentencepiece.model",
        {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "pad_piece": "<pad>"}
        | {"bos_piece": "[CLS]", "eos_piece": "[SEP]", "user_defined_symbols": ["[MASK]"]},
    ),
}
# special tokens in order; the first and the last of a text, and other roles
BPE = {
    "llama": (
        ["<|begin_of_text|>", "<|end_of_text|>", "<|mask|>"],
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
        | {"pad_token": "<|end_of_text|>", "mask_token": "<|mask|>"},
    ),
    "gemma": (
        ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"],
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
        | {"mask_token": "<mask>", "cls_token": "<bos>", "sep_token": "<eos>"},
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


def grid(form: str = "heads", **study) -> Grid:
    """Return a grid of the tiny project's tasks with every class as a model of the Hub."""
    about = {
        name: {
            "hub": {
                "repository": f"published/{name}",
                "revision": "0" * 40,
                "tokenizer_class": kind.tokenizer_class,
            },
            "form": form,
        }
        for name, kind in KINDS.items()
    }
    settings = {"max_steps": 2, "batch_size": 4, "learning_rate": 1e-3}
    study = {**STUDY, "models": list(KINDS), "train": settings, **study}
    tasks = {**TASKS, "passages": RETRIEVAL}
    return Grid(Project.model_validate({"study": study, "tasks": tasks, "models": about}))


def tokenizer_files(folder: Path, form: str, texts: list[str]) -> None:
    """Write the vocabulary in the form in which models of a class are published."""
    if form == "wordpiece":
        words = " ".join(texts)
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(words.split()))[:60]]
        letters = sorted(set(words) - {" "})
        pieces = dict.fromkeys([*pieces, *letters, *(f"##{letter}" for letter in letters)])
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
        return
    if form in BPE:
        bpe_files(folder, form, texts)
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


def bpe_files(folder: Path, form: str, texts: list[str]) -> None:
    """Write a tokenizer that marks a word by the space before it, so not at the start of a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    specials, roles = BPE[form]
    tokenizer = Tokenizer(models.BPE(unk_token=roles.get("unk_token")))
    alphabet = []
    if form == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"special_tokens": specials, "initial_alphabet": alphabet, "show_progress": False}
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=300, **options))
    first, last = roles["bos_token"], roles["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


def publish(root, texts: list[str]) -> None:
    """Publish a model in the results store, as `fetch` does."""
    kind = KINDS[root.model]
    made = store.scratch(root.id)
    tokenizer_files(made, kind.tokenizer, texts)
    config = transformers.AutoConfig.for_model(**kind.config, vocab_size=320)
    torch.manual_seed(1)
    model = getattr(transformers, kind.published)(config)
    state = {key: w.contiguous().clone() for key, w in model.state_dict().items()}
    if kind.tokenizer == "t5":
        state["lm_head.weight"] *= 0.5  # mT5's head is not its embeddings
    save_file(state, made / "model.safetensors")  # with tied weights, as many published models
    config.architectures = [kind.published]
    config.save_pretrained(made)
    models.complete_tokenizer(made, f"model {root.model}", root.origin.tokenizer_class)
    fields = {"lineage": [root.id], "pretrained_pooler": False, "labels": {}}
    store.CheckpointManifest.publish(made, Path(root.path), content={}, **fields)


def fill(project: Grid, models: Iterable[str] = KINDS) -> None:
    """Publish models of the given classes, and retrieval data, in the results store."""
    text = [
        store.read_rows(Path(project.data.dataset("text", x, "train").path)) for x in ("en", "xa")
    ]
    texts = [row["text"] for rows in text for row in rows]
    for model in models:
        publish(project.trainings.root(model), texts)
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
        folder = Path(project.data.dataset("passages", "en", split).path)
        store.DatasetManifest.publish(made, folder, content={}, rows=16)


def trained(step, monkeypatch, inspect) -> None:
    """Train a step in this process, and call `inspect` with the model before it is saved."""
    publish = train.publish

    def inspected(trainer, *rest):
        inspect(trainer.model)
        publish(trainer, *rest)

    monkeypatch.setattr(train, "publish", inspected)
    train.run(step)


def predictions_of(built, predictions) -> list[dict]:
    """Return what a model in memory predicts for the first dataset of `predictions`."""
    module, step = family(predictions.family), predictions.checkpoint
    labels = module.labels(store.read_rows(Path(step.parts[0].train[0].path)))
    tokenizer = checkpoints.load_tokenizer(Path(step.parent.path))
    rows = store.read_rows(Path(predictions.datasets[0].path))
    return inference.predict_rows(
        built, tokenizer, module, rows, labels, predictions.encode, predictions.settings
    )
