"""Bills, wall time, the cells of a budget, and estimated against actual costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_project import make_grid, with_resources
from xstilts.costs import bill
from xstilts.costs.estimates import Estimator
from xstilts.costs.measured import Cost, Evidence
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.grid.grid import Grid

STUDY = {
    "models": ["xlmr"],
    "recipes": ["none", "entities", "entities-completion"],
    "targets": ["nli", "tatoeba"],
    "seeds": [1, 2],
}
GRID = make_grid(**STUDY)


def make(grid: Grid = GRID, done=(), seconds: float = 3600) -> bill.Plan:
    """A plan in which all trainings and predictions take equally long, and other jobs no time."""
    costs = {}
    for artefact in grid.artefacts().all():
        works = artefact.identity.phase in bill.COMPUTING
        gpus = (grid.project.models["xlmr"].resources.gpu or 0) if works else 0
        costs[artefact.id] = Cost(seconds if works else 0, gpus or 0, 10)
    return bill.make(grid, Estimator(grid.project, Evidence(costs)), done)


def test_shared_steps_are_counted_once():
    made = make(with_resources(GRID, gpu=1))
    lines = made.bill("phase")
    # per seed: entities, entities-completion, and NLI after each recipe
    assert lines["train"].total == 2 * (2 + 3)
    # Tatoeba after `none` has no training: both seeds' predictions are one
    assert lines["predict"].total == 2 * 3 + 1 + 2 * 2
    assert lines["train"].gpu_hours == 10
    assert made.total().gpu_hours == 21
    assert sum(line.gpu_hours for line in made.bill("recipe").values()) == pytest.approx(21)
    assert sum(line.gpu_hours for line in made.bill("model").values()) == pytest.approx(21)
    # two recipes share the step on entities
    assert made.bill("recipe")[bill.SHARED].gpu_hours == 2


def test_done_artefacts_cost_nothing():
    everything = make()
    half = make(done=[id for id in everything.by_id if "s1" in id])
    line = half.bill("phase")["train"]
    assert (line.done, line.to_do, line.seconds) == (5, 5, 5 * 3600)
    assert make(done=everything.by_id).to_do == []
    assert bill.wall_seconds(make(done=everything.by_id), 1) == 0


def test_cell_without_its_checkpoint_is_not_done():
    everything = make()
    cell = GRID.cells()[0]
    checkpoint = GRID.score(cell).predictions.checkpoint.id
    made = make(done=everything.by_id.keys() - {checkpoint})
    assert made.needs[cell] == {checkpoint}


def test_bill_includes_artefacts_of_the_analysis():
    order = {
        "tasks": ["entities", "completion"],
        "steps": 4,
        "given": [{"up": ["entities", "completion"]}],
    }
    grids = [
        make_grid(models=["xlmr"], orders={**order, "forgetting": forgetting})
        for forgetting in (False, True)
    ]
    without, forgetting = map(make, grids)
    assert without.needs == forgetting.needs
    # each task after its own step, and the first task after the second step
    assert forgetting.bill("phase")["score"].to_do == without.bill("phase")["score"].to_do + 3
    assert bill.ASIDE not in without.bill("recipe")
    lines = forgetting.bill("recipe")
    assert sum(line.to_do for line in lines.values()) == forgetting.total().to_do
    assert lines[bill.ASIDE].seconds == 3 * 3600
    only = make_grid(models=["xlmr"], orders={**order, "forgetting": True}, only=["xlmr.none.*"])
    assert only.aside() == []


def test_wall_time_by_list_scheduling():
    made = make(with_resources(GRID, gpu=1))
    assert bill.wall_seconds(made, 1) == 21 * 3600
    # entities, then completion, then NLI, then its prediction
    assert bill.wall_seconds(made) == 4 * 3600
    assert bill.wall_seconds(made, 100) == 4 * 3600
    assert 21 * 3600 / 2 <= bill.wall_seconds(made, 2) < 21 * 3600


@given(st.integers(1, 12), st.floats(0.1, 100))
def test_wall_time_is_within_grahams_bounds(gpus, seconds):
    made = make(with_resources(GRID, gpu=1), seconds=seconds)
    wall = bill.wall_seconds(made, gpus)
    longest = bill.wall_seconds(made)
    busy = made.total().gpu_hours * 3600
    assert max(longest, busy / gpus) <= wall * (1 + 1e-9)
    assert wall <= (busy / gpus + longest) * (1 + 1e-9)  # Graham 1966


def test_a_job_needs_its_gpus():
    with pytest.raises(InputError, match="--gpus 1: a job of the study needs 2"):
        bill.wall_seconds(make(with_resources(GRID, gpu=2)), 1)


def test_without_gpus_a_budget_is_of_cpu_hours():
    made = make()
    assert not made.on_gpus
    problem = bill.problem(made, {}, 100, float("inf"))
    assert problem.cost(GRID.cells())[0] == pytest.approx(21)
    assert problem.cost(GRID.cells())[1] == pytest.approx(10 * len(made.to_do))


def test_deviations_of_a_run_pool_the_recipes_of_a_target():
    scores = {
        Cell("m", recipe, "x", seed): score
        for recipe, values in {"none": [50, 60], "a": [51, 63], "b": [50, 61]}.items()
        for seed, score in enumerate(values)
    }
    scores |= {Cell("m", "a", "y", 1): 3.0}  # one seed says nothing
    pooled = ((50 + 72 + 60.5) / 3) ** 0.5
    assert bill.run_sds(["x", "y"], scores) == pytest.approx({"x": pooled, "y": pooled})
    assert bill.run_sds(["x"], {}) == {"x": 1.0}


@given(st.sets(st.sampled_from(GRID.cells())))
def test_patterns_select_just_the_wanted_cells(wanted):
    only = bill.patterns(GRID.cells(), wanted)
    if wanted:
        assert set(make_grid(**STUDY, only=only).cells()) == wanted
    else:
        assert only == []


def test_patterns_are_short():
    cells = GRID.cells()
    assert bill.patterns(cells, {*cells}) == ["xlmr.*"]
    some = {cell for cell in cells if cell.recipe == "none" or cell.target == "tatoeba"}
    assert bill.patterns(cells, some) == [
        "xlmr.none.*",
        "xlmr.entities.tatoeba.*",
        "xlmr.entities-completion.tatoeba.*",
    ]
