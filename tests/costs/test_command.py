"""`xstilts plan`: its output, the study that it writes, and options that it rejects."""

from pathlib import Path

import pytest
import yaml

from tests.costs.test_measured import make, write_benchmark
from tests.results.test_scores import score as score_content
from tests.tiny_project import MODELS, STUDY, TASKS
from xstilts.cli import main
from xstilts.costs import command, local_rows
from xstilts.grid.artefacts import Dataset
from xstilts.grid.state import open_study
from xstilts.report.view import StudyView
from xstilts.store import Manifest, write_json

VALUES = {
    **STUDY,
    "models": ["xlmr"],
    "recipes": ["none", "entities"],
    "targets": ["nli", "paraphrase"],
    "seeds": [1, 2],
}


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """The path of a study in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    for folder, content in (("tasks", TASKS), ("models", MODELS)):
        (tmp_path / "config" / folder).mkdir(parents=True)
        (tmp_path / "config" / folder / "all.yaml").write_text(yaml.safe_dump(content))
    return write_study(VALUES, "small")


def write_study(values: dict, name: str) -> Path:
    path = Path("config/studies") / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**values, "study": name}))
    return path


def run(study: Path, *options: str) -> int:
    return main(["plan", "--study", str(study), *options])


def measure(study: Path, cells: str, seconds: float = 3600) -> None:
    """Make the results of the cells with this prefix, as if each job had run for `seconds`."""
    grid, _ = open_study(study)
    for score in grid.scores():
        if not str(score.cell).startswith(cells):
            continue
        for artefact in (*score.predictions.checkpoint.lineage(), score.predictions, score):
            if Path(artefact.path).exists():
                continue
            make(artefact)
            if artefact is score.predictions:
                for dataset in artefact.datasets:
                    Path(artefact.file(dataset)).touch()
            elif artefact is not score:
                Manifest(id=artefact.id, content={}, files={}).write(Path(artefact.path))
            write_benchmark(artefact, seconds)
        Path(score.examples_path).parent.mkdir(parents=True, exist_ok=True)
        Path(score.examples_path).touch()
        write_score(score, 50.0 + score.cell.seed)
        for data in (*score.predictions.datasets, *_training_data(score)):
            if not Path(data.path).exists():
                make(data)


def _training_data(score):
    return [data for node in score.predictions.checkpoint.lineage() for data in node.datasets]


def write_score(score, value: float) -> None:
    content = score_content(score.cell, {"en": value, "xa": value}, metric="accuracy")
    write_json(Path(score.path), content)


def test_plan_before_any_run(study, capsys):
    assert run(study) == 0
    shown = capsys.readouterr().out
    assert "small: 8 cells, 0 done, 8 to do" in shown
    assert "FLOP estimate: 6 per weight and token" in shown
    assert not Path("results").exists() or not list(Path("results").rglob("*.yaml"))
    # 2 initial and intermediate checkpoints' worth: root, entities x 2 seeds, 8 targets'
    [train] = [line for line in shown.splitlines() if line.startswith("train")]
    assert train.split()[1] == "10"
    assert "total" not in shown  # what is to do, as nothing is done


def test_plan_says_what_it_does_not_price(study, capsys):
    entries = dict(MODELS, xlmr=MODELS["xlmr"] | {"resources": {"gpu": 1, "cells_per_gpu": 2}})
    Path("config/models/all.yaml").write_text(yaml.safe_dump(entries))
    assert run(study) == 0
    assert "cells_per_gpu is not priced for xlmr" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("content", "rows", "counted"),
    [
        ("text\tlabel\na\t0\nb\t1\n", "any", 2),
        ("text\tlabel\na\t0\nb\t1\n", "stated", None),
        ("text\tlabel\na\t0\nb\n", "any", None),  # damaged
    ],
)
def test_plan_counts_rows_of_own_files(study, capsys, content, rows, counted):
    Path("data").mkdir()
    Path("data/own.tsv").write_text(content)
    split = {"source": "files", "format": "tsv", "path": "own.tsv", "rows": 9000}
    split["columns"] = {"text_a": "text", "label": "label"}
    own = {**TASKS["nli"], "languages": ["en"], "splits": {"train": split, "test": split}}
    Path("config/tasks/own.yaml").write_text(yaml.safe_dump({"own": own}))
    changes = {"targets": ["own"], "recipes": ["none"], "rows": rows}
    path = write_study({**VALUES, **changes}, "counted")
    grid = open_study(path)[0]
    data = [a for a in grid.artefacts().all() if isinstance(a, Dataset)]
    assert set(local_rows.count(grid.project, data, ())[0].values()) == {counted} - {None}
    assert local_rows.count(grid.project, data, {dataset.id for dataset in data}) == ({}, [])
    assert run(path) == 0
    warns = rows == "any" and not counted
    shown = capsys.readouterr().out
    assert ("not of your files" in shown) is warns
    assert ("own.en.train cannot be prepared: data/own.tsv:3: 1 columns" in shown) is warns


def test_plan_counts_done_cells_as_status_does(study, capsys):
    measure(study, "xlmr.none.nli")
    for about in Path("results/predictions").glob("xlmr.nli.s1.nli.*/*.jsonl"):
        about.unlink()
    assert run(study) == 0
    shown = capsys.readouterr().out
    assert "8 cells, 2 done, 6 to do" in shown
    assert "1 of the done lack an earlier result" in shown


def test_plan_after_a_part_of_the_run(study, capsys):
    measure(study, "xlmr.none.nli")
    assert run(study, "--gpus", "2") == 0
    shown = capsys.readouterr().out
    assert "8 cells, 2 done, 6 to do" in shown
    # NLI after entities, trained and predicted, two seeds
    assert "4 scaled from jobs of the same model and task" in shown
    assert "with 2 parallel jobs" in shown


def test_measurements_of_other_studies_are_used(study, capsys):
    other = write_study({**VALUES, "recipes": ["none"], "seeds": [7]}, "other")
    measure(other, "xlmr")
    StudyView(open_study(other)[0]).write_snapshot()
    assert run(study) == 0
    shown = capsys.readouterr().out
    assert "scaled from jobs of the same model and task" in shown
    assert "FLOP" not in shown


def test_unreadable_other_study_is_ignored(study, capsys):
    path = Path("results/studies/old/study.0123456789ab.json")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert run(study) == 0
    assert "results/studies/old: its measurements are ignored" in capsys.readouterr().out


def test_write_makes_a_study_of_the_choice(study, capsys):
    measure(study, "xlmr.none.nli")
    # a CPU hour for each training and prediction: NLI after entities takes 3 for the first seed
    path = Path("config/studies/first.yaml")
    options = ("--gpu-hours", "3.5", "--aim", "cells", "--write", str(path))
    assert run(study, *options) == 0
    shown = capsys.readouterr().out
    assert "1 of 6 cells to do chosen" in shown
    assert "no choice is better" in shown
    assert "exceeds the budget" in shown
    written = yaml.safe_load(path.read_text())
    assert written["study"] == "first"
    chosen = [str(cell) for cell in open_study(path)[0].cells()]
    assert chosen[:2] == ["xlmr.none.nli.s1", "xlmr.none.nli.s2"]  # done, for the gains
    assert len(chosen) == 3
    assert chosen[2].startswith("xlmr.entities.nli.s")
    ids = [{a.id for a in open_study(p)[0].artefacts().all()} for p in (path, study)]
    assert ids[0] < ids[1]


def test_intervals_use_existing_results(study, capsys):
    measure(study, "xlmr")
    for score in open_study(study)[0].scores():
        gain = {"nli": 0, "paraphrase": 9}[score.cell.target] * score.cell.seed
        write_score(score, 50.0 + (gain if score.cell.recipe == "entities" else 0))
    more = write_study({**VALUES, "seeds": [1, 2, 3]}, "more")
    assert run(more, "--gpu-hours", "5.5", "--aim", "intervals") == 0
    shown = capsys.readouterr().out
    assert "4.30, 2.27, 1.46 standard deviations of a run" in shown
    lines = [line.split() for line in shown.partition("chosen ")[2].splitlines()]
    # the gains on paraphrase differ between seeds, those on NLI do not
    assert ["xlmr", "entities", "1", "paraphrase", "1/3"] in lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpu-hours", "0"], "--gpu-hours 0: expected more than 0"),
        (["--gpu-hours", "nan"], "--gpu-hours nan: expected more than 0"),
        (["--disk", "much"], "--disk much: expected a size such as 500GB"),
        (["--disk", "500"], "--disk 500: expected a size such as 500GB"),
        (["--gpus", "0"], "--gpus 0: expected 1 or more"),
        (
            ["--gpu-hours", "1e-6"],
            "the budget (1e-06 CPU hours) is too small: the cheapest useful choice, xlmr.none",
        ),
        (["--hardware", "a10"], "unknown hardware 'a10': did you mean 'a100'?"),
        (["--hardware-table", "no.yaml"], "no.yaml: no such file"),
    ],
)
def test_bad_options_are_rejected(study, capsys, options, message):
    writing = ["--write", "config/studies/new.yaml"]
    if not {"--gpu-hours", "--disk"} & {*options}:
        writing += ["--gpu-hours", "100"]
    assert run(study, *options, *writing) == 2
    assert message in capsys.readouterr().err
    assert not Path("config/studies/new.yaml").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("config/studies/small.yaml", "exists"),
        ("config/studies/Not A Name.yaml", "expected NAME.yaml"),
        ("config/studies/new.txt", "expected NAME.yaml"),
        ("elsewhere/studies/new.yaml", "a study finds tasks and models next to it"),
    ],
)
def test_write_rejects_unusable_paths(study, capsys, path, message):
    before = study.read_text()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert run(study, "--gpu-hours", "1000", "--write", path) == 2
    assert message in capsys.readouterr().err
    assert study.read_text() == before
    assert path.endswith("small.yaml") or not Path(path).exists()


def test_write_needs_a_budget(study, capsys):
    assert run(study, "--write", "config/studies/new.yaml") == 2
    assert "state --gpu-hours or --disk" in capsys.readouterr().err


def test_unknown_study_is_named(study, capsys):
    assert run(Path("config/studies/smal.yaml")) == 2
    message = "smal.yaml: no such file; did you mean config/studies/small.yaml?"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["benchmarks/train", "scores"])
def test_damaged_file_is_named(study, capsys, folder):
    measure(study, "xlmr.none.nli")
    path = sorted(Path("results", folder).iterdir())[0]
    path.write_text("{}\n")
    assert run(study, "--gpu-hours", "100", "--write", "config/studies/new.yaml") == 2
    assert f"{path}: damaged" in capsys.readouterr().err
    assert not Path("config/studies/new.yaml").exists()


@pytest.mark.parametrize(
    ("given", "bytes"), [("500GB", 5e11), ("1.5 tb", 1.5e12), ("2e9", 2e9), ("10k", 1e4)]
)
def test_size_options(given, bytes):
    assert command.to_bytes(given) == bytes


@pytest.mark.parametrize(
    ("seeds", "start"),
    [([1], "One seed gives no verdict. With 2 seeds "), ([1, 2], "With 2 seeds ")],
)
def test_power_of_one_seed_is_that_of_two(study, seeds, start):
    grid, _ = open_study(write_study({**VALUES, "seeds": seeds}, "seeds"))
    assert command.power(grid, {}).startswith(f"Power: {start}and a run SD of 1.5 points (assumed")
