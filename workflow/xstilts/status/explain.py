"""`xstilts why`: which artefacts of a cell are missing, and which setting differs from others."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.costs.units import count
from xstilts.errors import InputError, nearest
from xstilts.grid import state
from xstilts.grid.artefacts import Artefact, Cell, Predictions, Score
from xstilts.grid.grid import Grid


def find_cell(grid: Grid, name: str) -> Cell:
    """Return the cell called MODEL.RECIPE.TARGET.sSEED. Raise InputError with the nearest name."""
    cells = {str(cell): cell for cell in grid.cells()}
    if name not in cells:
        raise InputError(f"unknown cell {name!r}: {nearest(name, cells)}")
    return cells[name]


def why(grid: Grid, cell: Cell) -> Iterator[str]:
    """Yield lines that explain the state of a cell, from its data to its score."""
    missing = [artefact for artefact in state.chain(grid, cell) if not state.is_done(artefact)]
    if not missing:
        yield f"{cell}: done, {grid.score(cell).path}"
        return
    verb = "is" if len(missing) == 1 else "are"
    yield f"{cell}: to do, {count(len(missing), 'artefact')} {verb} missing"
    for artefact in missing:
        yield f"  {artefact.path}"
        if message := state.failure(artefact):
            yield f"    failed: {message}"
        yield from (f"    {line}" for line in _causes(artefact))


def _causes(artefact: Artefact) -> Iterator[str]:
    """Yield why an artefact is missing: lost, changed by a setting, or not made yet."""
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
        yield "not made yet"
    for name, content in others:
        differences = list(_differences(content, artefact.identity.content))
        for key, old, new in differences:
            yield f"{key} is {new} here, {old} in {name}"
        if not differences:
            yield f"{name} was made by another version of this phase"


def _others(artefact: Artefact) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the artefacts with the same readable name, and what determined each of them."""
    path = Path(artefact.path)
    record = store.ABOUT if isinstance(artefact, Predictions) else store.MANIFEST
    same_name = artefact.path_pattern.format(id=f"{artefact.identity.name}.*")
    for other in sorted(Path().glob(same_name)):
        recorded = other if isinstance(artefact, Score) else other / record
        if other != path and recorded.is_file():
            content = store.read_json(recorded)
            yield other.name, content.get("provenance", {}).get("content", content.get("content"))


def _differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted key, old value, new value) wherever two JSON values differ."""
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
