"""benchmarks/gpu.py: its configurations compute the same, and `plan` reads its rates."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_project import make_grid, with_resources
from xstilts.costs.estimates import Estimator, MeasuredHardware, Table, load_table
from xstilts.costs.measured import Evidence
from xstilts.errors import InputError
from xstilts.recipe import parse

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu():
    """The benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("gpu")


@pytest.fixture(scope="module")
def steps(gpu):
    """The module of the steps that it measures."""
    return importlib.import_module("gpu_steps")


def table(folder: Path, rates: dict, **more) -> tuple[Table, str]:
    """Return the hardware with a card of these rates, and the card's name."""
    path = folder / "card.json"
    path.write_text(json.dumps({"device": "NVIDIA card", "rates": rates, **more}))
    return load_table().with_measured(path), str(path)


def measured(folder: Path, rates: dict, **more) -> MeasuredHardware:
    """Return a card of these rates."""
    hardware, name = table(folder, rates, **more)
    return hardware.hardware[name]


def rows(gpu) -> list[dict]:
    """Return rows as the benchmark writes them, with a rate for each configuration."""
    return [
        {"name": s.name, "phase": s.phase, "task": s.task, "precision": s.precision}
        | {"flops_per_second": 1e12 * number}
        for number, s in enumerate(gpu.SETUPS, 1)
    ]


@pytest.mark.slow
def test_a_bare_machine_has_what_the_benchmark_needs():
    others = ["pydantic", "snakemake", "datasets", "peft", "pulp", "seqeval", "jinja2"]
    code = (
        f"import runpy, sys; sys.modules |= dict.fromkeys({others}); "
        f"sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); runpy.run_module('gpu')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_packed_and_padded_batches_have_one_loss(steps):
    losses = {}
    for batches in ("grouped", "packed", "fixed"):
        setup = steps.Setup("train", "ud", batches, "fp32")
        run = steps.Run(setup, True, CPU)
        run.model.eval()
        numbers = np.arange(8)
        longest = steps.SCRIPT["ud"] * (batches == "fixed")
        batch = run.texts.padded(numbers, longest, batches == "packed")
        losses[batches] = steps.loss_of(run.model, batch).item()
    assert losses["packed"] == pytest.approx(losses["grouped"], abs=5e-7)
    assert losses["fixed"] == pytest.approx(losses["grouped"], abs=5e-7)


@pytest.mark.parametrize("phase", ["train", "predict"])
def test_batches_hold_each_text_once(steps, phase):
    size = steps.lengths("mnli", 300)
    batches = steps.batches_of(steps.Setup(phase, "mnli"), size)
    assert sorted(np.concatenate(batches)) == list(range(300))
    padded = sum(size[batch].max() * len(batch) for batch in batches)
    assert padded < 1.3 * size.sum()


def test_masked_batches_have_logits_for_a_few_tokens(steps):
    run = steps.Run(steps.Setup("train", "mlm", precision="fp32", graphs=True), True, CPU)
    shapes = {tuple(run.batch(batch)["chosen"].shape) for batch in run.batches}
    assert all(rows == 2 and count % 64 == 0 for rows, count in shapes)
    assert run.step(0) == run.size[run.batches[0]].sum()


def test_time_of_a_step_is_divided_among_kinds_of_kernels(gpu):
    setup = gpu.Setup("train", "mnli", precision="fp32")
    seen = gpu.kernels(setup, True, CPU)
    spent = seen["milliseconds"]
    assert spent["matrix products"] > spent["layer normalisation"] > 0
    for kind in ("attention", "optimiser and clipping", "dropout", "sums"):
        assert spent[kind] > 0, kind
    assert seen["count"] > 100


def test_processes_share_a_gpu_at_the_same_time(gpu, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    program = tmp_path / gpu.MPS
    program.write_text(f'#!/bin/sh\nset -- "$@" $(test -t 0 || cat)\necho "$*" >> {calls}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with gpu.shared_gpu() as environment:
        assert calls.read_text() == "-d\n"
        assert Path(environment["CUDA_MPS_PIPE_DIRECTORY"]).is_dir()
    assert calls.read_text() == "-d\nquit\n"
    assert not Path(environment["CUDA_MPS_PIPE_DIRECTORY"]).exists()


def test_plan_uses_the_measured_rates(gpu, tmp_path):
    card = measured(tmp_path, gpu.rates(rows(gpu)), x=1)
    assert card.flops("bf16", "train", "classify", False) == 1e12
    assert card.flops("bf16", "train", "answer", False) == 3e12
    assert card.flops("bf16", "train", "mask", False) == 4e12
    assert card.flops("bf16", "predict", "classify", False) == 5e12
    others = card.flops("bf16", "train", "choose", False)
    assert others == pytest.approx(4e12 / (1 + 1 / 2 + 1 / 3 + 1 / 4)), "mean of those measured"
    assert "NVIDIA card, bf16: TFLOP/s measured in" in card.basis("bf16")
    assert "train classify 1, train tag 2, train answer 3" in card.basis("bf16")
    with pytest.raises(InputError, match=r"no rate of phase predict in fp16 \(measured: bf16"):
        card.flops("fp16", "predict", "tag", False)


def test_one_measured_family_stands_for_others(tmp_path):
    rates = {"train": {"fp32": {"classify": 2e12}}, "predict": {}}
    eager = {"train": {"fp32": {"classify": 1e12}, "tf32": {"classify": 3e12}}}
    card = measured(tmp_path, rates, eager=eager)
    assert card.flops("fp32", "train", "tag", False) == 2e12
    assert card.flops("fp32", "train", "tag", True) == 1e12
    assert card.flops("tf32", "train", "tag", False) == 3e12, "measured without graphs only"
    assert card.flops("fp32", "train", "mask", False) == 1e12, "other heads say little"
    rates["train"]["fp32"]["mask"] = 4e12
    card = measured(tmp_path, rates, eager=eager)
    assert card.flops("fp32", "train", "mask", False) == 4e12


@pytest.mark.parametrize(
    ("recipe", "resources", "expected"),
    [
        ("nli", {}, 4e12),
        ("nli", {"eager": True}, 1e12),
        ("nli", {"gpu": 2}, 1e12),
        ("nli+entities", {}, 8e12 / 3),  # harmonic mean of 4 and 2: half of the work each
        ("nli+text", {}, 8e12 / 5),  # masked language modelling was measured without graphs only
    ],
)
def test_only_recorded_trainings_have_the_rate_of_graphs(tmp_path, recipe, resources, expected):
    rates = {"train": {"fp32": {"classify": 4e12, "tag": 2e12}}, "predict": {}}
    eager = {"train": {"fp32": {"classify": 1e12}}}
    grid = make_grid(models=["xlmr"], recipes=[recipe], multitask={"max_steps": 3})
    grid = with_resources(grid, **{"gpu": 1} | resources)
    estimator = Estimator(grid.project, Evidence(), *table(tmp_path, rates, eager=eager))
    step = grid.trainings.step("xlmr", parse(recipe), 1)
    assert estimator.rate(step) == pytest.approx(expected)


def test_measured_rates_determine_the_time(gpu, tmp_path):
    rates = {"train": {"fp32": {"classify": 1e6}}, "predict": {"fp32": {"classify": 1e6}}}
    grid = make_grid(models=["xlmr"], recipes=["none"], targets=["nli"], seeds=[1])
    grid = with_resources(grid, gpu=1)
    estimator = Estimator(grid.project, Evidence(), *table(tmp_path, rates))
    [score] = grid.scores()
    step = score.predictions.checkpoint
    cost = estimator.estimate(grid.artefacts().all())[step.id]
    start = estimator.table.assumptions.seconds["train"]
    assert cost.seconds == pytest.approx(start + estimator.work(step) / 1e6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "no keys `device` and `rates`; expected a file that benchmarks/gpu.py"),
        ('{"device": "x"}', "no keys `device` and `rates`"),
        ('{"device": "x", "rates": {"train": {"fp32": {"tag": 0}}}}', "above 0"),
        ("{", "damaged"),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load_table().with_measured(path)
    assert str(path) in str(error.value)
