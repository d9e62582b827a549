"""Planning: the jobs that Snakemake counts are the artefacts that the study wants."""

import re
import runpy
from collections import Counter

import pytest

from tests import ROOT
from xstilts.grid.state import open_study


@pytest.mark.slow
def test_a_large_grid_is_planned_as_expanded(tmp_path):
    dag = runpy.run_path(str(ROOT / "benchmarks" / "dag.py"))
    study = dag["write_study"](tmp_path, dag["Size"](models=3, recipes=10, targets=9, seeds=5))
    jobs = dag["dry_run"](tmp_path).jobs

    found = open_study(study)[0].artefacts()
    expected = Counter(f"prepare_{task}" for task in {d.task for d in found.datasets.values()})
    for checkpoint in found.checkpoints.values():
        expected["train" if checkpoint.parent else "initialise"] += 1
    expected += Counter(f"predict_{p.target}" for p in found.predictions.values())
    expected["score"] = len(found.scores)
    expected["study"] = expected["all"] = 1
    expected["total"] = expected.total()
    assert jobs == expected
    assert jobs["score"] == 3 * 10 * 9 * 5
    assert jobs["train"] == 3 * 5 * 9 + 3 * 5 * 9 * 10  # intermediate steps, targets


def test_a_batch_is_planned_alone(fresh):
    run = fresh.snakemake("--dry-run", "--batch", "all=1/10", "--quiet", "rules")
    assert run.status == 0, run.output
    assert re.search(r"^score +[1-3]$", run.output, re.M), run.output
    assert not re.search(r"^study ", run.output, re.M)


def test_a_mistake_stops_the_planning(fresh):
    fresh.edit("config/config.yaml", "models: [tiny]", "models: [tinny]")
    run = fresh.snakemake("--dry-run")
    assert run.status != 0
    assert "unknown model 'tinny': did you mean 'tiny'?" in run.output
    assert "Traceback" not in run.output
    assert not (fresh.folder / "results").exists()
