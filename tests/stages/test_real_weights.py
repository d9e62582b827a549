"""Real weights: scores and losses of programs that are independent of this one.

`XSTILTS_REAL_MODEL` names a folder with multilingual-e5-small (117.5 M weights, dequantised from
4 bits), `XSTILTS_REAL_DATA` one with Tatoeba's release. The right counts come from transformers
alone: for Tatoeba the mean over all tokens of the last layer, the nearest sentence by cosine; for
other targets a checkpoint of a few steps, with one text at a time. The file takes six minutes.
"""

import functools
import json
import os
import re
import string
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
import yaml

from xstilts.cli import main
from xstilts.grid.state import open_study
from xstilts.recipe import parse

MODEL, DATA = (os.environ.get(f"XSTILTS_REAL_{name}") for name in ("MODEL", "DATA"))
RIGHT = {"sw": (317, 390), "de": (971, 1000), "zh": (908, 1000)}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (MODEL and DATA),
        reason="needs folders with multilingual-e5-small and Tatoeba's release: "
        "XSTILTS_REAL_MODEL and XSTILTS_REAL_DATA",
    ),
]


PATH = Path("config/studies/real.yaml")
STUDY = {
    "study": "real",
    "models": ["e5"],
    "recipes": ["none"],
    "targets": ["tatoeba"],
    "seeds": [1],
    "data": DATA,
    "rows": "any",
}


def _grid(study: dict, model: str | Path):
    """Write a study of a model in a folder, and return its grid."""
    entry = {"e5": {"local": {"folder": str(model)}}}
    for file, content in ((PATH, study), (Path("config/models/e5.yaml"), entry)):
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(content))
    return open_study(PATH)[0]


@pytest.mark.parametrize("language", RIGHT)
def test_tatoeba_equals_an_independent_program(language, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = STUDY | {"tasks": {"tatoeba": {"languages": [language]}}}
    grid = _grid(study, MODEL)
    artefacts = grid.artefacts()
    for stage, group in (
        ("prepare", artefacts.datasets),
        ("initialise", artefacts.checkpoints),
        ("predict", artefacts.predictions),
        ("score", artefacts.scores),
    ):
        assert main([stage, "--study", str(PATH), *group]) == 0
    (score,) = artefacts.scores.values()
    right, pairs = RIGHT[language]
    accuracy = json.loads(Path(score.path).read_text())["languages"][language]["metrics"][
        "accuracy"
    ]
    assert accuracy == pytest.approx(100 * right / pairs, abs=1e-9)


def _scored(task: str, language: str, steps: int, **settings) -> tuple[Path, dict, list[dict]]:
    """Train a target on English for a few steps; return its folder, scores and predictions."""
    study = STUDY | {
        "targets": [task],
        "tasks": {task: {"languages": list({"en": 1, language: 1}), "examples": 40, **settings}},
        "train": {"max_steps": steps, "batch_size": 8, "learning_rate": 2e-4},
    }
    artefacts = _grid(study, MODEL).artefacts()
    (root,) = (node.id for node in artefacts.checkpoints.values() if not node.parts)
    for stage, ids in (
        ("prepare", artefacts.datasets),
        ("initialise", [root]),
        ("train", [id for id in artefacts.checkpoints if id != root]),
        ("predict", artefacts.predictions),
        ("score", artefacts.scores),
    ):
        assert main([stage, "--study", str(PATH), *ids]) == 0
    (score,) = artefacts.scores.values()
    scores = json.loads(Path(score.path).read_text())["languages"][language]["metrics"]
    (file,) = Path(score.predictions.path).glob(f"{language}.test.*")
    lines = file.read_text().splitlines()
    return Path(score.predictions.checkpoint.path), scores, [json.loads(line) for line in lines]


def _plain_tags(folder: Path, sentences: list[list[str]]) -> list[list[str]]:
    """Tag sentences, one at a time, with torch and transformers alone."""
    import torch
    from transformers import AutoModelForTokenClassification

    (labels,) = json.loads((folder / "manifest.json").read_text())["labels"].values()
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tagged = []
    for words in sentences:
        encoded = _tokenizer(folder)(words, is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            best = model(**encoded).logits[0].argmax(-1).tolist()
        first: dict[int, int] = {}
        for token, word in enumerate(encoded.word_ids()):
            first.setdefault(word, token)
        tagged.append([labels[best[first[number]]] for number in range(len(words))])
    return tagged


@pytest.mark.parametrize(
    ("task", "language", "file", "columns"),
    [
        ("udpos", "ru", "ud/UD_Russian-GSD/ru_gsd-ud-test.conllu", (1, 3)),
        ("panx", "sw", "panx/panx_dataset/sw/test", (0, 1)),
    ],
)
def test_tags_equal_an_independent_program(task, language, file, columns, tmp_path, monkeypatch):
    from seqeval.metrics import f1_score

    monkeypatch.chdir(tmp_path)
    folder, scores, predictions = _scored(task, language, 60)
    word, tag = columns
    sentences = [
        [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        for block in Path(DATA, file).read_text().strip().split("\n\n")
    ][: len(predictions)]
    words = [[row[word].removeprefix(f"{language}:") for row in rows] for rows in sentences]
    golds = [[row[tag] for row in rows] for rows in sentences]
    tags = _plain_tags(folder, words)
    assert tags == [prediction["prediction"] for prediction in predictions]
    if task == "panx":
        assert scores["f1"] == pytest.approx(100 * f1_score(golds, tags), abs=1e-9)
    else:
        pairs = list(zip(chain(*golds), chain(*tags), strict=True))
        right = sum(gold == own for gold, own in pairs)
        assert scores["token_accuracy"] == pytest.approx(100 * right / len(pairs), abs=1e-9)
    assert len(set(chain(*tags))) > 2


def _plain_answer(model, tokenizer, question: str, context: str) -> str:
    """Return the most probable span of at most 30 tokens that fits a window of 384."""
    import torch

    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    (offsets,) = encoded.pop("offset_mapping").tolist()
    assert len(offsets) <= 384
    with torch.inference_mode():
        output = model(**encoded)
    scores = output.start_logits[0][:, None] + output.end_logits[0][None]
    inside = torch.tensor([part == 1 for part in encoded.sequence_ids()])
    inside &= torch.tensor([last > first for first, last in offsets])
    allowed = inside[:, None] & inside[None] & (torch.ones_like(scores).triu().tril(29) > 0)
    start, end = divmod(int(scores.masked_fill(~allowed, -torch.inf).argmax()), len(offsets))
    return context[offsets[start][0] : offsets[end][1]].strip()


def _squad_f1(prediction: str, golds: list[str]) -> float:
    """Return the best F1 of an English answer, as in evaluate-v1.1.py of SQuAD."""

    def words(text: str) -> Counter:
        text = "".join(c for c in text.lower() if c not in string.punctuation)
        return Counter(re.sub(r"\b(a|an|the)\b", " ", text).split())

    pairs = [(words(prediction), words(gold)) for gold in golds]
    return max(2 * (own & gold).total() / max(1, (own + gold).total()) for own, gold in pairs)


def test_answers_equal_an_independent_program(tmp_path, monkeypatch):
    from transformers import AutoModelForQuestionAnswering

    monkeypatch.chdir(tmp_path)
    folder, scores, predictions = _scored("xquad", "en", 12, encode={"max_length": 384})
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    answers = {
        question["id"]: (question, paragraph["context"])
        for article in json.loads(Path(DATA, "xquad/xquad.en.json").read_text())["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
    values = []
    for prediction in predictions:
        question, context = answers[prediction["id"]]
        own = _plain_answer(model, _tokenizer(folder), question["question"].strip(), context)
        assert own == prediction["prediction"]
        values.append(_squad_f1(own, [answer["text"] for answer in question["answers"]]))
    assert scores["f1"] == pytest.approx(100 * sum(values) / len(values), abs=1e-9)
    assert 0 < scores["f1"] < 100


def _without_dropout(folder: Path) -> Path:
    """Write the model without dropout, whose random numbers differ between two programs."""
    folder.mkdir()
    for path in Path(MODEL).iterdir():
        (folder / path.name).symlink_to(path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _plain_losses(folder: Path, rows: list[dict], batches: list[list[int]], head: dict):
    """Train with torch and transformers alone; return the loss of each step."""
    import torch
    from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=3, dtype=torch.float32
    )
    model.load_state_dict(head, strict=False)
    plain = [name for name, _ in model.named_parameters() if "bias" in name or "LayerNorm" in name]
    parameters = dict(model.named_parameters())
    groups = [
        {"params": [parameters[name] for name in plain], "weight_decay": 0.0},
        {"params": [p for name, p in parameters.items() if name not in plain]},
    ]
    optimiser = torch.optim.AdamW(groups, lr=5e-5, eps=1e-8, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimiser, 5, 50)
    losses = []
    for batch in batches:
        encoded = _tokenizer(folder).pad([rows[n]["encoded"] for n in batch], return_tensors="pt")
        loss = model.train()(**encoded, labels=torch.tensor([rows[n]["class"] for n in batch])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


@functools.cache
def _tokenizer(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_losses_equal_a_plain_training(tmp_path, monkeypatch):
    import torch

    from xstilts.stages import initialise, prepare, train

    monkeypatch.chdir(tmp_path)
    folder = _without_dropout(tmp_path / "model")
    study = STUDY | {
        "recipes": ["mnli"],
        "targets": ["xnli"],
        "tasks": {"xnli": {"languages": ["en"]}},
        "encode": {"max_length": 32},
        "train": {"max_steps": 50, "batch_size": 4, "learning_rate": 5e-5},
    }
    grid = _grid(study, folder)
    step = grid.trainings.step("e5", parse("mnli"), 1)
    prepare.run(step.datasets, grid.project)
    initialise.run(step.lineage()[0])
    batches, losses, heads = [], [], []

    def fresh_head(*arguments):
        model = heads_of(*arguments)
        parts = ("classifier", "pooler")
        state = model.state_dict().items()
        heads.append({k: v.clone() for k, v in state if any(part in k for part in parts)})
        return model

    def compute_loss(self, model, inputs, *arguments, **options):
        lengths = inputs["attention_mask"].sum(1).tolist()
        ids = inputs["input_ids"].tolist()
        columns = (ids, lengths, inputs["labels"].tolist())
        batches.append([(*row[:n], label) for row, n, label in zip(*columns, strict=True)])
        loss = loss_of(self, model, inputs, *arguments, **options)
        losses.append(loss.item())
        return loss

    heads_of, loss_of = train.fresh_head, train.StepTrainer.compute_loss
    monkeypatch.setattr(train, "fresh_head", fresh_head)
    monkeypatch.setattr(train.StepTrainer, "compute_loss", compute_loss)
    torch.set_num_threads(1)
    train.run(step)
    classes = ["entailment", "neutral", "contradiction"]
    rows, numbers = [], {}
    for line in Path(DATA, "mnli/glue/MNLI/train.tsv").read_text().split("\n")[1:]:
        if line:
            cells = line.split("\t")
            encoded = _tokenizer(folder)(cells[8], cells[9], truncation=True, max_length=32)
            label = classes.index(cells[11])
            numbers[*encoded["input_ids"], label] = len(rows)
            rows.append({"encoded": dict(encoded), "class": label})
    order = [[numbers[example] for example in batch] for batch in batches]
    assert _plain_losses(folder, rows, order, heads[0]) == pytest.approx(losses, abs=1e-4)
