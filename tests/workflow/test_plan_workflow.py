"""plan: on what a real Snakemake run leaves, and a real run of the study that it writes."""

import pytest

pytestmark = pytest.mark.slow


def test_plan_counts_what_a_run_made(first_run):
    checkout, _ = first_run
    shown = checkout.run("xstilts", "plan")
    assert shown.status == 0, shown.output
    assert "4 cells, 4 done, 0 to do" in shown.output


def test_the_study_of_a_budget_runs_just_the_choice(finished):
    finished.edit("config/config.yaml", "seeds: [1]", "seeds: [1, 2]")
    everything = finished.run("xstilts", "plan", "--gpu-hours", "1000")
    assert "no choice is better; 4 of 4 cells to do chosen" in everything.output
    lines = {line.split()[0]: line.split() for line in everything.output.splitlines() if line}
    assert lines["train"][1:4] == ["6", "3", "3"]
    hours = _hours(*lines["train"][4:6]) + _hours(*lines["predict"][4:6])  # not all fits
    options = ("--gpu-hours", str(0.6 * hours), "--write", "config/first.yaml")
    wrote = finished.run("xstilts", "plan", *options)
    assert wrote.status == 0, wrote.output
    assert "Written: config/first.yaml" in wrote.output
    first = _computing(finished.jobs("--configfile", "config/first.yaml"))
    left = _computing(finished.jobs())
    assert first
    assert left
    assert sorted(first + left) == [
        "predict tiny.nli-paraphrase.s2.paraphrase",
        "predict tiny.nli.s2.tatoeba",
        "predict tiny.paraphrase.s2.paraphrase",
        "train tiny.nli-paraphrase.s2",
        "train tiny.nli.s2",
        "train tiny.paraphrase.s2",
    ]


def _hours(amount: str, unit: str) -> float:
    return float(amount) / {"s": 3600, "min": 60, "h": 1}[unit]


def _computing(jobs: list[str]) -> list[str]:
    return [job for job in jobs if job.startswith(("train ", "predict "))]
