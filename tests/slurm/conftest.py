"""A cluster for all tests of a session, and what they run on it."""

import os

import pytest

from tests.slurm.checkouts import FAULTS, Undisturbed, new_training, train_here
from tests.slurm.cluster import Cluster, missing_packages


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
    """Five nodes with GPUs, and accounting: as most clusters have."""
    with Cluster(tmp_path_factory.mktemp("cluster"), accounting=True) as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Undisturbed:
    """Results that every disturbed run must reach."""
    return train_here(tmp_path_factory.mktemp("undisturbed") / "checkout", FAULTS)


@pytest.fixture
def training(cluster, undisturbed, tmp_path):
    """A training to disturb, on partition gpu."""
    found = new_training(tmp_path / "checkout", cluster, undisturbed)
    yield found
    found.stop()
