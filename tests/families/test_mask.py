"""mask: which tokens are masked, how, and with which seed."""

from types import SimpleNamespace

import numpy as np
import pytest

from xstilts.config.settings import Encode
from xstilts.families import IGNORED, mask


@pytest.fixture
def masked(tokenizers, rows):
    """A large batch for a kind of tokenizer, before and after masking."""

    def make(kind: str, rate: float = 0.15, seed: int = 1):
        tokenizer = tokenizers[kind]
        given = rows("text", "en", "train") * 6
        features = mask.encode(given, tokenizer, Encode(max_length=64), [], train=True)
        settings = SimpleNamespace(
            mask_rate=rate, mask_id=tokenizer.mask_token_id, vocabulary=len(tokenizer)
        )
        random = np.random.default_rng([seed, 4, 9])
        corrupted = mask.corrupt(features, settings, random)
        return features, mask.collate(corrupted, tokenizer.pad_token_id), tokenizer

    return make


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_masked_tokens_follow_the_rates(masked, kind, rate):
    features, batch, tokenizer = masked(kind, rate)
    free = sum(special.count(0) for special in (f["special"] for f in features))
    chosen = batch["labels"] != IGNORED
    assert free > 5000
    assert int(chosen.sum()) / free == pytest.approx(rate, abs=0.02)
    now, before = batch["input_ids"][chosen], batch["labels"][chosen]
    hidden = now == tokenizer.mask_token_id
    stays = now == before
    assert float(hidden.float().mean()) == pytest.approx(0.8, abs=0.04)
    assert float(stays.float().mean()) == pytest.approx(0.1, abs=0.03)
    assert float((~hidden & ~stays).float().mean()) == pytest.approx(0.1, abs=0.03)
    random = now[~hidden & ~stays]
    assert len(set(random.tolist())) > 40, "any token of the vocabulary"


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_only_text_is_masked(masked, kind):
    features, batch, tokenizer = masked(kind, 0.5)
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for number, feature in enumerate(features):
        length = len(feature["input_ids"])
        labels = batch["labels"][number].tolist()
        now = batch["input_ids"][number].tolist()
        assert set(labels[length:]) <= {IGNORED}
        assert set(now[length:]) <= {tokenizer.pad_token_id}
        for position, id in enumerate(feature["input_ids"]):
            assert labels[position] in (IGNORED, id)
            if labels[position] == IGNORED:
                assert now[position] == id
            if id in specials:
                assert labels[position] == IGNORED


def test_a_seed_and_a_number_fix_the_batch(masked):
    one, same, other = (masked("sentencepiece", seed=seed)[1] for seed in (1, 1, 2))
    assert all((one[key] == same[key]).all() for key in one)
    assert not (one["labels"] == other["labels"]).all()


def test_every_text_has_a_masked_token(tokenizer):
    rows = [{"text": text, "text_b": ""} for text in ("a", "a b c", "")]
    features = mask.encode(rows, tokenizer, Encode(), [], train=True)
    assert len(features) == 2, "a text without tokens has none"
    settings = SimpleNamespace(mask_rate=0.01, mask_id=tokenizer.mask_token_id, vocabulary=200)
    for seed in range(50):
        random = np.random.default_rng(seed)
        corrupted = mask.corrupt(features, settings, random)
        chosen = mask.collate(corrupted, tokenizer.pad_token_id)["labels"] != IGNORED
        assert chosen.sum(1).tolist() == [1, 1]
        assert not chosen[:, 0].any()
        assert not chosen[0, -1]


def test_only_single_texts_are_split_into_windows(tokenizer):
    words = "the dog ran " * 30
    given = [{"text": words, "text_b": ""}, {"text": "dog", "text_b": "ran"}]
    features = mask.encode(given, tokenizer, Encode(max_length=32), [], train=True)
    *windows, pair = features
    assert all(len(f["input_ids"]) == len(f["special"]) <= 32 for f in features)
    free = [
        id for f in windows for id, s in zip(f["input_ids"], f["special"], strict=True) if not s
    ]
    assert free == tokenizer(words, add_special_tokens=False)["input_ids"]
    assert pair["input_ids"] == tokenizer("dog", "ran")["input_ids"]
    assert sum(pair["special"]) == 4
