"""tag: no word is lost, and every tag is at its word's first token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.config.settings import Encode, Predict
from xstilts.families import IGNORED, tag

KINDS = ["sentencepiece", "nfkc", "wordpiece"]
TAGS = ["B-X", "I-X", "O"]
odd = st.sampled_from(["ﷺ", "日本語", "\u200b", "\u3000", "…", "½", "x" * 60, "'", "é", "\x07"])
words = st.lists(odd | st.text("abcde", min_size=1, max_size=9), min_size=1, max_size=40)


def row(words: list[str], seed: int = 0) -> dict:
    found = np.random.default_rng(seed).choice(TAGS, len(words)).tolist()
    return {"id": str(seed), "words": words, "tags": found}


def tokens_of_words(words: list[str], tokenizer) -> dict[int, list[int]]:
    """Return the token ids of each word on its own; without any, the unknown token."""
    found = {}
    for number, word in enumerate(words):
        encoding = tokenizer([word], is_split_into_words=True, add_special_tokens=False)
        found[number] = encoding["input_ids"] or [tokenizer.unk_token_id]
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(sentences=st.lists(words, min_size=1, max_size=4), max_length=st.sampled_from([8, 12, 30]))
def test_every_word_is_in_one_feature(tokenizers, kind, sentences, max_length):
    tokenizer = tokenizers[kind]
    rows = [row(words, number) for number, words in enumerate(sentences)]
    features = tag.encode(rows, tokenizer, Encode(max_length=max_length), TAGS, train=True)
    seen = {}
    for feature in features:
        assert len(feature["input_ids"]) == len(feature["labels"]) <= max_length
        for word, token in feature["first"]:
            key = (feature["row"], feature["start"] + word)
            assert key not in seen
            seen[key] = feature["input_ids"][token]
            wanted = rows[key[0]]["tags"][key[1]]
            assert TAGS[feature["labels"][token]] == wanted
        labelled = [i for i, label in enumerate(feature["labels"]) if label != IGNORED]
        assert labelled == [token for _, token in feature["first"]]
        assert labelled, "else the loss is not a number"
    expected = {
        (number, word): ids[0]
        for number, given in enumerate(rows)
        for word, ids in tokens_of_words(given["words"], tokenizer).items()
    }
    assert seen == expected


@pytest.mark.parametrize("kind", KINDS)
def test_decode_returns_every_tag_to_its_word(tokenizers, rows, kind):
    given = rows("entities", "xa", "train")
    given = [{**given[0], "words": given[0]["words"] * 9, "tags": given[0]["tags"] * 9}, *given]
    labels = tag.labels(given)
    for max_length in (8, 16, 128):
        features = tag.encode(given, tokenizers[kind], Encode(max_length=max_length), labels, True)
        assert len(features) > len(given) or max_length == 128
        found = tag.decode(given, features, [f["labels"] for f in features], labels, Predict())
        assert [p["prediction"] for p in found] == [r["tags"] for r in given]
        assert [p["id"] for p in found] == [r["id"] for r in given]
    for metric in ("f1", "precision", "recall", "token_accuracy"):
        assert tag.METRICS[metric](given, found, "xa") == 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["\u200b", "\u200d", "\ufeff", "\u200e", "\u00a0", "\u3000"])
def test_words_without_a_sub_word_are_tagged_by_the_model(tokenizers, kind, word):
    tokenizer = tokenizers[kind]
    for words in (["a", word, "b"], [word], [word, word]):
        [example] = [{"id": "1", "words": words, "tags": ["B-X"] * len(words)}]
        [feature] = tag.encode([example], tokenizer, Encode(), TAGS, train=True)
        assert [word for word, _ in feature["first"]] == list(range(len(words))), "trained on"
        bare = tokenizer([word], is_split_into_words=True, add_special_tokens=False)["input_ids"]
        token = feature["input_ids"][feature["first"][len(words) // 2][1]]
        assert token == (bare or [tokenizer.unk_token_id])[0]
        best = [np.zeros(9, int)]
        [found] = tag.decode([example], [feature], best, TAGS, Predict())
        assert found["prediction"] == ["B-X"] * len(words)


def test_padding_is_ignored_by_the_loss(tokenizer):
    given = [row(["a"], 1), row(["b", "c", "d"], 2)]
    assert tag.labels(given) == sorted({t for r in given for t in r["tags"]})
    features = tag.encode(given, tokenizer, Encode(), TAGS, train=True)
    batch = tag.collate(features, tokenizer.pad_token_id)
    length = len(features[0]["input_ids"])
    assert (batch["labels"][0, length:] == IGNORED).all()
    assert (batch["input_ids"][0, length:] == tokenizer.pad_token_id).all()
    assert batch["attention_mask"].sum(1).tolist() == [len(f["input_ids"]) for f in features]
