"""Compact embeddings: the weights are those of a training of the whole table, up to rounding."""

import json
from itertools import chain
from pathlib import Path

import pytest
import torch

from tests.stages.test_train import crash
from xstilts import store
from xstilts.identity import file_sha256
from xstilts.modelling import compact
from xstilts.modelling.checkpoints import load_weights

# with a large epsilon, AdamW does not divide rounding errors by gradients that are nearly zero
SETTINGS = {"max_steps": 30, "batch_size": 4, "learning_rate": 1e-2, "weight_decay": 0.1}
SETTINGS |= {"adam_epsilon": 1e-3, "warmup": 0.2, "max_grad_norm": 0.5}
BEST = {"select": "best", "evaluate_every": 10}
TABLE = "roberta.embeddings.word_embeddings.weight"


def assert_equal(weights: dict, expected: dict) -> None:
    assert weights.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-6)


def norms_of(step) -> list[float]:
    log = store.read_lines(Path(step.path) / "training.jsonl")
    return [entry["grad_norm"] for entry in log if "grad_norm" in entry]


@pytest.mark.parametrize(
    ("recipe", "settings"), [("nli~4", {"packing": True}), ("completion~4+entities~4", BEST)]
)
def test_weights_are_those_of_the_whole_table(workspace, caplog, recipe, settings):
    settings = SETTINGS | settings
    step = workspace.step(recipe, train=settings, multitask=settings)
    expected, norms = workspace.weights(step), norms_of(step)
    caplog.set_level("INFO", "xstilts")
    weights = workspace.weights(step, compact_embeddings=True)
    assert "embeddings occur" in caplog.text
    assert_equal(weights, expected)
    assert max(norms) > SETTINGS["max_grad_norm"], "otherwise nothing is clipped"
    assert norms_of(step) == pytest.approx(norms, rel=1e-5)
    table = next(name for name in expected if name.endswith("word_embeddings.weight"))
    start = load_weights(Path(step.parent.path))
    moved = (expected[table] / start[TABLE]).std(1) > 1e-3
    assert 0 < moved.sum() < len(moved), "some rows only decay"


def test_a_compact_training_resumes_bitwise(workspace, monkeypatch):
    step = workspace.step("nli~4", "dropout", train=SETTINGS)
    expected = workspace.reference(step, compact_embeddings=True)
    crash(workspace, monkeypatch, step, at=17, save_every=7, compact_embeddings=True)
    assert {path.name for path in (store.SCRATCH / step.id / "compact").iterdir()} >= {
        "checkpoint-14"
    }
    assert workspace.train(step, compact_embeddings=True) == expected


def test_padding_of_the_tokenizer_is_kept(workspace):
    """Multilingual E5 small pads with token 1; its configuration says 0."""
    step = workspace.step("nli~4", train=SETTINGS)
    config, manifest = (Path(step.parent.path) / f"{name}.json" for name in ("config", "manifest"))
    config.write_text(json.dumps(json.loads(config.read_text()) | {"pad_token_id": 0}))
    parent = json.loads(manifest.read_text())
    parent["files"]["config.json"] = file_sha256(config)
    manifest.write_text(json.dumps(parent))
    expected = workspace.weights(step)
    assert_equal(workspace.weights(step, compact_embeddings=True), expected)


def test_a_model_validates_with_any_token():
    table = torch.nn.Embedding(6, 3, padding_idx=0)
    small = compact.CompactEmbedding(table, torch.tensor([0, 2, 5])).eval()
    small.decay *= 0.5
    expected = table.weight.detach() * 0.5
    expected[[0, 2, 5]] = table.weight.detach()[[0, 2, 5]]
    torch.testing.assert_close(small(torch.arange(6)), expected)
    torch.testing.assert_close(small.whole(), expected)


@pytest.mark.parametrize(
    ("recipe", "settings", "reason"),
    [
        ("text", {}, "language modelling uses all embeddings"),
        ("nli", {"lora": True}, "no embeddings are trained"),
    ],
)
def test_the_whole_table_is_trained_where_it_must(workspace, caplog, recipe, settings, reason):
    step = workspace.step(recipe, train={"max_steps": 1, "batch_size": 2, **settings})
    caplog.set_level("INFO", "xstilts")
    expected = workspace.weights(step)
    weights = workspace.weights(step, compact_embeddings=True)
    assert f"compact_embeddings has no effect: {reason}" in caplog.text
    for name, weight in expected.items():
        assert torch.equal(weights[name], weight)


def test_every_nested_token_is_known():
    features = [{"input_ids": [1, 2], "choices": [{"input_ids": [3]}], "label": 9}]
    features.append({"input_ids": [4], "answer": {"input_ids": [5]}, "labels": [8]})
    assert sorted(chain.from_iterable(compact.tokens_of(features))) == [1, 2, 3, 4, 5]
