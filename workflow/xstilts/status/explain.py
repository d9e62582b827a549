"""Why a cell is done or not: what is missing, and which setting differs from a sibling's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.errors import InputError, nearest
from xstilts.grid import state
from xstilts.grid.artefacts import Artefact, Cell, Predictions, Score
from xstilts.grid.grid import Grid


def find_cell(grid: Grid, name: str) -> Cell:
    """The cell called `model.recipe.target.sSEED`. Raises InputError with the nearest name."""
    cells = {str(cell): cell for cell in grid.cells()}
    if name not in cells:
        raise InputError(f"unknown cell {name!r}: {nearest(name, cells)}")
    return cells[name]


def why(grid: Grid, cell: Cell) -> Iterator[str]:
    """Lines that explain the state of a cell, from the data to the score."""
    missing = [artefact for artefact in state.chain(grid, cell) if not state.is_done(artefact)]
    if not missing:
        yield f"{cell}: done, {grid.score(cell).path}"
        return
    yield f"{cell}: to do, {len(missing)} of its artefacts are missing"
    for artefact in missing:
        yield f"  {artefact.path}"
        if failed := state.failure(artefact):
            yield f"    failed: {failed}"
        yield from (f"    {line}" for line in _because(artefact))


def _because(artefact: Artefact) -> Iterator[str]:
    if isinstance(artefact, Predictions) and Path(artefact.path).exists():
        for dataset in artefact.predicted:
            if not Path(artefact.file(dataset)).exists():
                yield f"no predictions for {dataset.language}"
        return
    siblings = list(_siblings(artefact))
    if not siblings:
        yield "never made"
    for name, content in siblings:
        differences = list(_differences(content, artefact.identity.content))
        for key, old, new in differences:
            yield f"{key} is {new} here, {old} in {name}"
        if not differences:
            yield f"{name} was made by another version of this phase"


def _siblings(artefact: Artefact) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Artefacts of the same readable name, with what determined them."""
    path = Path(artefact.path)
    record = {Predictions: store.ABOUT}.get(type(artefact), store.MANIFEST)
    same_name = artefact.path_pattern.format(id=f"{artefact.identity.name}.*")
    for other in sorted(Path().glob(same_name)):
        recorded = other if isinstance(artefact, Score) else other / record
        if other != path and recorded.is_file():
            content = store.read_json(recorded)
            yield other.name, content.get("provenance", {}).get("content", content.get("content"))


def _differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted key, old value, new value) wherever two JSON values differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _differences(old.get(name), new.get(name), inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, f"{key}[{number}]")
    elif old != new:
        yield key, _shown(old), _shown(new)


def _shown(value: Any) -> str:
    return "the default" if value is None else repr(value)
