"""mine: the nearest sentence is chosen; of equals, the first."""

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


def test_embeddings_follow_the_pooling():
    output = {"hidden_state": torch.arange(24.0).view(2, 3, 4)}
    batch = {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    mean = mine.outputs(output, batch, Predict())
    assert [vector.tolist() for vector in mean] == [[2, 3, 4, 5], [16, 17, 18, 19]]
    first = mine.outputs(output, batch, Predict(pooling="first"))
    assert [vector.tolist() for vector in first] == [[0, 1, 2, 3], [12, 13, 14, 15]]


def stable_order(values, count):
    """Return the columns of the largest values per row, of equals the first."""
    return np.argsort(-values, axis=1, kind="stable")[:, :count]


@pytest.mark.parametrize("seed", range(12))
def test_of_equals_the_first_for_any_blocks(seed, monkeypatch):
    random = np.random.default_rng(seed)
    queries, index, size = random.integers(1, 40, 3)
    # few whole numbers: products are exact, and most of them are equal
    left, right = (
        random.integers(-1, 2, (count, size)).astype(np.float32) for count in (queries, index)
    )
    count = int(random.integers(1, 8))
    monkeypatch.setitem(mine._BLOCKS, "cpu", tuple(map(int, random.integers(1, 12, 2))))
    (scores, columns), (back_scores, back) = mine.nearest_both(left, right, count)
    products = left @ right.T
    assert (columns == stable_order(products, count)).all()
    assert (back == stable_order(products.T, count)).all()
    assert (scores == np.take_along_axis(products, columns, 1)).all()
    assert (back_scores == np.take_along_axis(products.T, back, 1)).all()
    for found, expected in zip(mine.nearest(left, right, count), (scores, columns), strict=True):
        assert (found == expected).all()


def test_equal_vectors_of_real_size_are_ties():
    random = np.random.default_rng(1)
    index = mine.normalise(random.normal(size=(2500, 1024)).astype(np.float32))
    queries = index[::9].copy()
    index[2100:] = index[:400]  # repeated in another block
    _, columns = mine.nearest(queries, index, 1)
    assert columns[:, 0].tolist()[:200] == list(range(0, 1800, 9))


def test_an_array_is_normalised_in_place():
    vectors = np.array([[3, 4], [0, 2]], np.float32)
    assert mine.normalise(vectors) is vectors
    assert vectors == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))


def test_sentences_of_the_lab(tokenizer, rows):
    given = rows("tatoeba", "xa", "test")
    features = mine.encode(given, tokenizer, Encode(max_length=16), [], train=False)
    assert len(features) == len(given)
    for feature, row in zip(features, given, strict=True):
        whole = tokenizer(row["text"])["input_ids"]
        assert feature["input_ids"] == (whole if len(whole) <= 16 else [*whole[:15], whole[-1]])


def test_prefix_is_before_every_sentence(tokenizers):
    tokenizer = tokenizers["sentencepiece"]
    sentences = [{"text": "dog"}, {"text": "the cat"}]
    prefixed = mine.encode(sentences, tokenizer, Encode(prefix="the "), [], False)
    written = [{"text": f"the {row['text']}"} for row in sentences]
    assert prefixed == mine.encode(written, tokenizer, Encode(), [], False)
