"""squeue and sacct of a run: no fault makes Snakemake wait forever, and each has one line."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from xstilts import status

BIN = Path(status.__file__).parent / "bin"
SQUEUE = "squeue --format=%i|%T --states=all --noheader --name run".split()
SACCT = "sacct -X --parsable2 --clusters all --noheader --format=JobIdRaw,State --name run".split()
COMMENT = "rule_train_wildcards_xlmr.none.s1.nli.0123456789ab"


@pytest.fixture
def ask(tmp_path):
    """Function that asks a SLURM, whose answer is given, as the plugin does; output and lines."""
    (tmp_path / "results/scratch").mkdir(parents=True)
    real = tmp_path / "slurm"
    real.mkdir()
    (real / "squeue").write_text("#!/bin/sh\n")
    (real / "squeue").chmod(0o755)

    def run(
        answer: str, code: int = 0, lasting: float = 60, command=SQUEUE
    ) -> tuple[str, list[str]]:
        (tmp_path / "answer").write_text(answer)
        (real / command[0]).write_text(
            f'#!/bin/sh\necho "$@" > arguments\ncat answer{" >&2" if code else ""}\nexit {code}\n'
        )
        (real / command[0]).chmod(0o755)
        lines = tmp_path / "terminal"
        lines.write_text("")
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ
            | {"PATH": os.pathsep.join([str(BIN), str(real), os.environ["PATH"]])}
            | {"XSTILTS_TERMINAL": str(lines), "XSTILTS_LASTING_SECONDS": str(lasting)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, lines.read_text().splitlines()

    return run


def test_states_are_passed_on(ask):
    answer = f"7|RUNNING|None|{COMMENT}\n8|COMPLETED|None|{COMMENT}\n9|PENDING|Priority|x|y\n"
    assert ask(answer) == ("7|RUNNING\n8|COMPLETED\n9|PENDING\n", [])


def test_slurm_that_does_not_answer_is_said_once(ask):
    error = "slurm_load_jobs error: Unable to contact slurm controller"
    output, lines = ask(error, 1)
    assert output == ""  # the plugin keeps its jobs
    assert lines == [f"squeue does not answer ({error}); jobs continue, Snakemake waits"]
    assert ask(error, 1) == ("", [])
    assert ask("") == ("", ["squeue answers again"])
    assert ask(error, 1)[1] == lines


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("JobHeldUser", "`scontrol release 7`"),
        ("launch failed requeued held", "`scontrol release 7`"),
        ("job requeued in held state", "`scontrol release 7`"),
        ("JobHeldAdmin", "administrator"),
        ("DependencyNeverSatisfied", "`scancel 7`"),
        ("PartitionTimeLimit", "site.yaml"),
        ("InvalidQOS", "site.yaml"),
    ],
)
def test_job_that_cannot_start_is_named_once(ask, reason, expected):
    answer = f"7|PENDING|{reason}|{COMMENT}\n"
    output, [line] = ask(answer)
    assert output == "7|PENDING\n"
    assert line.startswith("train xlmr.none.s1.nli: SLURM job 7 ")
    assert expected in line
    assert reason in line
    assert ask(answer) == (output, [])


@pytest.mark.parametrize("reason", ["Priority", "Resources", "QOSMaxJobsPerUserLimit", "BeginTime"])
def test_job_that_only_waits_is_not_named(ask, reason):
    assert ask(f"7|PENDING|{reason}|{COMMENT}\n")[1] == []


def test_requeued_job_is_named(ask):
    assert ask(f"7|RUNNING|None|{COMMENT}\n")[1] == []
    output, [line] = ask(f"7|PENDING|BeginTime|{COMMENT}\n")
    assert output == "7|PENDING\n"
    assert "is in the queue again" in line


@pytest.mark.parametrize(
    ("state", "words"),
    [("OUT_OF_MEMORY", "mem_mb"), ("TIMEOUT", "runtime"), ("CANCELLED", "was cancelled")],
)
def test_end_of_a_job_is_named_once(ask, state, words):
    answer = f"7|{state}|None|{COMMENT}\n"
    output, [line] = ask(answer)
    assert output == f"7|{state}\n"
    assert words in line
    assert ask(answer) == (output, [])


@pytest.mark.parametrize(("state", "failed"), [("PREEMPTED", "CANCELLED"), ("NODE_FAIL", "FAILED")])
def test_state_that_the_plugin_waits_in_ends(ask, state, failed):
    answer = f"7|{state}|None|{COMMENT}\n"
    assert ask(answer) == ("7|PENDING\n", [])  # SLURM may requeue it
    output, [line] = ask(answer, lasting=0)
    assert output == f"7|{failed}\n"
    assert "the next attempt makes it" in line


def test_forgotten_job_ends(ask):
    ask(f"7|RUNNING|None|{COMMENT}\n8|COMPLETED|None|{COMMENT}\n")
    assert ask("") == ("", [])
    output, [line] = ask("", lasting=0)
    assert output == "7|UNKNOWN\n"  # the plugin looks for its files
    assert "SLURM has forgotten job 7" in line


def test_cancelled_job_is_recognised_by_sacct(ask):
    answer = "7|CANCELLED by 0\n8|RUNNING\n"
    assert ask(answer, command=SACCT) == ("7|CANCELLED\n8|RUNNING\n", [])
    output, [line] = ask("slurmdbd: connection refused", 1, command=SACCT)
    assert output == ""
    assert line.startswith("sacct does not answer (slurmdbd: connection refused)")


def test_queue_is_more_recent_than_the_database(ask, tmp_path):
    (tmp_path / "slurm/squeue").write_text("#!/bin/sh\necho '7|RUNNING|None|x'\n")
    assert ask("7|PREEMPTED\n8|COMPLETED\n", command=SACCT)[0] == "7|RUNNING\n8|COMPLETED\n"


def test_other_calls_are_slurms_own(ask, tmp_path):
    assert ask("anything", command=["squeue", "--me"]) == ("anything", [])
    assert (tmp_path / "arguments").read_text() == "--me\n"


def test_plugins_pipe_is_not_passed_to_sacct(ask):
    guess = ["sacct", "-nu", "me", "-o", "Account%256", "|", "tail", "-1"]
    assert ask("sacct: invalid option -- '1'", 1, command=guess) == ("", [])


@pytest.mark.parametrize("name", ["sinfo", "sacctmgr", "sshare"])
def test_query_without_an_answer_is_empty(ask, name):
    output, [line] = ask("slurmdbd: connection refused", 1, command=[name, "-n"])
    assert output == ""
    assert line.startswith(f"{name} does not answer (slurmdbd: connection refused)")


def test_damaged_memory_is_ignored(ask, tmp_path):
    memory = tmp_path / "results/scratch/run.queue.json"
    memory.write_text("{")
    assert ask(f"7|RUNNING|None|{COMMENT}\n")[0] == "7|RUNNING\n"
    assert json.loads(memory.read_text())["jobs"].keys() == {"7"}
