"""Requests of the rules, and the cost of planning."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake import common, rules

from tests import ROOT
from tests.grid.test_grid import grid
from xstilts.grid import dag
from xstilts.processes.snakemake import plan_fast


def a_run(**differs) -> SimpleNamespace:
    """A run of Snakemake on a cluster."""
    usual = {"plans": True, "everything": None, "on_cluster": True, "targets": set()}
    return SimpleNamespace(**usual | differs)


def test_snakemake_inspects_a_function_once(monkeypatch):
    for module in (common, rules):  # both are restored after the test
        monkeypatch.setattr(module, "get_function_params", common.get_function_params)
    inspected, signature = [], inspect.signature
    monkeypatch.setattr(inspect, "signature", lambda f: inspected.append(f) or signature(f))

    def memory(wildcards, attempt):
        return attempt

    plan_fast()
    for attempt in (1, 2, 3):
        arguments = {"attempt": attempt, "input": []}
        result = rules.Rule.apply_input_function(None, memory, {"node": "a"}, **arguments)
        assert result == (attempt, False)
    assert inspected == [memory]


def test_planning_imports_no_numerical_library():
    rules_file = (ROOT / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    imports = re.findall(r"^from xstilts.*$", rules_file, re.M)
    check = "import sys; print({'torch', 'transformers', 'pandas', 'pyarrow'} & {*sys.modules})"
    command = [sys.executable, "-c", "\n".join([*imports, check])]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr


def test_score_waits_for_the_training_that_predicts_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    requests = dag.Requests(grid(), a_run())
    score = next(s for s in grid().scores() if s.predictions.checkpoint.id in requests.cells)
    training = score.predictions.checkpoint
    assert score.predictions.id in requests.predicted_by(training.id)
    assert training.files[-1] in requests.inputs("scores", [score.id])
    tests = {file for data in score.predictions.datasets for file in data.files}
    assert tests & set(requests.inputs("checkpoints", [training.id]))
    assert training.files[-1] not in requests.inputs("checkpoints", [training.id])
    Path(training.files[-1]).parent.mkdir(parents=True)
    Path(training.files[-1]).touch()
    later = dag.Requests(requests.grid, a_run())
    assert score.predictions.files[-1] in later.inputs("scores", [score.id])


@pytest.mark.parametrize(
    "differs",
    [
        {"on_cluster": False},
        {"everything": "forced"},
        {"targets": {"train_all", "fetch_all"}},
        {"targets": {"./results/checkpoints/a.b.s1.0123456789ab/manifest.json"}},
    ],
)
def test_a_training_is_not_always_predicted(differs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dag.Requests(grid(), a_run(targets={"score_all"})).cells
    requests = dag.Requests(grid(), a_run(**differs))
    assert not requests.cells
    training = next(score.predictions.checkpoint for score in grid().scores())
    data = requests.inputs("checkpoints", [training.id])
    assert not [file for file in data if ".test." in file]


def test_a_job_knows_the_cells_of_its_run():
    requests = dag.Requests(grid(), a_run(plans=False), cells={"a.s1.0": ["a.s1.x.0"]})
    assert requests.predicted_by("a.s1.0") == ["a.s1.x.0"]
    assert requests.predicted_by("a.s2.0") == []
