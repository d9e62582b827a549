"""retrieve: XQuAD-R's rows, the loss, rankings, and a complete training."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.tiny_project import make_files_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.families import family, retrieve
from xstilts.modelling.checkpoints import Multitask, fresh_head
from xstilts.sources.files import locate, read
from xstilts.stages import predict, prepare, score

REAL = Path(os.environ.get("XSTILTS_REAL_DATA", "absent"))
ENCODE = SimpleNamespace(max_length=48, max_question_length=16)


def squad_file(path, contexts, breaks=True):
    """Write a file with a question for each context of two sentences, `a. B.`"""
    paragraphs = []
    for number, context in enumerate(contexts):
        middle = context.index(". ") + 1
        answer = context[middle + 1 : -1]
        question = {
            "id": f"q{number}",
            "question": f"which {answer}?",
            "answers": [{"text": answer, "answer_start": middle + 1}],
        }
        paragraph = {"context": context, "qas": [question]}
        if breaks:
            paragraph["sentence_breaks"] = [[0, middle], [middle + 1, len(context)]]
        paragraphs.append(paragraph)
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return path


@pytest.fixture
def pool(tmp_path, rows):
    """XQuAD-R in two languages, in words that the small tokenizer knows."""
    known = {word for row in rows("text", "en", "train") for word in row["text"].split()}
    words = [word for word in sorted(known) if word.isalpha()][-6:]
    for language in ("en", "xa"):
        contexts = [f"First {word}. {word} {language}." for word in words]
        squad_file(tmp_path / f"{language}.json", contexts)
    return tmp_path


def test_questions_match_sentences_of_all_languages(pool):
    rows = read("passages", locate("*.json", pool, "xa"), "xa").rows
    questions = [row for row in rows if row["question"]]
    texts = {row["id"]: row["text"] for row in rows if not row["question"]}
    assert len(questions) == 6
    assert len(texts) == 2 * 6 * 2
    for row in questions:
        english, other = [texts[id] for id in row["matches"]]
        assert other == english.replace(" en.", " xa.") == row["text"]
        assert other.removesuffix(".") in row["question"]


def test_squad_is_split_into_sentences(tmp_path):
    path = squad_file(tmp_path / "train.json", ["One of 3.5 m. Two here.", "A b! C? D. E."], False)
    rows = read("passages", [path], "en", candidates=False).rows
    assert [row["text"].strip() for row in rows] == ["Two here.", "E."]


def test_a_missing_language_is_named(pool):
    with pytest.raises(InputError, match=r"expected a file de\.json"):
        read("passages", locate("*.json", pool, "de"), "de")


def test_equal_answers_are_not_negatives(root):
    model = fresh_head(root("xlmr"), "retrieve", [], False, 1)
    ids = torch.tensor([[5, 6], [7, 8], [9, 10]])

    def loss(answers, groups):
        inputs = torch.cat([ids, answers])
        return model(
            input_ids=inputs, attention_mask=torch.ones_like(inputs), groups=torch.tensor(groups)
        )["loss"].item()

    model.eval()
    assert loss(ids, [0, 1, 2]) < loss(ids.roll(1, 0), [0, 1, 2])
    same = ids[[0, 0, 0]]
    assert loss(same, [0, 0, 0]) == pytest.approx(0, abs=1e-5)
    assert loss(same, [0, 1, 2]) == pytest.approx(np.log(3), abs=1e-3)


def test_candidates_are_ranked_by_cosine():
    rows = [{"id": "q", "question": "?", "matches": ["c1", "c2"]}]
    rows += [{"id": f"c{n}", "question": "", "matches": []} for n in range(3)]
    vectors = np.array([[1, 0], [0.5, 0.5], [2, 0.1], [-1, 0]], np.float32)
    [found] = retrieve.decode(rows, [], list(vectors), [], None)
    assert found == {"id": "q", "prediction": ["c1", "c0", "c2"]}
    expected = 100 * (1 / 1 + 2 / 3) / 2
    assert retrieve.METRICS["map_at_20"](rows, [found], "en") == pytest.approx(expected)


def test_retrieval_shares_no_step_with_other_tasks(root):
    heads = {
        "nli": fresh_head(root("xlmr"), "classify", ["a", "b"], False, 1),
        "lareqa": fresh_head(root("xlmr"), "retrieve", [], False, 1),
    }
    with pytest.raises(InputError, match="lareqa has no head"):
        Multitask(heads)


def test_a_trained_model_knows_its_training_data(workspace, pool):
    def split(path, **options):
        return {"source": "files", "format": "passages", "path": path, "options": options}

    task = {
        "family": "retrieve",
        "roles": ["target"],
        "languages": ["en", "xa"],
        "splits": {"train": split("en.json", candidates=False), "test": split("*.json")},
        "metrics": ["map_at_20"],
        "encode": {"max_length": 48, "max_question_length": 16},
        "train": {"max_steps": 60, "batch_size": 6, "learning_rate": 3e-3},
    }
    grid = make_files_grid(pool, {"lareqa": task}, train={})
    [wanted] = grid.scores()
    step = wanted.predictions.checkpoint
    prepare.run([*step.datasets, *wanted.predictions.datasets], grid.project)
    workspace.train(step, micro_batch=2)
    losses = [
        e["loss"] for e in store.read_lines(Path(step.path) / "training.jsonl") if "loss" in e
    ]
    assert losses[-1] < 0.5 * losses[0]
    predict.run(wanted.predictions)
    score.run(wanted)
    found = store.read_json(Path(wanted.path))
    assert found["languages"]["en"]["n"] == 6
    assert found["languages"]["en"]["metrics"]["map_at_20"] > 20


def mention(id, word, language="en"):
    """Return (context, mention) of a text that names an entity."""
    text = f"First one. Here {word} is named."
    start = text.index(word)
    return (
        {
            "language": language,
            "text": text,
            "sentence_spans": [{"start": 0, "end": 10}, {"start": 11, "end": len(text)}],
        },
        {
            "example_id": id,
            "entity_id": f"Q-{word}",
            "mention_span": {"start": start, "end": start + len(word), "text": word},
        },
    )


def entity(word):
    return {"entity_id": f"Q-{word}", "description": f"{word} is {word}."}


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def news(tmp_path, rows):
    """A Mewsli-X in two languages, in words that the small tokenizer knows."""
    known = {word for row in rows("text", "en", "train") for word in row["text"].split()}
    words = [word for word in sorted(known) if word.isalpha()][-8:]
    for split in ("train", "dev"):
        found = [(entity(word), *mention(f"{split}-{word}", word)) for word in words[:6]]
        pairs = [
            {"contextual_mention": {"context": context, "mention": one}, "entity": described}
            for described, context, one in found
        ]
        write_jsonl(tmp_path / f"{split}.jsonl", pairs)
    texts = [mention(f"{code}-{word}", word, code) for code in ("en", "xa") for word in words]
    write_jsonl(tmp_path / "test.jsonl", [{"context": c, "mentions": [m]} for c, m in texts])
    write_jsonl(tmp_path / "entities.jsonl", map(entity, words))
    return tmp_path


def mewslix(folder):
    """Return the grid of a study with Mewsli-X as its only target."""

    def split(format, path, **options):
        return {"source": "files", "format": format, "path": path, "options": options}

    task = {
        "family": "retrieve",
        "roles": ["target"],
        "languages": ["en", "xa"],
        "splits": {
            "train": split("mewslix-pairs", "train.jsonl"),
            "validation": split("mewslix-pairs", "dev.jsonl", candidates=True),
            "test": split("mewslix", "test.jsonl"),
            "candidates": split("mewslix-entities", "entities.jsonl"),
        },
        "metrics": ["map_at_20"],
        "encode": {"max_length": 32, "max_question_length": 32},
        "train": {"max_steps": 2, "batch_size": 6},
    }
    return make_files_grid(folder, {"mewslix": task}, train={})


def test_shared_candidates_are_embedded_once(workspace, news, monkeypatch):
    from xstilts.modelling import inference
    from xstilts.xtreme import export, score_files

    grid = mewslix(news)
    [wanted] = grid.scores()
    step, predictions = wanted.predictions.checkpoint, wanted.predictions
    prepare.run([*step.datasets, *predictions.datasets], grid.project)
    sizes = {d.split: len(store.read_rows(Path(d.path))) for d in predictions.datasets}
    assert sizes == {"validation": 12, "test": 8, "candidates": 8}
    assert [d.language for d in predictions.datasets if d.split == "candidates"] == ["en"]
    workspace.train(step, micro_batch=2)

    encoded = []

    def count(rows, *others, **named):
        encoded.append([row["id"] for row in rows])
        return encode(rows, *others, **named)

    encode = retrieve.encode
    counting = replace(family("retrieve"), encode=count)
    monkeypatch.setattr(predict, "family", lambda name: counting)
    monkeypatch.setattr(inference, "ROWS_PER_BLOCK", 10)
    predict.run(predictions)
    assert [len(block) for block in encoded] == [10, 2, 10, 10, 4]  # validation; tests, candidates
    assert sum(id.startswith("Q-") for block in encoded[2:] for id in block) == 8
    assert all(Path(file).exists() for file in predictions.files)
    assert len(predictions.files) == 3

    blocks = {file: Path(file).read_bytes() for file in predictions.files}
    for path in map(Path, predictions.files):
        path.unlink()
    monkeypatch.setattr(inference, "ROWS_PER_BLOCK", 100)
    predict.run(predictions)
    for file, before in blocks.items():
        found = store.read_lines(Path(file))
        assert [len(row["prediction"]) for row in found] == [
            6 if "validation" in file else 8
        ] * len(found)
        assert Path(file).read_bytes() == before, file

    score.run(wanted)
    result = store.read_json(Path(wanted.path))
    assert {code: entry["n"] for code, entry in result["languages"].items()} == {"en": 8, "xa": 8}
    assert result["validation"]["n"] == 6
    for path in export(grid, "xlmr", "none", 1, news / "out"):
        language = path.stem.removeprefix("test-")
        gold = news / f"{language}.json"
        lines = [json.loads(line) for line in (news / "test.jsonl").read_text().splitlines()]
        asked = [line for line in lines if line["context"]["language"] == language]
        mentions = [one for line in asked for one in line["mentions"]]
        gold.write_text(json.dumps({one["example_id"]: [one["entity_id"]] for one in mentions}))
        expected = result["languages"][language]["metrics"]["map_at_20"]
        assert score_files("mewslix", language, path, gold) == {"map@20": pytest.approx(expected)}


def test_candidates_are_part_of_the_identity(workspace, news):
    [before] = mewslix(news).scores()
    lines = (news / "entities.jsonl").read_text().splitlines(keepends=True)
    (news / "entities.jsonl").write_text("".join(lines[:-1]))
    grid = mewslix(news)
    [wanted] = grid.scores()
    step = wanted.predictions.checkpoint
    assert step.id == before.predictions.checkpoint.id
    assert wanted.predictions.id != before.predictions.id
    prepare.run([*step.datasets, *wanted.predictions.datasets], grid.project)
    workspace.train(step, micro_batch=2)
    with pytest.raises(
        InputError, match=r"example 'en-\w+' has the right candidate 'Q-\w+', which"
    ):
        predict.run(wanted.predictions)


def test_only_retrieve_has_candidates_of_its_own(root):
    from xstilts.config.schema import Task

    split = {"source": "files", "format": "tatoeba", "path": "x"}
    with pytest.raises(ValueError, match="candidates: not for family mine, only retrieve"):
        Task(family="mine", roles=["target"], languages=["de"], splits={"candidates": split})


@pytest.mark.skipif(not REAL.is_dir(), reason="XSTILTS_REAL_DATA is not set")
def test_xquad_r():
    rows = read("passages", locate("lareqa/xquad-r/*.json", REAL, "de"), "de").rows
    questions = [row for row in rows if row["question"]]
    candidates = {row["id"]: row for row in rows if not row["question"]}
    assert len(questions) == 322
    assert {len(row["matches"]) for row in questions} == {11}
    languages = [{id.split("-")[0] for id in row["matches"]} for row in questions]
    assert all(len(found) == 11 for found in languages)
    assert all(id in candidates for row in questions for id in row["matches"])
    squad = read("passages", locate("squad/train-v1.1.json", REAL, "en"), "en", candidates=False)
    assert len(squad.rows) == 2069
    assert 60 < np.mean([len(row["text"]) for row in squad.rows]) < 250
