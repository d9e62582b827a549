"""Requests of the rules, and the cost of planning."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

from snakemake import common, rules

from tests import ROOT
from tests.grid.test_grid import grid
from xstilts.grid import dag


def test_snakemake_inspects_a_function_once(monkeypatch):
    for module in (common, rules):  # both are restored after the test
        monkeypatch.setattr(module, "get_function_params", common.get_function_params)
    inspected, signature = [], inspect.signature
    monkeypatch.setattr(inspect, "signature", lambda f: inspected.append(f) or signature(f))

    def memory(wildcards, attempt):
        return attempt

    dag.inspect_functions_once()
    for attempt in (1, 2, 3):
        arguments = {"attempt": attempt, "input": []}
        result = rules.Rule.apply_input_function(None, memory, {"node": "a"}, **arguments)
        assert result == (attempt, False)
    assert inspected == [memory]


def test_requests_ask_once_whether_all_is_requested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []
    requests = dag.Requests(grid(), planning=True, everything=lambda: asked.append(True))
    scores = list(requests.grid.artefacts().scores)
    assert requests.inputs("scores", scores) == requests.inputs("scores", scores)
    assert len(asked) == 2, "for `everything` and for `shown`"


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
    requests = dag.Requests(grid(), True, lambda: None, in_one_job=lambda model: True)
    scores = requests.grid.artefacts().scores.values()
    after = requests._after_training
    score = next(s for s in scores if s.predictions.checkpoint.id in after)
    training = score.predictions.checkpoint
    requests.goal("train_all")
    assert not requests.cells, "nothing asked for predictions"
    assert training.files[-1] in requests.inputs("scores", [score.id])
    assert requests.cells == {training.id: [made.id for made in after[training.id]]}
    tests = {file for data in score.predictions.datasets for file in data.files}
    assert tests & set(requests.inputs("checkpoints", [training.id]))
    assert training.files[-1] not in requests.inputs("checkpoints", [training.id])
    Path(training.files[-1]).parent.mkdir(parents=True)
    Path(training.files[-1]).touch()
    later = dag.Requests(requests.grid, True, lambda: None, in_one_job=lambda model: True)
    assert score.predictions.files[-1] in later.inputs("scores", [score.id])
