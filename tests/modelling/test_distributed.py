"""Several processes share a model: equal weights as one process, also after an interruption."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests import PATIENCE, ROOT, eventually
from tests.paused import add_pauses, ask_to_pause, is_told_to_end
from tests.tiny_project import MODELS, STUDY, TASKS
from xstilts import store
from xstilts.config.project import Project
from xstilts.config.training import TrainingOptions
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.modelling import checkpoints, distributed
from xstilts.modelling.batches import Batches
from xstilts.modelling.saves import KEPT
from xstilts.recipe import parse
from xstilts.report.view import StudyView
from xstilts.stages import initialise, train

T5 = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
TOKENIZER = {"task": "text", "vocabulary": 200}
SETTINGS = {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-3}
# gradients are summed in another order; AdamW divides by their size, so weights move by full steps
TOLERANCE = SETTINGS["learning_rate"] / 2


def grid(recipe: str, **train) -> Grid:
    """Return the grid of the tiny project with an mT5."""
    mt5 = {"init": {"architecture": {"model_type": "mt5", **T5}, "tokenizer": TOKENIZER}}
    chosen = {"xlmr": MODELS["xlmr"], "mt5": mt5}
    settings = {**SETTINGS, **train}
    study = {**STUDY, "models": list(chosen), "recipes": [recipe], "train": settings}
    study["multitask"] = settings
    return Grid(Project.model_validate({"study": study, "tasks": TASKS, "models": chosen}))


def by_two(project: Grid, step, *options: str, package: Path = ROOT / "workflow"):
    """Start the training in two processes."""
    view = StudyView(project)
    view.write_snapshot()
    command = [sys.executable, "-m", "xstilts", "train", "--study", str(view.snapshot)]
    command += ["--log", "log", "--processes", "2", "--micro-batch", "4", *options, step.id]
    environment = os.environ | {"PYTHONPATH": str(package)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process) -> str:
    """Wait for a training that must succeed, and return its output."""
    _, output = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def paused(process) -> list[psutil.Process]:
    """Return the processes of a training that have paused."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if child.status() == psutil.STATUS_STOPPED]


def weights(step) -> dict[str, torch.Tensor]:
    """Return the weights of a published checkpoint."""
    store.Manifest.verify(Path(step.path))
    return load_file(Path(step.path) / "model.safetensors")


def assert_close(actual: dict, expected: dict) -> None:
    """Raise AssertionError if two trainings ended with different weights."""
    assert actual.keys() == expected.keys()
    for key, weight in actual.items():
        torch.testing.assert_close(weight, expected[key], rtol=0, atol=TOLERANCE, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"packing": True, "select": "best", "evaluate_every": 2}])
def test_two_processes_train_the_weights_of_one(workspace, settings):
    project = grid("completion+nli+text", **settings)
    step = project.trainings.step("xlmr", parse("completion+nli+text"), 1)
    train.run(step)
    expected, config = weights(step), (Path(step.path) / "config.json").read_text()
    os.rename(step.path, "one")
    output = finish(by_two(project, step))
    assert output.count(" 6/6") <= 1, "one process reports"
    assert Path("log").exists()
    assert_close(expected, weights(step))
    assert (Path(step.path) / "config.json").read_text() == config
    log = store.read_lines(Path(step.path) / "training.jsonl")
    references = store.read_lines(Path("one") / "training.jsonl")
    for entry, reference in zip(log, references, strict=True):
        assert entry.get("eval_score") == reference.get("eval_score")
        if "grad_norm" not in entry:
            continue
        assert entry["grad_norm"] == pytest.approx(reference["grad_norm"], rel=1e-3)
    assert not (store.SCRATCH / step.id).exists()


@pytest.mark.slow
def test_a_signal_reaches_all_processes_and_resumes(workspace, tmp_path):
    project = grid("nli", max_steps=12, select="best", evaluate_every=4)
    package = Path(shutil.copytree(ROOT / "workflow", tmp_path / "pausing"))
    add_pauses(package)
    initialise.run(project.trainings.root("mt5"))
    step = project.trainings.step("mt5", parse("nli"), 1)
    train.run(step, TrainingOptions(micro_batch=4))
    expected = weights(step)
    os.rename(step.path, "one")
    ask_to_pause(Path(), processes=2)
    process = by_two(project, step, "--save-every", "5", package=package)
    assert eventually(lambda: process.poll() is not None or len(paused(process)) == 2)
    both = paused(process)
    process.send_signal(signal.SIGTERM)
    assert eventually(lambda: all(is_told_to_end(child.pid) for child in both))
    for child in both:
        child.resume()
    _, output = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, output
    assert f"{step.id}: stopped at step " in output
    stopped = int(output.split("stopped at step ")[1].split()[0])
    assert stopped in (5, 6)
    assert not Path(step.path).exists()
    assert not store.failure_file(step.id).exists(), "no failure: the next run resumes"
    saved = store.SCRATCH / step.id / "sharded"
    saves = sorted(str(p.relative_to(saved)) for p in saved.rglob("*") if p.is_file())
    shards = [name for name in saves if name.endswith(".distcp") and "model" in name]
    kept = Counter(name.split("/")[0] for name in shards)
    assert kept[f"checkpoint-{stopped}"] == 2, saves
    assert set(kept.values()) == {2}, saves
    assert len(kept) <= KEPT, saves
    output = finish(by_two(project, step))
    assert f"resuming from step {stopped}" in output
    assert_close(expected, weights(step))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("micro", [8, 3, 1])
def test_processes_have_equally_many_micro_batches(workspace, monkeypatch, count, micro):
    step = grid("nli").trainings.step("xlmr", parse("nli"), 1)
    tokenizer = checkpoints.load_tokenizer(Path(step.parent.path))
    materials = train.read_materials(step, tokenizer)
    monkeypatch.setenv("WORLD_SIZE", str(count))
    batches = Batches(step, materials, tokenizer, micro)
    assert batches.per_step % count == 0
    assert len(batches) == batches.steps * batches.per_step
    sizes = [len(batches[number]["labels"]) for number in range(batches.per_step)]
    assert max(sizes) <= micro
    weights = [batches[number]["weight"] for number in range(batches.per_step)]
    assert sum(weights) == pytest.approx(batches.per_step)
    assert sum(size for size, weight in zip(sizes, weights, strict=True) if weight) == 8


@pytest.mark.parametrize(
    ("nodes", "begin"), [(1, []), (2, ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"])]
)
def test_launched_command(monkeypatch, nodes, begin):
    monkeypatch.setenv("SLURM_JOB_ID", "71234")
    command = distributed.command_of(8, nodes, ["train", "--processes", "8", "x"])
    assert command[: len(begin)] == begin
    assert f"--nproc-per-node={8 // nodes}" in command
    assert command[-7:] == ["-m", "--", "xstilts", "train", "--processes", "8", "x"]
    assert ("--standalone" in command) == (nodes == 1)
    if nodes == 2:
        [where] = [part for part in command if part.startswith("--rdzv-endpoint=")]
        assert where.endswith(":29734"), "jobs on one node do not meet"


def test_processes_must_divide_among_nodes():
    with pytest.raises(InputError, match="--processes 3: expected a multiple of the nodes, 2"):
        distributed.launch(3, 2, [])


@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        ("xlm-roberta", "XLMRobertaLayer"),
        ("xlm-roberta-xl", "XLMRobertaXLLayer"),
        ("mt5", "MT5Block"),
        ("bert", "BertLayer"),
        ("deberta-v2", "DebertaV2Layer"),
    ],
)
def test_units_of_sharding_are_layers(model_type, expected):
    config = transformers.AutoConfig.for_model(model_type, num_hidden_layers=3)
    with torch.device("meta"):
        model = checkpoints.model_class(config, "classify")(config)
    assert distributed.layer_class(model) == expected
