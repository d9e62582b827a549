"""XTREME's mock submission, and the averages in its evaluate_test.py."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from xstilts import metrics as m

REAL = os.environ.get("XSTILTS_REAL_DATA")


def read_lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def read_tags(path):
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [block.split("\n") for block in blocks]


def read_pairs(path):
    return [tuple(line.split("\t")) for line in read_lines(path)]


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def read_answers(path):
    return {
        qa["id"]: [answer["text"] for answer in qa["answers"]]
        for article in read_json(path)["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }


def labelled(golds, predictions, language):
    return {"accuracy": m.accuracy(golds, predictions)}


def squad(golds, predictions, language):
    return m.answer_scores(golds, predictions)


def mlqa(golds, predictions, language):
    return m.answer_scores(golds, predictions, partial(m.mlqa_tokens, language=language))


ORACLE = [
    ("pawsx", 7, read_lines, read_lines, labelled, {"accuracy": 51.42857142857143}),
    ("xnli", 15, read_lines, read_lines, labelled, {"accuracy": 30.666666666666668}),
    ("tatoeba", 36, read_lines, read_lines, labelled, {"accuracy": 53.611111111111114}),
    (
        "panx",
        40,
        read_tags,
        read_tags,
        lambda golds, predictions, _: m.span_f1(golds, predictions),
        {"f1": 57.50793650793652, "precision": 54.729166666666664, "recall": 62.75},
    ),
    (
        "udpos",
        33,
        read_tags,
        read_tags,
        lambda golds, predictions, _: m.pos_f1(golds, predictions),
        {"f1": 70.21746048354693, "precision": 71.02232625883823, "recall": 69.54982073976082},
    ),
    (
        "bucc2018",
        4,
        read_pairs,
        read_pairs,
        lambda golds, predictions, _: m.pair_f1(golds, predictions),
        {"f1": 55.0, "precision": 55.0, "recall": 55.0},
    ),
    ("xquad", 11, read_answers, read_json, squad, {"exact_match": 77.2727272727, "f1": 79.9586776}),
    ("mlqa", 7, read_answers, read_json, mlqa, {"exact_match": 57.142857142, "f1": 81.76870748}),
    ("tydiqa", 9, read_answers, read_json, squad, {"exact_match": 88.8888888, "f1": 97.2222222}),
    (
        "mewslix",
        11,
        read_json,
        read_json,
        lambda golds, predictions, _: {"map@20": m.mean_average_precision(golds, predictions)},
        {"map@20": 14.3903},
    ),
]


@pytest.mark.skipif(not REAL, reason="XSTILTS_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("task", "n_languages", "read_golds", "read_predictions", "score", "expected"),
    ORACLE,
    ids=[row[0] for row in ORACLE],
)
def test_averages_of_the_official_mock_submission(
    task, n_languages, read_golds, read_predictions, score, expected
):
    root = Path(REAL) / "xtreme_mock_test_data"
    files = sorted((root / "predictions" / task).iterdir())
    scores = [
        score(
            read_golds(root / "labels" / task / path.name),
            read_predictions(path),
            path.stem.removeprefix("test-"),
        )
        for path in files
    ]
    assert len(scores) == n_languages
    for name, value in expected.items():
        assert sum(s[name] for s in scores) / n_languages == pytest.approx(value, abs=1e-4)
