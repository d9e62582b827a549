"""The sbatch of a run waits where SLURM refuses a job for a while; others fail at once."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import PATIENCE
from xstilts import status

SBATCH = Path(status.__file__).parent / "bin" / "sbatch"
STAND_IN = """#!/bin/bash
echo call >> calls
[ $(wc -l < calls) -gt {refusals} ] && echo 17 && exit 0
echo "sbatch: error: {reason}" >&2
exit 1
"""


@pytest.fixture
def submit(tmp_path):
    """Function that submits a job to a SLURM that refuses the first submissions, for one reason."""

    def run(reason: str, refusals: int = 2, **more: str) -> tuple[int, str, str, int]:
        (tmp_path / "sbatch").write_text(STAND_IN.format(reason=reason, refusals=refusals))
        (tmp_path / "sbatch").chmod(0o755)
        path = os.pathsep.join([str(SBATCH.parent), str(tmp_path), os.environ["PATH"]])
        environment = {"PATH": path, "XSTILTS_SUBMIT_SECONDS": "0.05"} | more
        process = subprocess.run(
            ["sbatch", "--parsable", "--comment", "rule_train"],
            cwd=tmp_path,
            env=os.environ | environment | {"XSTILTS_TERMINAL": f"/proc/{os.getpid()}/fd/2"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        calls = (tmp_path / "calls").read_text().count("call")
        (tmp_path / "calls").unlink()
        return process.returncode, process.stdout, process.stderr, calls

    return run


@pytest.mark.parametrize(
    "reason",
    ["QOSMaxSubmitJobPerUserLimit", "Unable to contact slurm controller (connect failure)", ""],
)
def test_a_refused_job_is_submitted_again(submit, reason):
    assert submit(reason)[::3] == (0, 3)
    assert submit(reason)[1] == "17\n"


def test_a_full_queue_is_waited_for_however_long(submit):
    assert submit("AssocMaxSubmitJobLimit", 12)[::3] == (0, 13)


def test_a_lasting_error_is_passed_on_at_once(submit):
    code, _, message, calls = submit("invalid partition specified: x", 99)
    assert (code, calls) == (1, 1)
    assert "invalid partition specified: x" in message


def test_a_stopped_run_submits_nothing(submit):
    code, _, message, calls = submit("AssocMaxSubmitJobLimit", 99, XSTILTS_SUBMITS="/proc/none")
    assert (code, calls) == (1, 1)
    assert "not submitted: Snakemake stops" in message
