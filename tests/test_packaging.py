"""The pins stand in three files for three tools; they must agree."""

import re
import tomllib

import yaml

from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normalised(requirement: str) -> str:
    return (
        re.sub(r"[-_.]+", "-", requirement.split("==")[0]).lower()
        + requirement[requirement.index("==") :]
    )


def test_conda_environment_has_the_direct_pins():
    environment = yaml.safe_load((ROOT / "envs" / "xstilts.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == PROJECT["dependencies"]


def test_the_lock_has_every_direct_pin():
    locked = {normalised(line) for line in (ROOT / "envs/requirements.lock").read_text().split()}
    direct = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {normalised(pin) for pin in direct} <= locked


def test_changelog_and_citation_name_this_version():
    version = re.search(
        r'__version__ = "(.+)"', (ROOT / "workflow/xstilts/__init__.py").read_text()
    )[1]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version


def test_the_image_takes_the_lock_and_the_same_python():
    definition = (ROOT / "envs" / "xstilts.def").read_text()
    sections = set(re.findall(r"^%(\w+)", definition, re.M))
    assert sections <= {"files", "post", "environment", "test", "labels"}
    assert "--requirement /opt/requirements.lock" in definition
    python = re.search(r"^From: python:([\d.]+)", definition, re.M)[1]
    environment = yaml.safe_load((ROOT / "envs" / "xstilts.yaml").read_text())
    assert f"python={python}" in environment["dependencies"]
    image = re.search(r'^container: "(.+?)"', (ROOT / "Snakefile").read_text(), re.M)[1]
    assert f"apptainer build {image} envs/xstilts.def" in definition
