"""Another workflow uses this one as a module, from a folder of its own."""

import pytest

from tests import ROOT, SMALL
from tests.workflow.conftest import Checkout

pytestmark = pytest.mark.slow

OUTER = f"""
configfile: "config/config.yaml"

module xstilts:
    snakefile: "{ROOT}/Snakefile"
    config: config

use rule * from xstilts

onstart:
    xstilts.onstart()

rule thesis:
    input:
        rules.study.output,
    output:
        "thesis.txt",
    shell:
        "echo done > {{output}}"
"""


def test_other_workflow_runs_a_study(tmp_path):
    import shutil

    shutil.copytree(SMALL, tmp_path / "config")
    (tmp_path / "Snakefile").write_text(OUTER, encoding="utf-8")
    run = Checkout(tmp_path, ROOT / "workflow").snakemake("thesis", "--rerun-triggers", "mtime")
    assert run.status == 0, run.output
    assert (tmp_path / "thesis.txt").read_text() == "done\n"
    assert len(list(tmp_path.glob("results/scores/*.json"))) == 4
