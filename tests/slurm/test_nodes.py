"""Trainings by several processes as one job: on two nodes, and on one.

The nodes are of one machine without GPUs, so processes meet by gloo; SLURM shares out the rest.
"""

import pytest
import torch
from safetensors.torch import load

from tests import PATIENCE
from tests.slurm.checkouts import FAULTS, SITE, new_training, train_here

RATE = 1e-3
STUDY = FAULTS | {"train": {"max_steps": 6, "batch_size": 8, "learning_rate": RATE}}
MICRO_BATCH = 2


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    """The training by one process."""
    return train_here(tmp_path_factory.mktemp("by_one") / "checkout", STUDY, MICRO_BATCH)


@pytest.mark.parametrize("nodes", [2, 1])
def test_several_gpus_give_the_weights_of_one(cluster, by_one, tmp_path, nodes):
    needs = {"gpu": 2 * nodes, "nodes": nodes, "micro_batch": MICRO_BATCH}
    needs |= {"mem_mb": 5900, "runtime": 10}
    training = new_training(tmp_path / "checkout", cluster, by_one, needs)
    site = SITE | {"partitions": {"cpu": "cpu", "gpu": "pairs"}}
    training.configure("profiles/slurm/site.yaml", site)
    try:
        assert training.start().wait(2 * PATIENCE) == 0, training.said() + training.log()
    finally:
        training.stop()
    (job,) = training.jobs()
    assert (job["NumNodes"], job["NumCPUs"]) == (str(nodes), str(2 * nodes)), "one for each GPU"
    assert job["TRES"].endswith(f"gres/gpu={2 * nodes}"), job["TRES"]
    made = training.folder / "results/checkpoints" / by_one.step / "model.safetensors"
    found, expected = load(made.read_bytes()), load(by_one.weights)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        # sums of gradients in another order; AdamW divides by their size
        torch.testing.assert_close(found[name], weight, rtol=0, atol=RATE / 2, msg=name)
