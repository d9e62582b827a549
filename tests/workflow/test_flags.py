"""Snakemake's flags that ask for existing files: each run for real on the finished small study."""

import pytest

from tests.workflow.test_staleness import ALL_SCORES

pytestmark = pytest.mark.slow


def output(checkout, *options):
    run = checkout.snakemake(*options)
    assert run.status == 0, run.output
    return run.output


def test_touch_accepts_all_results(finished):
    before = finished.files("results/scores/*")
    assert finished.jobs("--touch") == []
    assert finished.files("results/scores/*") == before
    assert finished.jobs() == []


def test_forcerun_repeats_a_rule_alone(finished):
    run = finished.snakemake("--forcerun", "score", "--cores", "1", "--verbose")
    assert (run.status, run.jobs) == (0, ALL_SCORES)  # equal scores: the study is current
    assert run.output.count("Ready jobs:") == len(ALL_SCORES)  # the scheduler looks once per job


def test_forceall_plans_every_job(finished, first_run):
    run = finished.snakemake("--forceall", "--dry-run")
    assert sorted(run.jobs) == sorted(first_run[1].jobs)


def test_report_shows_every_cell(finished):
    output(finished, "--report", "report.html")
    report = (finished.folder / "report.html").read_text(encoding="utf-8")
    for path in finished.files("results/scores/*.json"):
        assert path.rsplit("/", 1)[1] in report


def test_summary_lists_every_output(finished):
    summary = output(finished, "--summary")
    for path in finished.files("results/scores/*"):
        assert path.split("/checkout/")[1] in summary


def test_dag_draws_every_job(finished, first_run):
    drawing = output(finished, "--dag")
    assert drawing.count("label =") == len(first_run[1].jobs) + 1  # and `all`


def test_delete_all_output_removes_results(finished):
    output(finished, "--delete-all-output")
    patterns = ("scores/*", "checkpoints/*/manifest.json", "data/*/manifest.json")
    assert [finished.files(f"results/{pattern}") for pattern in patterns] == [{}, {}, {}]


def test_list_untracked_omits_results(finished):
    untracked = output(finished, "--list-untracked").splitlines()
    assert [line for line in untracked if line.startswith("results/scores")] == []
