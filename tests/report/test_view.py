"""The stamp of a study covers what its folder shows, and nothing else."""

import shutil
import subprocess
import sys

import pytest

from tests.made_up import make_grid
from xstilts.config.project import Project
from xstilts.grid.grid import Grid
from xstilts.report import view
from xstilts.report.view import StudyView

ARMS = {"fast": {"train": {"learning_rate": 0.01}}, "slow": {"label": "Slow"}}
HARD = {"hard": {"target": "t0", "whole": "t1"}, "harder": {"target": "t1", "whole": "t2"}}

SHOWN = {
    "parameters of a model": ("models", "m0", {"parameters": 123_456_789}),
    "label of a model": ("models", "m0", {"label": "Model"}),
    "same_data of a task": ("tasks", "t0", {"same_data": ["i1"]}),
    "label of a task": ("tasks", "t0", {"label": "Target"}),
    "metrics of a task": ("tasks", "t1", {"metrics": ["exact_match", "f1"]}),
    "title": ("study", None, {"title": "Why?"}),
    "analysis": ("study", None, {"analysis": "order"}),
    "published": ("study", None, {"published": {"i0": {"t0": 50.0}}}),
    "order of recipes": ("study", None, {"recipes": ["none", "i1", "i0", "i2", "i0-i1"]}),
    "name of a recipe": ("study", None, {"recipes": ["none", {"a": "i0"}, "i1", "i2", "i0-i1"]}),
    "one seed less": ("study", None, {"seeds": [1]}),
    "learning rate": ("study", None, {"train": {"learning_rate": 0.5}}),
    "label of an arm": ("study", None, {"arms": ARMS | {"fast": ARMS["fast"] | {"label": "Fast"}}}),
    "order of arms": ("study", None, {"arms": dict(reversed(ARMS.items()))}),
    "a subset": ("study", None, {"subsets": HARD | {"easy": {"target": "t2", "whole": "t0"}}}),
    "order of subsets": ("study", None, {"subsets": dict(reversed(HARD.items()))}),
    "hash of a list of ids": ("raw", None, {"ids.txt": ["0" * 64]}),
}
NOT_SHOWN = {
    "default of a setting": ("tasks", "t0", {"encode": {"stride": 0}}),
    "default of training": ("study", None, {"train": {"warmup": 0.1, "select": "last"}}),
    "default of an entry": ("tasks", "t0", {"source_language": "en", "licence": ""}),
    "default of the study": ("study", None, {"languages": "all", "source": "files"}),
    "resources": ("models", "m0", {"resources": {"mem_mb": 1500, "predict": {"threads": 2}}}),
}


def stamp(group: str = "study", name: str | None = None, changes: dict | None = None) -> str:
    """Return the stamp's name for a small study, with changes to one of its entries."""
    values = make_grid().project.model_dump(mode="json", exclude_defaults=True)
    values["study"] |= {"arms": ARMS, "subsets": HARD}
    entry = values.setdefault(group, {})
    (entry[name] if name else entry).update(changes or {})
    return StudyView(Grid(Project.model_validate(values))).stamp.name


@pytest.mark.parametrize("change", SHOWN.values(), ids=SHOWN)
def test_shown_values_change_the_stamp(change):
    assert stamp(*change) != stamp()


@pytest.mark.parametrize("change", NOT_SHOWN.values(), ids=NOT_SHOWN)
def test_other_values_keep_the_stamp(change):
    assert stamp(*change) == stamp()


@pytest.mark.parametrize(
    "file",
    [
        *("languages/languages.yaml", "report/templates/tables.js", "report/templates/report.html"),
        *("report/page.py", "analyses/facts.py", "results/figures.py", "costs/hardware.yaml"),
        *("families/tag.py", "stages/summarise.py"),
    ],
)
def test_drawing_code_changes_the_stamp(file, tmp_path, monkeypatch):
    package = shutil.copytree(view.PACKAGE, tmp_path / "xstilts")
    monkeypatch.setattr(view, "PACKAGE", package)
    before = stamp()
    with open(package / file, "a", encoding="utf-8") as text:
        text.write("\n")
    assert stamp() != before


def test_compiled_and_training_code_keep_the_stamp(tmp_path, monkeypatch):
    package = shutil.copytree(view.PACKAGE, tmp_path / "xstilts")
    monkeypatch.setattr(view, "PACKAGE", package)
    before = stamp()
    for name in ("report/__pycache__/view.cpython-311.pyc", "stages/train.py"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_bytes(b"#")
    assert stamp() == before


def test_snapshot_and_configuration_share_a_stamp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = StudyView(make_grid())
    study.write_snapshot()
    project = Project.model_validate_json(study.snapshot.read_text())
    assert StudyView(Grid(project)).stamp == study.stamp


def test_the_stamp_needs_no_heavy_library():
    code = "import sys, xstilts.report.view; print({'torch', 'pandas', 'scipy'} & {*sys.modules})"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "set()"


def test_labels_name_tasks_as_their_tables_do():
    values = make_grid().project.model_dump(mode="json", exclude_defaults=True)
    values["tasks"]["text"]["roles"].append("intermediate")
    mixed = {"multitask_text": "i0+i2+text", "alone_i2@all": "i2@all", "random_1": "i0-i2"}
    values["study"]["recipes"] = ["none", "i2+text", *({k: v} for k, v in mixed.items())]
    named = view.labels(Grid(Project.model_validate(values)))
    expected = ["Task 2 + text", "multitask text", "alone Task 2@all", "random 1"]
    assert [named[name] for name in ("i2+text", *mixed)] == expected
