"""`doctor`: each fault of an installation is named with a remedy and fails the command."""

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


def examine(capsys) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["doctor"])
    return status, capsys.readouterr().out


def faults(capsys) -> str:
    """Return the output of `doctor`, which must fail."""
    status, output = examine(capsys)
    assert status == FAILED, output
    return output


def program(name: str, printed: str, status: int = 0) -> None:
    path = Path("bin") / name
    path.parent.mkdir(exist_ok=True)
    lines = "".join(f"echo '{line}'\n" for line in printed.splitlines())
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


def test_good_installation_passes(place, capsys):
    status, output = examine(capsys)
    assert status == 0, output
    assert "✗" not in output
    for name in ("Python", "libraries", "folder results", "disk", "SLURM", "GPUs"):
        assert f"✓ {name}: " in output
    assert "all checks passed" in output
    assert not Path("results").exists()


def test_versions_must_match_the_lock(place, capsys):
    lock = Path("project/envs/requirements.lock")
    lock.write_text("pydantic==0.1\nnot-for-developers==1.0\nRich==0.2\nno_such_library==3.0\n")
    stated = Path("project/pyproject.toml")
    stated.write_text(
        '[project]\nrequires-python = ">=3.99"\ndependencies = ["no-such-library==3.0"]\n'
    )
    output = faults(capsys)
    assert "expected 3.99 or later" in output
    assert ", expected 0.1, " in output
    assert "no_such_library is not installed" in output
    assert "not-for-developers" not in output
    assert "pip install --requirement envs/requirements.lock" in output
    assert "2 checks failed" in output


def test_unwritable_folder_fails(place, capsys):
    Path("results").write_text("a file in its place")
    output = faults(capsys)
    assert "✗ folder results: results: cannot write here" in output


def test_unwritable_cache_of_snakemake_fails(place, capsys, monkeypatch):
    Path("cache").write_text("a file in its place")
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    output = faults(capsys)
    assert "✗ folder cache/snakemake" in output
    assert "set XDG_CACHE_HOME" in output


def test_full_disk_fails(place, capsys, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(9, 9, 10))
    output = faults(capsys)
    assert "✗ disk: 10 B free; the study needs about " in output
    assert "xstilts plan --disk" in output


def test_missing_downloads_are_named(place, capsys):
    models = yaml.safe_load(MODELS.read_text())
    models["far"] = {"hub": {"repository": "some/model", "revision": "a" * 40}, "parameters": 1e6}
    MODELS.write_text(yaml.safe_dump(models))
    study = Path("config/config.yaml")
    study.write_text(study.read_text().replace("models: [tiny]", "models: [far]"))
    output = faults(capsys)
    assert "✗ downloads: 1 of 1 missing: far.hub." in output
    assert "make fetch STUDY=config/config.yaml" in output


def test_site_needs_slurm(place, capsys):
    Path("project/profiles/slurm/site.yaml").write_text("account: mine\n")
    output = faults(capsys)
    assert "✗ SLURM: no sbatch, squeue, scancel, sinfo on the PATH" in output


def test_damaged_site_of_this_folder_is_named(place, capsys):
    Path("profiles/slurm").mkdir(parents=True)
    Path("profiles/slurm/site.yaml").write_text("partitions: [gpu")
    output = faults(capsys)
    assert "✗ SLURM: profiles/slurm/site.yaml, line 1: not valid YAML" in output


def test_cluster_that_matches_the_site_passes(place, capsys):
    ask_for_gpus(1)
    site = {"partitions": {"cpu": "std", "gpu": "acc"}, "gpu_model": "h200"}
    cluster("std|(null)\nacc|gpu:h200:8(S:0-1)", **site)
    status, output = examine(capsys)
    assert status == 0, output
    assert "✓ SLURM: partitions acc, std" in output
    assert "✓ GPUs: SLURM offers gpu:h200:8" in output


def test_cluster_must_match_the_site(place, capsys):
    ask_for_gpus(1)
    cluster("std|gpu:a100:4", partitions={"cpu": "std", "gpu": "acc"}, gpu_model="h200")
    output = faults(capsys)
    assert (
        "✗ partition of gpu jobs: the cluster has none called acc\n    correct site.yaml" in output
    )
    assert "✗ GPUs: SLURM offers gpu:a100:4, none is h200" in output
    program("sinfo", "", status=1)
    assert "✗ SLURM: sinfo: " in examine(capsys)[1]


def test_torch_must_see_enough_gpus(place, capsys, monkeypatch):
    ask_for_gpus(1000)
    python = Path("bin/python")
    program("python", "3 12.8")
    monkeypatch.setattr(sys, "executable", str(python.resolve()))
    output = faults(capsys)
    assert "✗ GPUs: torch sees 3, a job needs 1000\n    no nvidia-smi: run on" in output
    program("nvidia-smi", "")
    program("python", "0 None")
    assert "this torch was built without CUDA" in examine(capsys)[1]


def test_missing_releases_are_named(place, capsys):
    tasks = Path("config/tasks/small.yaml")
    entries = yaml.safe_load(tasks.read_text())
    files = {"source": "files", "format": "xnli", "path": "a/{language}"}
    entries["paraphrase"]["splits"]["test"] = files
    tasks.write_text(yaml.safe_dump(entries))
    output = faults(capsys)
    assert "✗ releases: 1 of 1 data sets have no files: paraphrase.en.test" in output
    assert "unpack the releases below data, at the `path` of each entry" in output
