"""Training: resumed trainings end with equal bits, heads are new, checkpoints open."""

import json
import logging
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny_project import TASK_OF, make_grid
from xstilts import store
from xstilts.cli import main
from xstilts.errors import InputError
from xstilts.modelling import callbacks
from xstilts.modelling.checkpoints import load_weights
from xstilts.recipe import parse
from xstilts.stages import train

BEST = {
    "recipes": ["none", "nli+text"],
    "multitask": {"select": "best", "evaluate_every": 4},
    "train": {"max_steps": 30, "batch_size": 8, "learning_rate": 3e-3},
}
KILLED = """
import os, signal, sys
from xstilts import cli
from xstilts.stages import train

def die(self, args, state, control, **kwargs):
    if state.global_step == 17:
        os.kill(os.getpid(), signal.SIGKILL)

train.Progress.on_step_end = die
cli.main(sys.argv[1:])
"""
SHORT = {"max_steps": 30, "batch_size": 8, "learning_rate": 1e-3}


class Crash(Exception):
    """Exception that a test raises in the middle of a training."""


def at_step(monkeypatch, number: int, act) -> None:
    """Call a function after an optimiser step."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == number:
            act()

    monkeypatch.setattr(train.Progress, "on_step_end", on_step_end)


def crashing(*args):
    raise Crash


def crash(workspace, monkeypatch, step, at: int, **options) -> None:
    """Run a training that dies after optimiser step `at`."""
    with monkeypatch.context() as patched:
        at_step(patched, at, crashing)
        with pytest.raises(Crash):
            workspace.train(step, **options)


@pytest.mark.slow
def test_a_killed_training_ends_with_equal_weights(workspace, caplog):
    step = workspace.step("nli", "dropout")
    expected = workspace.reference(step)
    arguments = workspace.arguments("train", step.id, "--save-every", "7", "--threads", "1")
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], stderr=subprocess.PIPE)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not Path(step.path).exists()
    assert workspace.saves(step) == [7, 14]
    caplog.set_level("INFO", "xstilts")
    assert workspace.train(step) == expected
    assert "resuming from step 14" in caplog.text
    assert not (store.SCRATCH / step.id).exists()


def test_a_stopped_training_resumes_where_it_stopped(workspace, monkeypatch, capsys):
    step = workspace.step("nli+text", "dropout", **BEST)
    expected = workspace.reference(step)
    arguments = workspace.arguments("train", step.id, **BEST)
    with monkeypatch.context() as patched:
        at_step(patched, 17, lambda: signal.raise_signal(signal.SIGTERM))
        assert main(arguments) == 143
    assert f"{step.id}: stopped at step 17 of 30" in capsys.readouterr().err
    assert not Path(step.path).exists()
    assert 17 in workspace.saves(step), "the state of the last step is kept, not of the best"
    assert workspace.train(step) == expected
    manifest = json.loads((Path(step.path) / "manifest.json").read_text())
    assert manifest["best_step"] % 4 == 0


@pytest.mark.parametrize("recipe", [*TASK_OF.values(), "completion+entities+reading+text"])
def test_every_family_resumes_bitwise(workspace, monkeypatch, recipe):
    step = workspace.step(recipe, "dropout")
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=17, save_every=7)
    assert workspace.saves(step) == [7, 14]
    assert workspace.train(step) == expected


@pytest.mark.parametrize("damage", ["missing", "cut", "unsealed"])
def test_an_incomplete_save_is_not_used(workspace, monkeypatch, damage, caplog):
    step = workspace.step("nli")
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=15, save_every=10)
    folder = store.SCRATCH / step.id / "trainer"
    half = folder / "checkpoint-14"
    shutil.copytree(folder / "checkpoint-10", half)
    state = half / "trainer_state.json"
    state.write_text(state.read_text().replace('"global_step": 10', '"global_step": 14')[:-40])
    if damage == "missing":
        state.unlink()
    elif damage == "unsealed":
        (half / store.MANIFEST).unlink()
    assert workspace.train(step) == expected
    assert not half.exists()
    assert re.search(r"checkpoint-14: this save is discarded: [^;]*$", caplog.text, re.M)


def test_a_save_of_another_training_is_not_used(workspace, monkeypatch):
    step = workspace.step("nli")
    crash(workspace, monkeypatch, step, at=15, save_every=10)
    other = workspace.step("nli", seed=2)
    assert workspace.train(other) == workspace.reference(other)


@pytest.mark.parametrize("select", ["last", "best"])
def test_an_interrupted_publish_is_repeated(workspace, monkeypatch, select):
    step = workspace.step("nli", train={**SHORT, "select": select, "evaluate_every": 10})
    expected = workspace.reference(step)
    with monkeypatch.context() as patched:
        patched.setattr(store.CheckpointManifest, "write", crashing)
        with pytest.raises(Crash):
            workspace.train(step)
    assert not (Path(step.path) / "manifest.json").exists()
    assert workspace.train(step) == expected


@pytest.mark.parametrize("select", ["last", "best"])
def test_patience_survives_an_interruption(workspace, monkeypatch, select):
    settings = {**SHORT, "max_steps": 60, "learning_rate": 1e-9, "select": select}
    step = workspace.step("nli", train={**settings, "evaluate_every": 5, "patience": 3})
    expected = workspace.reference(step)
    crash(workspace, monkeypatch, step, at=17, save_every=5)
    assert workspace.train(step) == expected
    manifest = json.loads((Path(step.path) / "manifest.json").read_text())
    assert manifest["steps"] == 20, "the first validation and three without a gain"


def test_warm_up_may_be_longer_than_the_training(workspace):
    step = workspace.step("nli", train={"max_steps": 4, "learning_rate": 1e-3, "warmup_steps": 500})
    workspace.train(step)
    log = store.read_lines(Path(step.path) / "training.jsonl")
    rates = [entry["learning_rate"] for entry in log if "learning_rate" in entry]
    assert rates == pytest.approx([1e-3 * done / 500 for done in range(4)])


def test_only_seeds_change_the_weights(workspace):
    first = workspace.reference(workspace.step("nli", "dropout"))
    again = workspace.train(workspace.step("nli", "dropout"), save_every=3)
    other = workspace.train(workspace.step("nli", "dropout", seed=2))
    assert again == first
    assert other["model.safetensors"] != first["model.safetensors"]


def test_micro_batches_keep_loss_and_gradient(workspace):
    step = workspace.step("nli", train={**SHORT, "max_steps": 1})
    entries = []
    for micro_batch in (None, 4, 3):
        workspace.train(step, micro_batch=micro_batch)
        entries.append(store.read_lines(Path(step.path) / "training.jsonl")[0])
        shutil.rmtree(step.path)
    for entry in entries[1:]:
        for key in ("loss", "grad_norm"):
            assert entry[key] == pytest.approx(entries[0][key], rel=1e-4)


def test_a_diverging_training_is_not_published(workspace):
    step = workspace.step("nli", train={**SHORT, "learning_rate": 1e30, "max_grad_norm": 1e30})
    with pytest.raises(train.Diverged, match=r"the loss is (nan|inf) at step \d+"):
        workspace.train(step)
    assert not Path(step.path).exists()


def test_no_state_is_saved_after_a_loss_of_nan(workspace, monkeypatch):
    step = workspace.step("nli", train={**SHORT, "max_steps": 200})  # logged every 4 steps
    compute = train.StepTrainer.compute_loss

    def diverge(self, *args, **kwargs):
        loss = compute(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 4 else loss

    monkeypatch.setattr(train.StepTrainer, "compute_loss", diverge)
    with pytest.raises(train.Diverged, match="the loss is nan at step 5"):
        workspace.train(step, save_every=2)
    assert workspace.saves(step) == [2, 4]


def test_weights_are_finite_or_not_published(workspace):
    # the loss of the only step is finite, the weights after it are not
    step = workspace.step(
        "nli", train={**SHORT, "max_steps": 1, "learning_rate": 1e38, "warmup": 0}
    )
    with pytest.raises(train.Diverged, match=r"after the last step: .* not finite"):
        workspace.train(step)
    assert not Path(step.path).exists()


def test_provenance_states_how_a_step_was_computed(workspace):
    step = workspace.step("nli", train=SHORT)
    workspace.train(step, micro_batch=4)
    provenance = store.read_json(Path(step.path) / "manifest.json")["provenance"]
    expected = {"processes": 1, "threads": torch.get_num_threads(), "micro_batch": 4}
    expected |= {"precision": "fp32"}
    assert {key: provenance[key] for key in expected} == expected
    assert (provenance["device"] == "cuda") == (provenance["gpu"] is not None)


def test_out_of_memory_names_the_remedy(workspace, monkeypatch):
    step = workspace.step("nli", train=SHORT)
    monkeypatch.setattr(callbacks, "PROGRESS_SECONDS", 0)
    with monkeypatch.context() as patched:

        def full(*_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory")

        patched.setattr(train.StepTrainer, "_maybe_log_save_evaluate", full)
        with pytest.raises(InputError, match="too little memory on the GPU for 1 example at a ti"):
            workspace.train(step, micro_batch=1)
    progress = store.read_json(store.progress_file(step.id))
    assert progress["step"] == 1
    store.write_json(store.progress_file(step.id), progress | {"seconds_spent": 9000})
    workspace.train(step)
    manifest = json.loads((Path(step.path) / "manifest.json").read_text())
    assert 9000 < manifest["provenance"]["seconds"] < 9600


def test_too_large_micro_batch_is_halved(workspace, monkeypatch, caplog):
    step = workspace.step("nli", train=SHORT)
    compute = train.StepTrainer.compute_loss

    def limited(self, model, inputs, *arguments, **options):
        if len(inputs["labels"]) > 3 and self.state.global_step > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(self, model, inputs, *arguments, **options)

    reads, read = [], train.read_materials
    monkeypatch.setattr(train.StepTrainer, "compute_loss", limited)
    monkeypatch.setattr(train, "read_materials", lambda *a: reads.append(a) or read(*a))
    with caplog.at_level(logging.INFO, "xstilts"):
        workspace.train(step, save_every=4)
    assert len(reads) == 1
    manifest = json.loads((Path(step.path) / "manifest.json").read_text())
    assert manifest["provenance"]["micro_batch"] == 2
    assert "resuming from step 4" in caplog.text
    assert "too little memory on the GPU: 4 examples at a time" in caplog.text


def test_validation_needs_validation_data(workspace):
    step = workspace.step("text", train={**SHORT, "evaluate_every": 5})
    with pytest.raises(InputError, match="evaluate_every needs a task with validation data"):
        workspace.train(step)


def test_a_damaged_parent_is_named(workspace):
    step = workspace.step("nli")
    weights = Path(step.parent.path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model\.safetensors: damaged"):
        workspace.train(step)


def test_languages_of_a_task_share_labels_and_head(workspace, rows):
    step = workspace.step("entities@xa+entities~10")
    missing = "B-PER"
    short = [row for row in rows("entities", "en", "train") if missing not in row["tags"]]
    assert short, "otherwise the test shows nothing"
    folder = Path(next(p for p in step.parts if p.name == "entities~10").train[0].path)
    rewrite(folder, short)
    workspace.train(step)
    labels = json.loads((Path(step.path) / "manifest.json").read_text())["labels"]
    tags = {tag for row in rows("entities", "xa", "train") for tag in row["tags"]}
    assert labels == {"entities": sorted(tags)}
    config = json.loads((Path(step.path) / "config.json").read_text())
    assert config["architectures"] == ["XLMRobertaForTokenClassification"]


def rewrite(folder: Path, rows: list[dict]) -> None:
    """Publish other rows under a dataset's name."""
    from xstilts.families import tag

    made = store.scratch("rewritten")
    store.write_rows(made / "data.parquet", rows, tag.COLUMNS)
    store.DatasetManifest.publish(made, folder, content={}, rows=len(rows))


def test_several_tasks_publish_only_the_encoder(workspace):
    from safetensors.torch import load_file

    step = workspace.step("completion+nli")
    workspace.train(step)
    keys = load_file(Path(step.path) / "model.safetensors").keys()
    assert not [key for key in keys if "classifier" in key]
    assert json.loads((Path(step.path) / "config.json").read_text())["architectures"] == [
        "XLMRobertaModel"
    ]
    target = workspace.step("completion+nli-nli")
    assert target.parent.id == step.id
    workspace.train(target)


@pytest.mark.parametrize("model", ["xlmr", "bert", "deberta"])
def test_checkpoints_open_with_transformers_alone(workspace, model, rows):
    import torch
    import transformers

    from xstilts.families import family
    from xstilts.modelling.checkpoints import load_trained

    for name, task in TASK_OF.items():
        step = workspace.step(task, model, train={**SHORT, "max_steps": 2})
        workspace.train(step)
        transformers.AutoModel.from_pretrained(step.path)
        tokenizer = transformers.AutoTokenizer.from_pretrained(step.path)
        auto = getattr(transformers, family(name).MODEL)
        batch = tokenizer(["a b", "c"], return_tensors="pt", padding=True)
        if name == "choose":
            batch = {key: value[None] for key, value in batch.items()}
        with torch.no_grad():
            theirs = auto.from_pretrained(step.path).eval()(**batch)[0]
            ours = load_trained(Path(step.path), name)(**batch)[0]
        assert torch.equal(theirs, ours)


def test_pipelines_return_the_labels_of_the_task(workspace, rows):
    from transformers import pipeline

    for task, kind in (("nli", "text-classification"), ("entities", "token-classification")):
        step = workspace.step(task, train={**SHORT, "max_steps": 2})
        workspace.train(step)
        labels = json.loads((Path(step.path) / "manifest.json").read_text())["labels"][task]
        run = pipeline(kind, model=step.path, tokenizer=step.path)
        if kind == "text-classification":
            assert {entry["label"] for entry in run("a b", top_k=None)} == set(labels)
        else:
            run = pipeline(kind, model=step.path, tokenizer=step.path, ignore_labels=[])
            assert {entry["entity"] for entry in run("a b c d")} <= set(labels)


def test_separate_languages_use_the_same_examples(workspace):
    tempered = {"tasks": {"text": {"train": {"language_temperature": 2.0}}}, "train": SHORT}
    pooled, apart = workspace.step("text", train=SHORT), workspace.step("text", **tempered)
    assert workspace.train(pooled) != workspace.train(apart)
    manifests = [store.read_json(Path(step.path) / store.MANIFEST) for step in (pooled, apart)]
    assert manifests[0]["examples"] == manifests[1]["examples"]


def test_targets_in_bf16_round_equal_weights(workspace):
    study = {"train": {"max_steps": 3, "batch_size": 8}}
    halved = {"train": {**study["train"], "save_precision": "bf16"}}
    step = workspace.step("nli", **halved)
    assert step.id == workspace.step("nli", **study).id  # other steps may start from it
    target = make_grid(**halved).predictions("xlmr", parse("none"), "nli", 1).checkpoint
    for checkpoint in (step, target):
        workspace.train(checkpoint)
    full, rounded = (load_weights(Path(checkpoint.path)) for checkpoint in (step, target))
    assert {weight.dtype for weight in rounded.values()} == {torch.bfloat16}
    assert all(torch.equal(full[name].bfloat16(), rounded[name]) for name in full)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_bf16_trains_on_a_cpu(workspace):
    study = {"max_steps": 2, "batch_size": 8}
    mixed = workspace.train(workspace.step("nli", train={**study, "precision": "bf16"}))
    assert mixed != workspace.train(workspace.step("nli", train=study))


def test_tokenizer_is_the_linked_file_of_the_parent(workspace):
    step = workspace.step("nli", train={"max_steps": 1, "batch_size": 8})
    workspace.train(step)
    parent = Path(step.parent.path) / "tokenizer.json"
    assert (Path(step.path) / "tokenizer.json").samefile(parent)


def test_state_is_saved_by_time(workspace, monkeypatch):
    step = workspace.step("nli", "dropout")
    crash(workspace, monkeypatch, step, at=9, save_minutes=1e-9)
    assert workspace.saves(step) == [7, 8]  # the last two
    crash(workspace, monkeypatch, workspace.step("nli", seed=2), at=9)
    assert workspace.saves(workspace.step("nli", seed=2)) == []
