"""`xstilts why`: which artefacts of a cell are missing, and which setting differs from others."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.errors import InputError, nearest
from xstilts.grid import state
from xstilts.grid.artefacts import Cell, Predictions, Score
from xstilts.grid.base import Artefact
from xstilts.grid.differences import are_digests, differences, listed, shown
from xstilts.grid.grid import Grid
from xstilts.identity import shortened
from xstilts.results.score_file import ScoreFile
from xstilts.status.progress import command
from xstilts.store import paths
from xstilts.store.about import About
from xstilts.units import count

_NEW = "not made yet"
_INPUTS = {  # key of an artefact's content -> what its digests stand for
    "parent": "parent checkpoint",
    "merged": "merged checkpoint",
    "checkpoint": "checkpoint",
    "head": "checkpoint with the head",
    "predictions": "prediction",
    "data": "test data",
    "train": "training data",
    "validation": "validation data",
    "candidates": "set of candidates",
    "texts": "training text",
    "raw": "content of the files",
}


def find_cell(grid: Grid, name: str) -> Cell:
    """Return the cell called MODEL.RECIPE.TARGET.sSEED. Raise InputError with the nearest name."""
    cells = {str(cell): cell for cell in grid.cells()}
    own = grid.named(name)
    if own not in cells:
        hint = nearest(own, cells)
        raise InputError(f"unknown cell {name!r}, expected MODEL.RECIPE.TARGET.sSEED: {hint}")
    return cells[own]


def why(grid: Grid, cell: Cell, study: Path) -> Iterator[str]:
    """Yield lines that explain the state of a cell, from its data to its score, and what to run."""
    score = grid.score(cell)
    chain = [*score.ancestors().values(), score]
    done = state.done(chain)
    missing = [artefact for artefact in chain if artefact.id not in done]
    if not missing:
        yield f"{cell}: done, {score.path}"
        released = filter(state.is_released, chain)
        yield from (f"  weights released, log kept: {node.path}" for node in released)
        return
    verb = "is" if len(missing) == 1 else "are"
    yield f"{cell}: to do, {count(len(missing), 'artefact')} {verb} missing"
    new = []
    for artefact in missing:
        message, causes = state.failure(artefact), list(_causes(artefact))
        if not message and causes == [_NEW]:
            new.append(f"{artefact.identity.phase} {artefact.identity.name}")
            continue
        yield f"  {artefact.path}"
        if message:
            yield f"    failed: {message}"
        yield from (f"    {line}" for line in causes)
    if new:
        yield f"  {_NEW}: {', '.join(new)}"
    yield f"first: {missing[0].identity.phase} {missing[0].identity.name}"
    yield f"run: {command(missing[-1], study)}"


def _causes(artefact: Artefact) -> Iterator[str]:
    """Yield why an artefact is missing: lost, changed by a setting, or not made yet."""
    if state.is_released(artefact):
        yield "released: its weights were deleted after prediction; they are trained again"
        return
    if isinstance(artefact, Predictions) and Path(artefact.path).exists():
        for dataset in artefact.predicted:
            if not Path(artefact.file(dataset)).exists():
                yield f"no predictions for {dataset.language}"
        return
    if artefact.job.benchmark.exists() and artefact.job.name == artefact.id:
        yield "deleted since it was made"
        return
    others = list(_others(artefact))
    if not others:
        yield _NEW
    for name, content in others:
        yield from list(_lines(artefact, name, content)) or [
            f"{name} was made by another version of this phase"
        ]


def _others(artefact: Artefact) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the artefacts with the same readable name, and what determined each of them."""
    path = Path(artefact.path)
    same_name = artefact.path_pattern.format(id=f"{shortened(artefact.identity.name)}.*")
    for other in sorted(Path().glob(same_name)):
        with suppress(InputError):  # incomplete or damaged: nothing is known about it
            if other != path:
                yield other.name, _recorded(artefact, other)


def _recorded(artefact: Artefact, path: Path) -> Mapping[str, Any]:
    """Return what determined a similar artefact. Raise InputError if that is not known."""
    if isinstance(artefact, Score):
        return ScoreFile.read(path).provenance.get("content", {})
    return (About if isinstance(artefact, Predictions) else store.Manifest).read(path).content


def _lines(artefact: Artefact, name: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each difference between an artefact and one with a name and content."""
    inputs = (node.identity for node in artefact.ancestors().values())
    names = {identity.digest: identity.name for identity in inputs}
    for key, old, new in differences(content, artefact.identity.content):
        if are_digests(old, new):
            yield from _inputs(listed(old), listed(new), name, names, key)
        else:
            yield f"{key} is {shown(new)} here, {shown(old)} in {name}"


def _inputs(
    old: list[str], new: list[str], name: str, names: Mapping[str, str], key: str
) -> Iterator[str]:
    """Yield how two lists of inputs differ, by readable names in place of digests."""
    lists = ((old, new), (new, old))
    gone, added = ([names.get(x) or _name(x) for x in a if x not in b] for a, b in lists)
    what = _INPUTS.get(key.rpartition(".")[2].partition("[")[0], key)
    if gone and added:
        yield f"its {what} is another than that of {name}"
    elif gone or added:
        listed = ", ".join(filter(None, gone or added)) or count(len(gone or added), what)
        where = f"asked for in {name}, but not here" if gone else f"not asked for in {name}"
        yield f"{what}: {listed}: {where}"


def _name(digest: str) -> str:
    """Return the readable name of a data set that was prepared, else ''."""
    found = Path(paths.DATA).parent.glob(f"*.{digest}")
    return next((path.name.rpartition(".")[0] for path in found), "")
