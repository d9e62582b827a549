"""mine: the nearest sentence is chosen; of equals, the first."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xstilts.config.settings import Encode, Predict
from xstilts.families import mine


def pairs(count: int, distractors: int = 0) -> list[dict]:
    """Return English sentences and, in another order, their translations and distractors."""
    english = [
        {"id": f"e{i}", "side": "english", "text": f"e{i}", "match": f"f{i}"} for i in range(count)
    ]
    foreign = [
        {"id": f"f{i}", "side": "foreign", "text": f"f{i}", "match": f"e{i}"} for i in range(count)
    ]
    others = [
        {"id": f"d{i}", "side": "foreign", "text": "", "match": ""} for i in range(distractors)
    ]
    return [*english[::2], *others, *foreign[::-1], *english[1::2]]


def embeddings(rows: list[dict], noise: float = 0.0) -> list[np.ndarray]:
    """Return a vector of any length in the direction of the pair."""
    random = np.random.default_rng(1)
    found = []
    for row in rows:
        vector = np.zeros(3000, np.float32)
        axis = int(row["id"][1:]) + (1500 if row["id"][0] == "d" else 0)
        vector[axis] = random.uniform(0.1, 9)
        found.append(vector + noise * random.normal(size=3000).astype(np.float32))
    return found


@pytest.mark.parametrize("count", [1, 7, 1100])  # the last in two blocks
def test_every_translation_is_found(count):
    given = pairs(count, distractors=5)
    found = mine.decode(given, [], embeddings(given), [], Predict())
    assert [p["id"] for p in found] == [r["id"] for r in given if r["side"] == "english"]
    assert {p["id"]: p["prediction"] for p in found} == {f"e{i}": f"f{i}" for i in range(count)}
    assert {p["score"] for p in found} == {1.0}
    assert mine.METRICS["accuracy"](given, found, "xa") == 100
    found[0]["prediction"] = "d0"
    assert mine.METRICS["accuracy"](given, found, "xa") == pytest.approx(100 * (count - 1) / count)


def test_the_first_of_equals_is_chosen(tmp_path):
    given = pairs(3)
    same = [np.ones(4, np.float32)] * len(given)
    found = mine.decode(given, [], same, [], Predict())
    assert {p["prediction"] for p in found} == {"f2"}, "the first of the foreign side"


def test_embeddings_follow_layer_and_pooling(tokenizer):
    hidden = [torch.full((2, 3, 4), float(layer)) for layer in range(3)]
    hidden[1][0] = torch.arange(12.0).view(3, 4)
    batch = {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    output = SimpleNamespace(hidden_states=hidden)
    first, second = mine.outputs(output, batch, Predict(layer=1))
    assert first.tolist() == [2, 3, 4, 5]
    assert second.tolist() == [1, 1, 1, 1]
    assert mine.outputs(output, batch, Predict())[0].tolist() == [2] * 4
    of_first = mine.outputs(output, batch, Predict(layer=1, pooling="first"))
    assert [vector.tolist() for vector in of_first] == [[0, 1, 2, 3], [1, 1, 1, 1]]


def test_sentences_of_the_lab(tokenizer, rows):
    given = rows("tatoeba", "xa", "test")
    features = mine.encode(given, tokenizer, Encode(max_length=16), [], train=False)
    assert len(features) == len(given)
    for feature, row in zip(features, given, strict=True):
        whole = tokenizer(row["text"])["input_ids"]
        assert feature["input_ids"] == (whole if len(whole) <= 16 else [*whole[:15], whole[-1]])
