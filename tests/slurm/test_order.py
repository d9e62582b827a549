"""A study on the cluster: order, GPUs, reuse. Training and prediction are stand-ins of no cost."""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.slurm.checkouts import Checkout, new_checkout, without_digests
from tests.tiny_project import MODELS, TASKS
from xstilts.grid.state import open_study

STUDY = {
    "study": "grid",
    "models": ["tiny"],
    "recipes": ["none", "nli", "paraphrase"],
    "targets": ["nli", "tatoeba"],
    "seeds": [1],
}
CELLS = 3 * 2
REFUSING = """#!/bin/sh
echo call >> {folder}/calls
[ $(($(wc -l < {folder}/calls) % 3)) = 0 ] || exec {sbatch} "$@"
echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
exit 1
"""
SLOW = """#!/bin/sh
sleep 1
exec {sacct} "$@"
"""


@pytest.fixture(scope="module")
def finished(cluster, tmp_path_factory) -> tuple[Checkout, list[str]]:
    """The study, run once, and the jobs that it submitted."""
    folder = tmp_path_factory.mktemp("order") / "checkout"
    needs = {"gpu": 1, "mem_mb": 1000, "runtime": 5}
    checkout = new_checkout(folder, cluster, STUDY, {"resources": needs})
    stand_ins = Path(__file__).with_name("stand_ins.py").read_text()
    (folder / "workflow/xstilts/stand_ins.py").write_text(stand_ins)
    for stage in ("train", "predict"):
        text = f'"""{stage}: a stand-in."""\nfrom xstilts.stand_ins import {stage} as run\n'
        (folder / f"workflow/xstilts/stages/{stage}.py").write_text(text)
    refuse = folder / "refuse"  # one submission in three, before SLURM's own sbatch; slow sacct
    refuse.mkdir()
    (refuse / "sbatch").write_text(REFUSING.format(sbatch=shutil.which("sbatch"), folder=folder))
    (refuse / "sacct").write_text(SLOW.format(sacct=shutil.which("sacct")))
    for name in ("sbatch", "sacct"):
        (refuse / name).chmod(0o755)
    path = os.pathsep.join([str(refuse), cluster.environment["PATH"]])
    checkout.environment.update(PATH=path, XSTILTS_SUBMIT_SECONDS="0.2")
    return checkout, checkout.run()


@pytest.fixture(scope="module")
def trace(finished) -> dict[str, dict]:
    """When and where each stand-in ran, by the artefact's id."""
    lines = (finished[0].folder / "trace.jsonl").read_text().splitlines()
    return {line["id"]: line for line in map(json.loads, lines)}


@pytest.fixture(scope="module")
def artefacts(finished):
    """Artefacts of the study."""
    return open_study(finished[0].folder / "config/config.yaml")[0].artefacts()


def test_cell_is_one_job_and_scores_are_none(finished, artefacts):
    checkout, submitted = finished
    kinds = Counter(comment.split("_")[1] for comment in submitted)
    trained = [node for node in artefacts.checkpoints.values() if node.parent]
    assert len(trained) == 4
    parents = {node.parent for node in trained}
    with_training = [
        made for made in artefacts.predictions.values() if made.checkpoint in {*trained} - parents
    ]
    assert len(with_training) == 2  # two recipes' trainings on NLI
    assert kinds == {
        "prepare": 4,
        "initialise": 1,
        "train": len(trained),
        "predict": len(artefacts.predictions) - len(with_training),
    }
    assert len(set(submitted)) == len(submitted)
    assert len(list(checkout.folder.glob("results/scores/*.json"))) == CELLS
    assert list(checkout.folder.glob("results/studies/grid/table.md"))
    assert re.search(r"^.+: sbatch refused it \(.*Limit\)", checkout.said(), re.M)
    jobs = [job for job in checkout.cluster.records() if job["WorkDir"] == str(checkout.folder)]
    assert len(jobs) == len(submitted), "none is submitted twice"
    limits = Counter(job["TimeLimit"] for job in jobs if job["Comment"].startswith("rule_train"))
    # a refusal is no attempt
    assert limits == {"00:05:00": 2, "00:10:00": 2}


def test_no_step_starts_before_its_parent_has_ended(trace, artefacts):
    for node in artefacts.checkpoints.values():
        if node.parent and node.parent.id in trace:
            assert trace[node.id]["start"] > trace[node.parent.id]["end"]
    for predictions in artefacts.predictions.values():
        if predictions.checkpoint.id in trace:
            assert trace[predictions.id]["start"] > trace[predictions.checkpoint.id]["end"]


def test_gpu_jobs_never_exceed_gpus(finished):
    jobs = [
        job for job in finished[0].cluster.records() if job["WorkDir"] == str(finished[0].folder)
    ]
    on_gpu = [job for job in jobs if "gpu" in job.get("TresPerJob", "")]
    kinds = {job["Comment"].split("_")[1] for job in on_gpu}
    assert kinds == {"train", "predict"}
    assert {job["Partition"] for job in on_gpu} == {"gpu"}
    others = [job for job in jobs if job not in on_gpu]
    assert {job["Comment"].split("_")[1] for job in others} == {"prepare", "initialise"}
    assert {job["Partition"] for job in others} == {"cpu"}
    edges = [(job["StartTime"], 1) for job in on_gpu] + [(job["EndTime"], -1) for job in on_gpu]
    running = peak = 0
    for _, change in sorted(edges):  # ends before starts within a second
        running += change
        peak = max(peak, running)
    assert peak == 2, "both GPUs work at a time, and no more jobs than that"


def test_a_second_invocation_submits_nothing(finished):
    assert finished[0].run() == []


def test_lost_score_and_prediction_are_made_alone(finished, artefacts):
    checkout, _ = finished
    parents = {node.parent for node in artefacts.checkpoints.values()}
    score = next(s for s in artefacts.scores.values() if s.predictions.checkpoint not in parents)
    for file, submitted in ((score.path, []), (score.predictions.files[0], ["predict"])):
        (checkout.folder / score.path).unlink()
        (checkout.folder / file).unlink(missing_ok=True)
        assert [line.split()[0] for line in without_digests(checkout.run())] == submitted
        assert (checkout.folder / file).exists()


def test_another_target_submits_its_jobs_alone(finished):
    checkout, _ = finished
    tatoeba = TASKS["tatoeba"]
    (split,) = tatoeba["splits"].values()
    other = tatoeba | {"splits": {"test": split | {"seed": 7}}}
    checkout.configure("config/tasks/other.yaml", {"other": other})
    study = STUDY | {"targets": [*STUDY["targets"], "other"]}
    checkout.configure("config/config.yaml", study)
    needs = {"gpu": 1, "mem_mb": 1000, "runtime": 5, "cells_per_gpu": 2}
    checkout.configure("config/models/tiny.yaml", {"tiny": MODELS["xlmr"] | {"resources": needs}})
    assert without_digests(checkout.run()) == [
        "predict",  # of two cells, on one GPU
        "predict tiny.paraphrase.s1.other",
        "prepare",
    ]
    lines = (checkout.folder / "trace.jsonl").read_text().splitlines()[-3:]
    places = Counter((line["node"], line["gpu"], line["job"]) for line in map(json.loads, lines))
    assert sorted(places.values()) == [1, 2]
    assert all(gpu for _, gpu, _ in places)
    shared = {job for (_, _, job), cells in places.items() if cells == 2}
    jobs = [job for job in checkout.cluster.records() if job["JobId"] in shared]
    assert {job["MinMemoryNode"] for job in jobs} == {"2000M"}
    assert all("gres/gpu=1" in job["TRES"] for job in jobs)
    checkout.configure("config/config.yaml", STUDY)
    assert checkout.run() == []
