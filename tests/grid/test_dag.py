"""Requests of the rules, and the cost of planning."""

import inspect
import os
import re
import subprocess
import sys

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
