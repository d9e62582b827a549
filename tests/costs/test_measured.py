"""Costs in Snakemake's benchmark files."""

from pathlib import Path

import pytest

from tests.tiny_project import make_grid, with_resources
from xstilts.costs import measured
from xstilts.errors import InputError
from xstilts.store import DatasetManifest, Manifest

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
GRID = make_grid(models=["xlmr"], recipes=["none", "entities"], targets=["nli", "reading"])


def write_benchmark(artefact, *seconds: float) -> Path:
    path = artefact.job.benchmark
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{value}\t0:00:01\t-\t-\t-\t-\t-\t-\t0\t0\n" for value in seconds]
    path.write_text(HEADER + "".join(lines))
    return path


def make(artefact, size: int = 100, rows: int = 7) -> None:
    """Make the files of an artefact that costs are read from."""
    path = Path(artefact.path)
    if path.suffix == ".json":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        return
    path.mkdir(parents=True)
    (path / "content").write_bytes(b"x" * size)
    if artefact.identity.phase == "prepare":
        DatasetManifest(id=path.name, content={}, files={}, rows=rows).write(path)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def first_step():
    return GRID.scores()[0].predictions.checkpoint


def test_lines_are_summed_and_gpus_counted():
    project = with_resources(GRID, gpu=2).project
    step = first_step()
    make(step)
    write_benchmark(step, 1800.0, 1800.0)
    cost = measured.read(project, [step]).costs[step.id]
    assert (cost.seconds, cost.gpus, cost.disk) == (3600, 2, 100)
    assert cost.gpu_hours == 2
    assert cost.source == measured.MEASURED


def test_a_shared_gpu_is_counted_once():
    step = first_step()
    make(step)
    benchmark = measured.Benchmark(1800, 4)
    benchmark.write(step.job.benchmark)
    assert measured.Benchmark.read(step.job.benchmark) == benchmark
    project = with_resources(GRID, gpu=1).project
    cost = measured.read(project, [step]).costs[step.id]
    assert (cost.gpu_hours, cost.cells) == (0.5, 4)


def test_interrupted_attempts_of_a_training_count():
    step = first_step()
    make(step)
    for stated, expected in ((7200.5, 7200.5), (59.0, 60.0)):
        manifest = Manifest(id=step.id, content={}, files={}, provenance={"seconds": stated})
        manifest.write(Path(step.path))
        write_benchmark(step, 60.0)
        assert measured.read(GRID.project, [step]).costs[step.id].seconds == expected


def test_score_takes_no_gpu():
    score = GRID.scores()[0]
    make(score, 55)
    write_benchmark(score, 2.5)
    cost = measured.read(GRID.project, [score]).costs[score.id]
    assert (cost.seconds, cost.gpus, cost.disk) == (2.5, 0, 55)


def test_data_sets_of_a_task_share_its_job():
    datasets = [GRID.data.dataset("nli", language, "test") for language in ("en", "xa")]
    for dataset in datasets:
        make(dataset, rows=16)
    write_benchmark(datasets[0], 10)
    evidence = measured.read(GRID.project, datasets)
    assert [evidence.costs[dataset.id].seconds for dataset in datasets] == [5, 5]
    assert [evidence.rows[dataset.id] for dataset in datasets] == [16, 16]


def test_missing_artefacts_have_no_cost():
    here, gone = GRID.scores()[:2]
    make(here)  # by hand: no benchmark file
    write_benchmark(gone, 3)  # deleted since
    assert measured.read(GRID.project, [here, gone]).costs == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        HEADER.encode(),
        (HEADER + "-\t-\n").encode(),
        b"s\nnan\n",
        b"s\n-1\n",
        b"\xff",
    ],
)
def test_damaged_file_is_named(content):
    step = first_step()
    make(step)
    path = write_benchmark(step, 1)
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}: damaged"):
        measured.read(GRID.project, [step])


def test_predictions_in_a_training_job_are_counted_once():
    predictions = GRID.scores()[0].predictions
    step = predictions.checkpoint
    make(step)
    make(predictions)
    write_benchmark(step, 100.0)
    measured.Benchmark(30.0, after_training=True).write(predictions.job.benchmark)
    costs = measured.read(GRID.project, [step, predictions]).costs
    assert (costs[step.id].seconds, costs[predictions.id].seconds) == (70, 30)
    write_benchmark(step, 20.0)  # of a second attempt, which found the training complete
    costs = measured.read(GRID.project, [step, predictions]).costs
    assert (costs[step.id].seconds, costs[predictions.id].seconds) == (0, 30)
