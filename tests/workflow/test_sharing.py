"""Cells that share a GPU, and jobs with one each, in a real run; the GPUs are pretended."""

import re

import pytest

from tests.workflow.conftest import Checkout


def gpus(checkout: Checkout) -> dict[str, str]:
    """Return the GPU of each job, by the name of its log."""
    logs = checkout.folder.glob("results/logs/*/*.log")
    found = {path.stem: re.search(r" GPU (\S+)$", path.read_text(), re.M) for path in logs}
    return {name: match[1] for name, match in found.items() if match}


@pytest.mark.slow
def test_cells_share_a_gpu_and_results_are_equal(fresh, first_run, monkeypatch):
    needs = "resources: {mem_mb: 1000"
    fresh.edit("config/models/small.yaml", needs, f"{needs}, gpu: 1, cells_per_gpu: 2")
    fresh.edit("config/config.yaml", "seeds: [1]", "seeds: [1, 2]")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    run = fresh.snakemake("train_all", "--config", "recipes=[nli]")
    assert run.status == 0, run.output
    assert re.search(r"Provided resources: gpu=\D*2\b", run.output)  # found by itself
    together = [job for job in run.jobs if job.startswith("train on one GPU: ")]
    assert len(together) == 2  # nli, nli-paraphrase: two seeds each
    assert {name.rpartition("_")[0] for name in gpus(fresh)} == {"train_together"}
    assert set(gpus(fresh).values()) <= {"0", "1"}
    trained = [*fresh.folder.glob("results/checkpoints/*.s1.*/model.safetensors")]
    chains = {path.parent.name.split(".")[1] for path in trained}
    assert chains == {"nli", "nli-paraphrase"}
    for weights in trained:
        alone = first_run[0].folder / weights.relative_to(fresh.folder)
        assert weights.read_bytes() == alone.read_bytes()
    assert fresh.jobs("train_all", "--config", "recipes=[nli]") == []  # nothing is missing


@pytest.mark.slow
def test_job_of_a_machine_with_gpus_takes_one(fresh, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    run = fresh.snakemake("--resources", "gpu=1", "--until", "train", "--config", "recipes=[none]")
    assert run.status == 0, run.output
    assert set(gpus(fresh).values()) == {"3"}
