"""answer: spans come back as text, wherever windows split the context."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.config.settings import Encode, Predict
from xstilts.errors import InputError
from xstilts.families import answer
from xstilts.modelling import checkpoints

KINDS = ["sentencepiece", "nfkc", "wordpiece"]
JAPANESE = "日本の首都は東京です。人口は約千四百万人で、世界最大の都市圏の一つである。"
THAI = "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทยมีประชากรมากที่สุด"
NARROW = Encode(max_length=24, max_question_length=8, stride=6)
lists = st.lists(st.text("abcde", min_size=1, max_size=6), min_size=1, max_size=40)


def windows(rows, tokenizer, encode: Encode) -> list[dict]:
    """Return the features of training, which have the answers, with those of prediction."""
    pairs = [answer.encode(rows, tokenizer, encode, [], train) for train in (True, False)]
    return [labelled | read for labelled, read in zip(*pairs, strict=True)]


def oracle(features: list[dict]) -> list[tuple]:
    """Return the logits of a model that knows the answers."""
    found = []
    for feature in features:
        start, end = np.zeros((2, len(feature["input_ids"])), np.float32)
        start[feature["start"]] = end[feature["end"]] = 10
        found.append((start, end))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encode", [NARROW, Encode(max_length=256)])
def test_answers_of_the_lab_come_back(tokenizers, rows, kind, encode):
    given = rows("reading", "xa", "test")
    if encode is NARROW:  # the answer must fit into what two windows share
        encode = Encode(max_length=48, max_question_length=8, stride=20)
    features = windows(given, tokenizers[kind], encode)
    assert all(len(f["input_ids"]) <= encode.max_length for f in features)
    found = answer.decode(given, features, oracle(features), [], Predict())
    assert [p["prediction"] for p in found] == [r["answers"][0] for r in given]
    for metric in ("f1", "exact_match", "mlqa_f1", "mlqa_exact_match"):
        assert answer.METRICS[metric](given, found, "en") == 100


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(words=lists, data=st.data())
def test_only_windows_with_the_answer_are_labelled(tokenizers, kind, words, data):
    context = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 3, len(words) - 1)))
    start = len(" ".join([*words[:first], ""]))
    text = " ".join(words[first : last + 1])
    assert context[start : start + len(text)] == text
    given = {
        "id": "1",
        "context": context,
        "question": "ab de",
        "answers": [text],
        "starts": [start],
    }
    features = windows([given], tokenizers[kind], NARROW)
    for feature in features:
        spans = [span for span in feature["offsets"] if span and span[1] > span[0]]
        holds = spans[0][0] <= start and spans[-1][1] >= start + len(text)
        assert (feature["start"] > 0) == holds
        if holds:
            begin = feature["offsets"][feature["start"]][0]
            end = feature["offsets"][feature["end"]][1]
            assert context[begin:end] == text
        else:
            assert feature["end"] == 0
    # between them, the windows lose no word
    covered = {i for f in features for span in f["offsets"] if span for i in range(*span)}
    assert {i for i, character in enumerate(context) if character != " "} <= covered


@pytest.mark.parametrize(
    ("context", "text"), [(JAPANESE, "東京"), (JAPANESE, "約千四百万人"), (THAI, "ประเทศไทย")]
)
def test_text_without_spaces(tmp_path, context, text):
    words = [JAPANESE[i : i + 2] for i in range(len(JAPANESE))]
    words += [THAI[i : i + 3] for i in range(len(THAI))]
    tokenizer = checkpoints.train_tokenizer([JAPANESE, THAI, *words], 150, tmp_path)
    given = {"id": "1", "context": context, "question": "", "answers": [text]}
    given["starts"] = [context.index(text)]
    encode = Encode(max_length=40, max_question_length=8, stride=20)
    features = windows([given], tokenizer, encode)
    (found,) = answer.decode([given], features, oracle(features), [], Predict())
    assert text in found["prediction"], "tokens may hold more than the answer, never less"
    assert len(found["prediction"]) <= len(text) + 6
    assert "".join(context.split()) == context


def test_no_answer_points_to_the_classification_token(tokenizer):
    given = [{"id": "1", "context": "a b c " * 20, "question": "d", "answers": [], "starts": []}]
    features = windows(given, tokenizer, NARROW)
    assert len(features) > 1
    assert {(f["start"], f["end"]) for f in features} == {(0, 0)}
    batch = answer.collate(features, tokenizer.pad_token_id)
    assert (
        batch["start_positions"].tolist() == batch["end_positions"].tolist() == [0] * len(features)
    )
    (found,) = answer.decode(given, features, oracle(features), [], Predict())
    assert found["null_score"] == pytest.approx(20)
    known = {**given[0], "answers": ["b"], "starts": [2]}
    features = windows([known], tokenizer, NARROW)
    (found,) = answer.decode([known], features, oracle(features), [], Predict())
    assert found["null_score"] < 0
    assert found["prediction"] == "b"


@settings(max_examples=60)
@given(words=lists, seed=st.integers(0, 10**6), longest=st.integers(1, 8))
def test_the_best_span_is_valid(tokenizer, words, seed, longest):
    context = " ".join(words)
    question = "zz ee dd"
    given = [{"id": "1", "context": context, "question": question}]
    features = answer.encode(given, tokenizer, NARROW, [], train=False)
    random = np.random.default_rng(seed)
    logits = []
    for feature in features:
        start, end = random.normal(size=(2, len(feature["input_ids"]))).astype(np.float32)
        outside = [i for i, span in enumerate(feature["offsets"]) if span is None]
        start[outside] += 50  # question and special tokens look best by far
        end[outside] += 50
        logits.append((start, end))
    predict = Predict(max_answer_length=longest, best_spans=100)
    (found,) = answer.decode(given, features, logits, [], predict)
    assert found["prediction"] in context
    best = max(
        (
            float(start[s] + end[e])
            for feature, (start, end) in zip(features, logits, strict=True)
            for s, one in enumerate(feature["offsets"])
            for e, other in enumerate(feature["offsets"])
            if one and other and one[1] > one[0] and other[1] > other[0] and 0 <= e - s < longest
        )
    )
    assert found["score"] == pytest.approx(best, abs=1e-5)


def test_only_a_long_question_is_truncated(tokenizer):
    given = [{"id": "1", "context": "a b c", "question": "dog " * 50}]
    (feature,) = answer.encode(given, tokenizer, NARROW, [], train=False)
    (first, *_) = [i for i, span in enumerate(feature["offsets"]) if span]
    assert first <= 1 + 8 + 2
    assert [span for span in feature["offsets"] if span][-1][1] == 5


@pytest.mark.parametrize("stride", [11, 20])
def test_windows_without_room_are_rejected(tokenizer, stride):
    given = [{"id": "1", "context": "a b c", "question": "d"}]
    encode = Encode(max_length=24, max_question_length=9, stride=stride)
    with pytest.raises(InputError, match=r"max_length 24 leaves 11 tokens .* stride, \d+"):
        answer.encode(given, tokenizer, encode, [], train=False)
