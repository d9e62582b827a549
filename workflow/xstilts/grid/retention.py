"""Retention: which checkpoints keep their weights, and the release of the others.

A released checkpoint keeps its manifest and its log; its weights are deleted. It counts as complete
until a missing result needs its weights: then it is trained again. Weights go only if no score that
descends from them is missing, in any study that ran in this folder. Pretrained models always stay.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from xstilts import store
from xstilts.config.project import load, this_site
from xstilts.config.resources import Keep
from xstilts.config.schema import ARM
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint, Score
from xstilts.grid.base import Artefact
from xstilts.grid.grid import Grid
from xstilts.grid.state import missing
from xstilts.store import paths
from xstilts.units import size

log = logging.getLogger("xstilts")


def keep_of(grid: Grid) -> Keep:
    """Return which checkpoints a study keeps: as it states, else as the site does, else all."""
    return grid.study.keep or this_site().keep or "all"


def passing(grid: Grid, keep: Keep) -> dict[str, Checkpoint]:
    """Return the checkpoints of a study whose weights are deleted after prediction, by id.

    With `none` they are all trained ones, with `parents` those from which no other step starts.
    """
    if keep == "all":
        return {}
    checkpoints = grid.artefacts().checkpoints
    models = {cell.model.partition(ARM)[0] for cell in grid.cells()}
    staying = {node.id for model in models for node in grid.trainings.root(model).lineage()}
    if keep == "parents":
        inputs = (needed for node in checkpoints.values() for needed in node.inputs)
        staying |= {needed.id for needed in inputs}
    return {id: node for id, node in checkpoints.items() if id not in staying}


def priority(artefact: Artefact, keep: Keep) -> float:
    """Return the priority of a job: 1 for predictions, so that weights are deleted early; else 0.

    With `keep: none`, trainings with more steps before them come first (1/2, 2/3, …), so that few
    checkpoints have weights at the same time.
    """
    if not isinstance(artefact, Checkpoint):
        return 1.0
    return 1 - 1 / len(artefact.lineage()) if keep == "none" else 0.0


def needed(grid: Grid) -> set[str]:
    """Return the ids of the checkpoints from which a missing score of a study descends."""
    scores = grid.artefacts().scores.values()
    return {node.id for score in scores if missing(score) for node in _above(score)}


def _above(score: Score) -> Iterator[Checkpoint]:
    for checkpoint in score.predictions.checkpoints:
        yield from checkpoint.lineage()


def other_studies(grid: Grid) -> list[Grid]:
    """Return the other studies that ran in this folder. Raise InputError for a damaged snapshot."""
    newest = {path.parent.name: path for path in paths.snapshots()}  # the last is the newest
    return [Grid(load(path)) for name, path in newest.items() if name != grid.study.study]


def releasable(
    grid: Grid, keep: Keep, others: Iterable[Grid], respect: bool = True
) -> list[Checkpoint]:
    """Return the checkpoints with weights that a study does not keep and nothing missing needs.

    With `respect`, weights that another study keeps stay.
    """
    staying = needed(grid)
    for other in others:
        staying |= needed(other)
        if respect:
            kept = other.artefacts().checkpoints.keys() - passing(other, keep_of(other)).keys()
            staying |= kept
    nodes = passing(grid, keep).values()
    return [node for node in nodes if node.id not in staying and not missing(node)]


def on_demand(grid: Grid, keep: Keep) -> list[Path]:
    """Return the folders whose weights can go, in this study and in all that ran here.

    Weights stay if a missing score of one of these studies needs them. Raise InputError for a
    damaged snapshot.
    """
    grids = [grid, *other_studies(grid)]
    nodes = [
        node
        for own in grids
        for node in releasable(own, keep, [g for g in grids if g is not own], respect=False)
    ]
    return [Path(path) for path in dict.fromkeys(node.path for node in nodes)]


def release(grid: Grid, score: Score | None = None) -> None:
    """Release the weights that a study does not keep: all, or those above a score.

    Weights stay, with a warning, if it is not known what another study needs.
    """
    keep = keep_of(grid)
    if keep == "all":
        return
    above = {node.id for node in _above(score)} if score else None
    try:
        if above is None or above & passing(grid, keep).keys():
            for node in releasable(grid, keep, other_studies(grid)):
                if above is None or node.id in above:
                    freed = store.CheckpointManifest.release(Path(node.path))
                    log.info(f"{node.id}: weights released, {size(freed)} (keep: {keep})")
    except (InputError, OSError) as error:
        log.warning(f"keep: {keep}: weights stay for now: {error}")
