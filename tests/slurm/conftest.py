"""A cluster for all tests of a session, and what they run on it."""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # of tiny_project

from checkouts import FAULTS, Undisturbed, new_checkout, new_training
from cluster import Cluster, missing_packages


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("these tests mount small file systems: run them as root", returncode=2)
    packages = missing_packages()
    if packages:
        pytest.exit(
            "these tests start a SLURM of their own and need Debian's packages for it: "
            f"apt-get install --no-install-recommends {' '.join(packages)}",
            returncode=2,
        )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three nodes with a GPU each, and accounting: as most clusters have."""
    with Cluster(tmp_path_factory.mktemp("cluster"), accounting=True) as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Undisturbed:
    """What every disturbed run must end with."""
    import torch
    import transformers

    from xstilts.stages import initialise, prepare, train
    from xstilts.workplan import StudyView, open_study

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    checkout = new_checkout(tmp_path_factory.mktemp("undisturbed") / "checkout", None, FAULTS, {})
    with contextlib.chdir(checkout.folder):
        grid, _ = open_study(checkout.folder / "config/config.yaml")
        artefacts = grid.artefacts()
        prepare.run(list(artefacts.datasets.values()), grid.project)
        (step,) = [node for node in artefacts.checkpoints.values() if node.parent]
        initialise.run(step.parent)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        train.run(step)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        StudyView(grid).write_snapshot()
        weights = Path(step.path, "model.safetensors").read_bytes()
        shutil.rmtree(step.path)
    return Undisturbed(checkout.folder / "results", step.id, weights)


@pytest.fixture
def training(cluster, undisturbed, tmp_path):
    """A training to disturb, on partition gpu."""
    found = new_training(tmp_path / "checkout", cluster, undisturbed)
    yield found
    found.stop()
