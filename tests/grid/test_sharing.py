"""Jobs that share a GPU: which artefacts each of them makes."""

import pytest

from tests.tiny_project import make_grid, with_resources
from xstilts.config.resources import ModelNeeds, Needs, Site
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint
from xstilts.grid.grid import Grid
from xstilts.grid.sharing import SharedJobs, predicted_after_training, shared_jobs

GRID = make_grid(
    models=["xlmr"],
    recipes=["none", "entities", "entities-completion"],
    targets=["nli", "tatoeba"],
    seeds=[1, 2, 3],
)


def shared(number: int, is_missing=lambda artefact: True, **needs) -> tuple[Grid, SharedJobs]:
    grid = with_resources(GRID, gpu=1, cells_per_gpu=number, **needs)
    return grid, shared_jobs(grid, is_missing)


@pytest.mark.parametrize("number", [2, 4])
def test_jobs_have_up_to_the_stated_number(number):
    _, found = shared(number)
    ids = [id for job in found.jobs for id in job.ids]
    assert len(ids) == len(set(ids))
    assert all(2 <= len(job.ids) <= number for job in found.jobs)
    assert len({job.name for job in found.jobs}) == len(found.jobs)


def test_artefacts_of_a_job_do_not_need_one_another():
    grid, found = shared(4)
    artefacts = grid.artefacts()
    for job in found.jobs:
        for id in job.ids:
            artefact = getattr(artefacts, job.group)[id]
            assert not artefact.ancestors().keys() & set(job.ids)


def test_jobs_never_wait_for_each_other():
    grid, found = shared(3)
    checkpoints = grid.artefacts().checkpoints
    for job in found.jobs:
        assert len({len(checkpoints[id].lineage()) for id in job.ids if id in checkpoints}) <= 1


def test_seeds_of_one_step_are_neighbours():
    grid, found = shared(3)
    trained = [job for job in found.jobs if job.phase == "train"]
    checkpoints = grid.artefacts().checkpoints
    for job in trained:
        assert len({checkpoints[id].chain for id in job.ids}) == 1


def test_complete_results_take_no_place():
    grid, found = shared(2, lambda artefact: getattr(artefact, "seed", 0) == 2)
    checkpoints = grid.artefacts().checkpoints
    assert {checkpoints[id].seed for job in found.jobs for id in job.ids} == {2}
    assert all(isinstance(checkpoints[id], Checkpoint) for job in found.jobs for id in job.ids)


def test_a_gpu_is_not_shared_by_default():
    assert shared(1)[1].jobs == []


def test_predictions_without_a_gpu_are_jobs_of_their_own():
    _, found = shared(2, predict=Needs(gpu=0))
    assert {job.phase for job in found.jobs} == {"train"}


def test_job_reads_what_its_run_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, found = shared(2)
    found.path.parent.mkdir(parents=True)
    found.write()
    assert SharedJobs.read(found.path) == found
    found.path.write_text("{")
    with pytest.raises(InputError, match=r"damaged.*start Snakemake again"):
        SharedJobs.read(found.path)


@pytest.mark.parametrize(("gpu", "end"), [(None, "; add it"), (0, ", not 0"), (2, ", not 2")])
def test_only_one_gpu_is_shared(gpu, end):
    with pytest.raises(ValueError, match=f"cells_per_gpu: 2 needs gpu: 1{end} "):
        ModelNeeds(gpu=gpu, cells_per_gpu=2)


def test_last_trainings_predict_in_their_jobs():
    checkpoints = GRID.artefacts().checkpoints
    found = predicted_after_training(GRID, Site(), lambda artefact: True)
    chains = {checkpoints[id].chain for id in found}
    # `entities` and `completion` have descendants, and Tatoeba's predictions have no own training
    assert chains == {"nli", "entities-nli", "entities-completion-nli"}
    assert all(made.checkpoint.id == id for id, all_made in found.items() for made in all_made)
    assert {made.target for all_made in found.values() for made in all_made} == {"nli"}
    of_seed = predicted_after_training(GRID, Site(), lambda a: getattr(a, "seed", 1) == 1)
    assert {checkpoints[id].seed for id in of_seed} == {1}
    off = Site(one_job_per_cell=False)
    assert not predicted_after_training(GRID, off, lambda artefact: True)
