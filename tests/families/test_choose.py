"""choose: candidates keep their order."""

import numpy as np
import pytest

from xstilts.config.settings import Encode, Predict
from xstilts.errors import InputError
from xstilts.families import choose


def row(choices: list[str], label: int = 0, **others) -> dict:
    given = {
        "id": "1",
        "context": "the dog ran",
        "question": "",
        "choices": choices,
        "label": label,
    }
    return given | others


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_candidates_stay_in_order(tokenizers, rows, kind):
    tokenizer = tokenizers[kind]
    given = rows("completion", "en", "train")
    features = choose.encode(given, tokenizer, Encode(), [], train=True)
    batch = choose.collate(features, tokenizer.pad_token_id)
    count = len(given[0]["choices"])
    assert batch["input_ids"].shape[:2] == (len(given), count)
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["labels"].tolist() == [r["label"] for r in given]
    for number, example in enumerate(given):
        for index, choice in enumerate(example["choices"]):
            ids = batch["input_ids"][number, index][batch["attention_mask"][number, index] == 1]
            own = tokenizer(example["context"], choice)["input_ids"]
            assert ids.tolist() == own


def test_a_long_context_is_truncated(tokenizer):
    given = [row(["cat", "dog"], question="what?"), row(["cat", "dog"], context="ran " * 99)]
    (first,) = choose.encode(given[:1], tokenizer, Encode(), [], train=False)
    expected = [tokenizer("the dog ran what?", choice)["input_ids"] for choice in ("cat", "dog")]
    assert [choice["input_ids"] for choice in first["choices"]] == expected
    (long,) = choose.encode(given[1:], tokenizer, Encode(max_length=20), [], train=False)
    assert [len(choice["input_ids"]) for choice in long["choices"]] == [20, 20]
    candidate = tokenizer("dog", add_special_tokens=False)["input_ids"]
    assert long["choices"][1]["input_ids"][-1 - len(candidate) : -1] == candidate


def test_decode_returns_the_first_of_the_best(rows):
    given = rows("completion", "en", "test")
    logits = [np.eye(4, dtype=np.float32)[r["label"]] for r in given]
    found = choose.decode(given, [], logits, [], Predict())
    assert [p["prediction"] for p in found] == [r["label"] for r in given]
    assert choose.METRICS["accuracy"](given, found, "en") == 100
    (tie,) = choose.decode(given[:1], [], [np.zeros(4, np.float32)], [], Predict())
    assert tie["prediction"] == 0
    assert tie["scores"] == [0, 0, 0, 0]


def test_unequal_numbers_of_candidates_are_rejected(tokenizer):
    given = [row(["a", "b"]), row(["a", "b", "c"])]
    features = choose.encode(given, tokenizer, Encode(), [], train=True)
    with pytest.raises(InputError, match=r"\[2, 3\] candidates"):
        choose.collate(features, tokenizer.pad_token_id)
