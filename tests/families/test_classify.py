"""classify: the longer text is truncated first; labels keep their order."""

import numpy as np
import pytest

from xstilts.config.settings import Encode, Predict
from xstilts.families import classify

LABELS = ["entailment", "neutral", "contradiction"]


def row(a: str, b: str = "", label: str = "neutral") -> dict:
    return {"id": "1", "text_a": a, "text_b": b, "label": label}


def texts(feature: dict, tokenizer) -> list[str]:
    """Return the texts between the separators."""
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    found, current = [], []
    for id in feature["input_ids"]:
        if id in specials:
            if current:
                found.append(tokenizer.decode(current).strip())
            current = []
        else:
            current.append(id)
    return found


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_the_longer_text_of_a_pair_is_truncated(tokenizers, kind):
    tokenizer = tokenizers[kind]
    long, short = "the dog " * 40, "the cat"
    for pair in ((long, short), (short, long)):
        (feature,) = classify.encode([row(*pair)], tokenizer, Encode(max_length=30), LABELS, True)
        assert len(feature["input_ids"]) == 30
        found = texts(feature, tokenizer)
        assert len(found) == 2
        assert found[pair.index(short)] == short
        assert long.startswith(found[pair.index(long)])
    if kind == "wordpiece":
        assert set(feature["token_type_ids"]) == {0, 1}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [("both", ["the dog", "the cat"]), ("first", ["the dog"]), ("second", ["the cat"])],
)
def test_the_model_may_see_one_text_of_a_pair(tokenizers, seen, expected):
    tokenizer, settings = tokenizers["sentencepiece"], Encode(texts=seen)
    (feature,) = classify.encode([row("the dog", "the cat")], tokenizer, settings, LABELS, True)
    assert texts(feature, tokenizer) == expected


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_pairs_and_single_sentences_of_the_lab(tokenizers, rows, kind):
    given = rows("nli", "xa", "train")
    tokenizer = tokenizers[kind]
    features = classify.encode(given, tokenizer, Encode(), LABELS, train=True)
    assert [LABELS[f["label"]] for f in features] == [r["label"] for r in given]
    for feature, pair in zip(features, given, strict=True):
        plain = [
            tokenizer.decode(tokenizer(t, add_special_tokens=False)["input_ids"])
            for t in (pair["text_a"], pair["text_b"])
        ]
        assert texts(feature, tokenizer) == [text.strip() for text in plain]
    single = [{**r, "text_b": ""} for r in given]
    for feature in classify.encode(single, tokenizer, Encode(), LABELS, train=False):
        assert len(texts(feature, tokenizer)) == 1
        assert "label" not in feature


def test_decode_returns_a_label_and_a_distribution(rows):
    given = rows("nli", "en", "test")
    logits = [3 * np.eye(3, dtype=np.float32)[LABELS.index(r["label"])] + 500 for r in given]
    found = classify.decode(given, [], logits, LABELS, Predict())
    assert [p["prediction"] for p in found] == [r["label"] for r in given]
    for prediction in found:
        assert list(prediction["scores"]) == LABELS
        assert sum(prediction["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert max(prediction["scores"], key=prediction["scores"].get) == prediction["prediction"]
    assert classify.METRICS["accuracy"](given, found, "en") == 100


def test_labels_are_sorted():
    assert classify.labels([row("a", label=x) for x in "cabca"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("seen", "expected"), [("both", ["the dog", "cat"]), ("second", ["the cat"])]
)
def test_prefix_is_before_the_first_text(tokenizers, seen, expected):
    tokenizer, settings = tokenizers["sentencepiece"], Encode(texts=seen, prefix="the ")
    (feature,) = classify.encode([row("dog", "cat")], tokenizer, settings, LABELS, False)
    assert texts(feature, tokenizer) == expected
