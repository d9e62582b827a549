"""estimates: time and disk of jobs before they run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_project import make_grid, with_resources
from xstilts.config.origins import FilesSplit
from xstilts.config.project import Project
from xstilts.costs.estimates import ESTIMATED, Estimator, line, load_table
from xstilts.costs.measured import MEASURED, Cost, Evidence
from xstilts.errors import InputError
from xstilts.grid.artefacts import Dataset, Download
from xstilts.grid.grid import Grid
from xstilts.modelling.batches import Supply, plan
from xstilts.recipe import parse

TABLE = load_table()
GRID = make_grid(
    models=["xlmr", "dropout"],
    recipes=["none", "entities", "entities+reading"],
    targets=["nli", "reading"],
    seeds=[1, 2],
    train={"batch_size": 8, "epochs": 2},
)


def estimate(grid, costs=(), **more):
    artefacts = grid.artefacts().all()
    return Estimator(grid.project, Evidence(dict(costs)), **more).estimate(artefacts)


def step(recipe: str, model: str = "xlmr", target: str = "nli", seed: int = 1):
    cells = GRID.cells()
    [cell] = [
        c for c in cells if (c.model, c.recipe, c.target, c.seed) == (model, recipe, target, seed)
    ]
    return GRID.score(cell).predictions.checkpoint


def test_flops_are_six_per_weight_and_token():
    checkpoint = step("none")
    # 48 examples, 2 epochs of 6 batches of 8; 45 tokens of a classify example, hidden 16, inner 32
    weights = 4 * 16**2 + 2 * 16 * 32
    assert Estimator(GRID.project).work(checkpoint) == 6 * weights * 45 * 12 * 8


def test_masked_lm_multiplies_masked_tokens_by_the_embeddings():
    text = GRID.trainings.step("xlmr", parse("text"), 1)
    # 160 examples, 2 epochs, 48 tokens; 15 % of the tokens have logits of 200 pieces
    weights = 4 * 16**2 + 2 * 16 * 32 + 0.15 * 200 * 16
    expected = 6 * weights * 48 * 2 * 160
    assert Estimator(GRID.project).work(text) == pytest.approx(expected)


def test_estimates_before_any_run_are_from_flops():
    estimated = estimate(GRID)
    assert {cost.source for cost in estimated.values()} == {ESTIMATED}
    assert all(cost.seconds > 0 for cost in estimated.values())


def test_sibling_costs_the_same_as_a_measured_job():
    estimated = estimate(GRID, {step("none").id: Cost(123, 0, 5000)})
    assert estimated[step("none").id].source == MEASURED
    sibling = estimated[step("none", seed=2).id]
    assert (sibling.seconds, sibling.disk) == (pytest.approx(123), 5000)
    assert sibling.source == "scaled from jobs of the same model and task"


def test_other_jobs_are_scaled_by_their_work():
    one = step("none")
    estimated = estimate(GRID, {one.id: Cost(100, 0, 5000)})
    work = Estimator(GRID.project).work
    other = step("none", target="reading")
    ratio = work(other) / work(one)
    assert estimated[other.id].seconds == pytest.approx(100 * ratio)
    assert estimated[other.id].source == "scaled from jobs of the same model"
    elsewhere = estimated[step("none", "dropout").id]
    assert elsewhere.source == "scaled from jobs of other models on the task"
    assert elsewhere.disk != 5000  # a checkpoint's size is its own model's
    last = estimated[step("none", "dropout", "reading").id]
    assert last.source == "scaled from jobs of other models"
    assert last.disk == elsewhere.disk


def test_gpu_jobs_are_not_scaled_from_cpu_jobs():
    grid = with_resources(GRID, ["dropout"], gpu=1)
    [on_gpu] = [
        score.predictions.checkpoint
        for score in grid.scores()
        if str(score.cell) == "dropout.none.nli.s1"
    ]
    estimated = estimate(grid, {step("none").id: Cost(100)})
    assert estimated[on_gpu.id].source == ESTIMATED
    assert estimated[on_gpu.id].gpus == 1
    faster = estimate(grid, gpu="h100")[on_gpu.id].seconds
    assert faster < estimate(grid, gpu="v100")[on_gpu.id].seconds


def test_sharing_a_gpu_is_priced_by_measurement():
    grid = with_resources(GRID, gpu=1, cells_per_gpu=4)
    first, second = step("none"), step("none", seed=2)
    alone = estimate(grid, {first.id: Cost(100, 1)})[second.id]
    assert (alone.seconds, alone.cells) == (pytest.approx(100), 1)  # not priced
    shared = estimate(grid, {first.id: Cost(40, 1, cells=4)})[second.id]
    assert (shared.seconds, shared.cells) == (pytest.approx(40), 4)
    assert estimate(GRID, {first.id: Cost(40, 0, cells=4)})[second.id].source == ESTIMATED


def test_prepared_rows_override_stated_rows():
    [data] = step("none").parts[0].train
    assert Estimator(GRID.project).rows(data) == 48
    assert Estimator(GRID.project, Evidence(rows={data.id: 20})).rows(data) == 20


@pytest.mark.parametrize(("rows", "limit", "expected"), [(9, 4, 4), (3, 4, 3), (None, 4, 4)])
def test_first_examples_are_counted(rows, limit, expected):
    split = {"source": "files", "format": "panx", "path": "x", "rows": rows, "limit": limit}
    data = Dataset("panx", "en", "test", FilesSplit.model_validate(split))
    assert Estimator(GRID.project).stated_rows(data) == expected


def test_mixture_runs_the_sum_of_its_steps():
    [mixture] = [node for node in step("entities+reading").lineage() if len(node.parts) > 1]
    estimator = Estimator(GRID.project)
    supplies = {part.name: Supply([1] * 48, part.settings.epochs) for part in mixture.parts}
    steps = len(plan(supplies, 8, 1))
    per_token = 6 * estimator.parameters("xlmr", 0) * 8 * steps / 2
    assert estimator.work(mixture) == pytest.approx(per_token * (30 + 48))


def test_model_of_unknown_size_is_named():
    values = GRID.project.model_dump(exclude_unset=True)
    hub = {"repository": "some/model", "revision": "0" * 40}
    values["models"]["xlmr"] = {"hub": hub}
    grid = Grid(Project.model_validate(values))
    with pytest.raises(InputError, match=r"model 'xlmr'.*state `parameters`"):
        estimate(grid)
    values["models"]["xlmr"]["parameters"] = 1000
    estimated = estimate(Grid(Project.model_validate(values)))
    root = Grid(Project.model_validate(values)).trainings.root("xlmr")
    assert (estimated[root.id].download, estimated[root.id].disk) == (4000, 4000)


def test_unknown_hardware_is_named():
    with pytest.raises(InputError, match="unknown hardware 'a10': did you mean 'a100'"):
        Estimator(GRID.project, gpu="a10")


@given(st.lists(st.tuples(st.floats(0, 1e15), st.floats(0, 1e6)), min_size=1, max_size=8))
def test_line_is_never_negative(points):
    fixed, rate = line(points)
    assert fixed >= 0
    assert rate >= 0


def test_line_goes_through_collinear_points():
    assert line([(1, 12), (2, 14), (5, 20)]) == pytest.approx((10, 2))
    assert line([(4, 8)]) == (0, 2)
    assert line([(1, 8), (2, 4)]) == (6, 0)


def test_download_is_as_large_as_its_rows():
    values = GRID.project.model_dump(exclude_unset=True)
    split = {
        "source": "hub",
        "repository": "some/data",
        "revision": "0" * 40,
        "split": "train",
        "columns": {"text_a": "a", "label": "b"},
        "rows": 3000,
    }
    values["tasks"]["nli"]["splits"]["train"] = split
    estimated = Grid(Project.model_validate(values))
    [download] = [a for a in estimated.artefacts().downloads.values() if isinstance(a, Download)]
    cost = estimate(estimated)[download.id]
    assert cost.download == cost.disk == 3000 * TABLE.assumptions.bytes_per_row["fetch"]
