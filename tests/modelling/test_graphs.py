"""Recorded trainings end with the weights of others; on a GPU the recordings are CUDA graphs."""

from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.utils import import_utils

from tests import real_classes
from tests.modelling.test_micro_batches import STEPS
from xstilts import store
from xstilts.config.training import TrainingOptions
from xstilts.errors import InputError
from xstilts.modelling import graphs
from xstilts.modelling.checkpoints import load_weights
from xstilts.modelling.graphs import GraphedGradients
from xstilts.recipe import parse
from xstilts.stages import train

SHORT = {"max_steps": 12, "batch_size": 4, "learning_rate": 1e-3}
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
KINDS = real_classes.KINDS
ALONE = [name for name, (_, form, _) in STEPS.items() if form == "heads"]
RECORDED = [n for n, k in KINDS.items() if k.config["model_type"] in graphs.RECORDED_TYPES]


def computed_again(compute, inputs):
    """Record by computing once more at each replay, as a GPU does without Python."""
    loss = torch.zeros(())

    def replay():
        loss.copy_(compute(dict(inputs)))

    return replay, loss


@pytest.fixture
def recorded(monkeypatch):
    """Let trainings on a CPU replay computations; return the shapes of all replayed batches."""
    shapes = []

    def record(compute, inputs):
        shapes.append(tuple(inputs["input_ids"].shape))
        return computed_again(compute, inputs)

    monkeypatch.setattr(graphs, "reason_against", lambda *about: "")
    monkeypatch.setattr(graphs, "_Recorder", lambda: record)
    return shapes


@pytest.mark.parametrize("micro_batch", [None, 3])
@pytest.mark.parametrize("recipe", ["nli", "entities+nli+text", "completion"])
def test_replays_give_the_same_weights(workspace, recorded, monkeypatch, recipe, micro_batch):
    monkeypatch.setattr(graphs, "rounded", lambda batch, pad_id: dict(batch))
    settings = SHORT | {"evaluate_every": 5, "max_steps": 30}
    step = workspace.step(recipe, train=settings, multitask=settings)
    expected = workspace.reference(step, eager=True, micro_batch=micro_batch)
    assert not recorded
    assert workspace.train(step, micro_batch=micro_batch) == expected
    assert recorded
    assert store.CheckpointManifest.read(Path(step.path)).provenance["cuda_graphs"]


@pytest.mark.parametrize("recipe", ["reading", "text"])
def test_more_padding_changes_weights_by_rounding(workspace, recorded, recipe):
    step = workspace.step(recipe, train={**SHORT, "adam_epsilon": 1e-2})
    expected = workspace.weights(step, eager=True)
    for name, weight in workspace.weights(step).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-5)
    assert {length % 16 for _, length in recorded} == {0}


def test_a_weight_that_no_batch_uses_has_no_gradient():
    used, other, both = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))

    def compute(batch):
        first = used if batch["task"] == "a" else other
        loss = (first * both * batch["x"]).sum()
        loss.backward()
        return loss.detach()

    gradients = GraphedGradients([used, other, both], compute, computed_again)
    for number in (1.0, 2.0, 3.0):
        for weight in (used, other, both):
            weight.grad = None
        for x in (number, 10 * number):
            assert gradients({"task": "a", "x": torch.tensor([x, x])}) == 2 * x
        assert used.grad.tolist() == both.grad.tolist() == [11 * number] * 2
        assert other.grad is None
    gradients({"task": "b", "x": torch.ones(2)})
    assert other.grad.tolist() == [1, 1]
    assert both.grad.tolist() == [34, 34]
    assert used.grad.tolist() == [33, 33]


def test_shapes_beyond_the_limit_are_not_recorded(monkeypatch):
    monkeypatch.setattr(graphs, "_MOST", 1)
    weight, shapes = torch.nn.Parameter(torch.ones(())), []

    def compute(batch):
        loss = (weight * batch["x"]).sum()
        loss.backward()
        return loss.detach()

    def record(compute, inputs):
        shapes.append(len(inputs["x"]))
        return computed_again(compute, inputs)

    gradients = GraphedGradients([weight], compute, record)
    sizes = [1, 2, 1, 2, 1, 2]
    assert [gradients({"x": torch.ones(size)}).item() for size in sizes] == sizes
    assert shapes == [1]
    assert weight.grad == 9


def test_a_failed_recording_names_the_remedy():
    def fail(compute, inputs):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    weight = torch.nn.Parameter(torch.ones(()))
    compute = lambda batch: weight.mul(batch["input_ids"]).sum()  # noqa: E731
    gradients = GraphedGradients([weight], compute, fail)
    gradients({"input_ids": torch.ones(2, 3)})
    with pytest.raises(InputError, match=r"not permitted .* capturing; state `eager: true`"):
        gradients({"input_ids": torch.ones(2, 3)})


def test_batches_are_padded_to_multiples_of_16_tokens():
    ids = torch.ones(2, 3, 17, dtype=torch.long)
    batch = {"input_ids": ids, "attention_mask": ids, "labels": torch.ones(2), "task": "a"}
    made = graphs.rounded(batch, 5)
    assert made["input_ids"].shape == made["attention_mask"].shape == (2, 3, 32)
    assert made["input_ids"][0, 0, 16:].tolist() == [1, *[5] * 15]
    assert made["attention_mask"].sum() == ids.sum()
    assert made["labels"] is batch["labels"]
    tags = graphs.rounded({"input_ids": ids, "labels": ids}, 5)["labels"]
    assert tags[0, 0, 16:].tolist() == [1, *[-100] * 15]


class NoValues(TorchDispatchMode):
    """Refuse operations for which a GPU waits: a recording on a GPU would end with an error."""

    WAIT = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "lift_fresh")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        masks = args[1] if name in ("index", "index_put", "index_put_") else ()
        waits = [name] if name in self.WAIT else []
        waits += [mask for mask in masks if mask is not None and mask.dtype == torch.bool]
        assert not waits, f"{name} waits for the GPU"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        *(("xlmr", name) for name in ALONE),
        *((model, name) for model in RECORDED for name in ("answer", "mask")),
    ],
)
def test_recordings_need_no_value_of_the_gpu(published, monkeypatch, model, name):
    checked = []

    def record(compute, inputs):
        # the library looks at the values of masks, but not while it is recorded
        with monkeypatch.context() as patch, NoValues():
            patch.setattr(import_utils, "is_cuda_stream_capturing", lambda: True)
            compute(dict(inputs))
        checked.append(inputs)
        return computed_again(compute, inputs)

    monkeypatch.setattr(graphs, "reason_against", lambda *about: "")
    monkeypatch.setattr(graphs, "_Recorder", lambda: record)
    recipe = STEPS[name][2]
    grid = real_classes.grid(train=SHORT, recipes=[recipe])
    train.run(grid.trainings.step(model, parse(recipe), 1))
    assert checked


@on_gpu
@pytest.mark.parametrize(
    ("model", "name", "precision"),
    [
        *(("xlmr", name, "bf16") for name in ALONE),
        *(("xlmr", "tag", precision) for precision in ("fp32", "fp16")),
        *((m, name, "bf16") for m in RECORDED[1:] for name in ("classify", "answer", "mask")),
    ],
)
def test_cuda_graphs_give_the_same_weights(published, monkeypatch, model, name, precision):
    _compare(published, monkeypatch, model, STEPS[name][2], {**SHORT, "precision": precision})


@on_gpu
@pytest.mark.parametrize("compact", [False, True])
def test_cuda_graphs_of_several_tasks(published, monkeypatch, compact):
    step = {**SHORT, "precision": "bf16"}
    _compare(published, monkeypatch, "xlmr", "entities+nli+reading", step, compact)


def _compare(published, monkeypatch, model, recipe, settings, compact=False):
    """Compare a recorded training with one that computes the same batches as they come."""
    grid = real_classes.grid(train=settings, multitask=settings, recipes=[recipe])
    step, replays, weights = grid.trainings.step(model, parse(recipe), 1), [], []
    record = graphs._Recorder.__call__

    def counted(self, compute, inputs):
        replay, loss = record(self, compute, inputs)
        return lambda: replays.append(replay()), loss

    monkeypatch.setattr(graphs._Recorder, "__call__", counted)
    for most in (0, 100):
        monkeypatch.setattr(graphs, "_MOST", most)
        train.run(step, TrainingOptions(compact_embeddings=compact))
        weights.append(load_weights(Path(step.path)))
        (Path(step.path) / "manifest.json").unlink()
        assert bool(replays) == (most > 0)
    plain, replayed = weights
    assert all(torch.equal(replayed[name], weight) for name, weight in plain.items())
