"""`doctor`: what is wrong with an installation is named, with a remedy, and fails the command."""

import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from tests import ROOT, SMALL
from xstilts.cli import FAILED, main
from xstilts.status import doctor

MODELS = Path("config/models/small.yaml")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The small study in a folder of its own, a copy of what pins versions, and an empty PATH."""
    project = tmp_path / "project"
    (project / "envs").mkdir(parents=True)
    (project / "profiles" / "slurm").mkdir(parents=True)
    for name in ("pyproject.toml", "envs/requirements.lock"):
        shutil.copy(ROOT / name, project / name)
    shutil.copytree(SMALL, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "ROOT", project)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def examined(capsys) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["doctor"])
    return status, capsys.readouterr().out


def program(name: str, output: str, status: int = 0) -> None:
    path = Path("bin") / name
    path.parent.mkdir(exist_ok=True)
    lines = "".join(f"echo '{line}'\n" for line in output.splitlines())
    path.write_text(f"#!/bin/sh\n{lines}exit {status}\n")
    path.chmod(0o755)


def cluster(sinfo: str, **site) -> None:
    for name in ("sbatch", "squeue", "scancel"):
        program(name, "")
    program("sinfo", sinfo)
    Path("project/profiles/slurm/site.yaml").write_text(yaml.safe_dump(site))


def ask_for_gpus(count: int) -> None:
    models = yaml.safe_load(MODELS.read_text())
    models["tiny"]["resources"] = {"gpu": count}
    MODELS.write_text(yaml.safe_dump(models))


def test_all_is_well(place, capsys):
    status, told = examined(capsys)
    assert status == 0, told
    assert "✗" not in told
    for name in ("Python", "libraries", "folder results", "disk", "SLURM", "GPUs"):
        assert f"✓ {name}: " in told
    assert "all is well" in told
    assert not Path("results").exists()


def test_libraries_that_differ_from_the_lock(place, capsys):
    lock = Path("project/envs/requirements.lock")
    lock.write_text("pydantic==0.1\nnot-for-developers==1.0\nRich==0.2\nno_such_library==3.0\n")
    stated = Path("project/pyproject.toml")
    stated.write_text(
        '[project]\nrequires-python = ">=3.99"\ndependencies = ["no-such-library==3.0"]\n'
    )
    status, told = examined(capsys)
    assert status == FAILED
    assert "expected 3.99 or later" in told
    assert ", not 0.1, " in told
    assert "no_such_library is not installed" in told
    assert "not-for-developers" not in told
    assert "pip install --requirement envs/requirements.lock" in told
    assert "2 of the checks failed" in told


def test_a_folder_that_cannot_be_written(place, capsys):
    Path("results").write_text("a file in its place")
    status, told = examined(capsys)
    assert status == FAILED
    assert "✗ folder results: results: cannot write here" in told


def test_too_little_room(place, capsys, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(9, 9, 10))
    status, told = examined(capsys)
    assert status == FAILED
    assert "✗ disk: 10 B free, the study needs about " in told
    assert "xstilts plan --disk" in told


def test_downloads_that_are_not_there(place, capsys):
    models = yaml.safe_load(MODELS.read_text())
    models["far"] = {"hub": {"repository": "some/model", "revision": "a" * 40}, "parameters": 1e6}
    MODELS.write_text(yaml.safe_dump(models))
    study = Path("config/config.yaml")
    study.write_text(study.read_text().replace("models: [tiny]", "models: [far]"))
    status, told = examined(capsys)
    assert status == FAILED, told
    assert "✗ downloads: 1 of 1 are not there: far.hub." in told
    assert "make fetch STUDY=config/config.yaml" in told


def test_a_site_without_its_slurm(place, capsys):
    Path("project/profiles/slurm/site.yaml").write_text("account: mine\n")
    status, told = examined(capsys)
    assert status == FAILED
    assert "✗ SLURM: no sbatch, squeue, scancel, sinfo on the PATH" in told


def test_a_cluster_as_the_site_says(place, capsys):
    ask_for_gpus(1)
    site = {"partitions": {"cpu": "std", "gpu": "acc"}, "gpu_model": "h200"}
    cluster("std|(null)\nacc|gpu:h200:8(S:0-1)", **site)
    status, told = examined(capsys)
    assert status == 0, told
    assert "✓ SLURM: partitions acc, std" in told
    assert "✓ GPUs: SLURM offers gpu:h200:8" in told


def test_a_cluster_of_another_kind(place, capsys):
    ask_for_gpus(1)
    cluster("std|gpu:a100:4", partitions={"cpu": "std", "gpu": "acc"}, gpu_model="h200")
    status, told = examined(capsys)
    assert status == FAILED
    assert "✗ partition of gpu jobs: the cluster has none called acc\n    correct site.yaml" in told
    assert "✗ GPUs: SLURM offers gpu:a100:4, none is h200" in told
    program("sinfo", "", status=1)
    assert "✗ SLURM: sinfo: " in examined(capsys)[1]


def test_gpus_that_a_job_asks_for_and_torch_does_not_see(place, capsys, monkeypatch):
    ask_for_gpus(1000)
    python = Path("bin/python")
    program("python", "3 12.8")
    monkeypatch.setattr(sys, "executable", str(python.resolve()))
    status, told = examined(capsys)
    assert status == FAILED
    assert "✗ GPUs: torch sees 3, a job asks for 1000\n    no nvidia-smi: run on" in told
    program("nvidia-smi", "")
    program("python", "0 None")
    assert "this torch was built without CUDA" in examined(capsys)[1]


def test_releases_that_are_not_there_are_named(place, capsys):
    tasks = Path("config/tasks/small.yaml")
    entries = yaml.safe_load(tasks.read_text())
    files = {"source": "files", "format": "xnli", "path": "a/{language}"}
    entries["paraphrase"]["splits"]["test"] = files
    tasks.write_text(yaml.safe_dump(entries))
    status, told = examined(capsys)
    assert status == FAILED
    assert "✗ releases: 1 of 1 data sets have no files: paraphrase.en.test" in told
    assert "unpack the releases below data, as the `path` of each entry" in told
