"""The study that Snakemake runs is the one that `xstilts` reads; versions of its artefacts."""

from pathlib import Path

import pytest
from snakemake.cli import parse_config

from tests.tiny_project import make_grid
from xstilts import store
from xstilts.config.project import Project
from xstilts.grid.grid import Grid
from xstilts.grid.state import done, mixed_versions, open_rules


def test_null_of_snakemakes_config_is_no_text(small_folder):
    changes = parse_config(["train={max_steps: null, epochs: 2}"])
    grid, _ = open_rules([Path("config/config.yaml")], changes, None)
    assert grid.study.train["max_steps"] is None


@pytest.mark.parametrize("content", ["[]", '{"provenance": {"libraries": {"torch": []}}}', "{"])
def test_damaged_manifests_have_no_library_versions(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    artefacts = list(make_grid(models=["xlmr"]).artefacts().checkpoints.values())
    for artefact in artefacts:
        store.write_text(Path(artefact.path) / store.MANIFEST, content)
    assert mixed_versions(artefacts) == ""


def test_prepared_data_need_no_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = make_grid().project.model_dump(exclude_unset=True)
    split = {"source": "hub", "repository": "some/data", "revision": "0" * 40, "split": "train"}
    split["columns"] = {"text_a": "a", "label": "b"}
    values["tasks"]["nli"]["splits"]["train"] = split
    artefacts = Grid(Project.model_validate(values)).artefacts()
    [data] = [data for data in artefacts.datasets.values() if data.download]
    assert done(artefacts.all()) == set()
    store.write_text(Path(data.files[-1]), "{}")
    assert done(artefacts.all()) == {data.id, data.download.id}
