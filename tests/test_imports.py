"""Imports between the rooms of the package: its folders and top-level modules."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import ROOT
from xstilts import store
from xstilts.processes import signals
from xstilts.status import run
from xstilts.store import paths

PACKAGE = ROOT / "workflow/xstilts"
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")} - {"__init__"}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules and names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms() -> dict[str, set[str]]:
    """Return the rooms that each room imports; the package's `__init__` only re-exports."""
    rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        parts = [name.split(".") for name in imports(path)]
        if room in ROOMS:
            rooms[room] |= {x[1] for x in parts if x[0] == "xstilts" and x[1] in ROOMS - {room}}
    return rooms


def test_rooms_import_each_other_without_a_circle():
    try:
        tuple(TopologicalSorter(imported_rooms()).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_configuration_and_store_know_no_results():
    rooms = imported_rooms()
    upper = {"results", "analyses", "report", "stages", "commands", "cli", "exchange", "status"}
    assert not {room: rooms[room] & upper for room in ("config", "store") if rooms[room] & upper}


def test_names_in_rules_exist():
    """Rules run outside the package, where no tool sees that a name is gone."""
    modules = {"store": store, "signals": signals, "this_run": run, "paths": paths}
    rules = [ROOT / "Snakefile", *ROOT.glob("workflow/rules/*.smk")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in rules)
    used = re.findall(rf"\b({'|'.join(modules)})\.(\w+)", text)
    assert {module for module, _ in used} == {*modules}
    assert [name for name in used if not hasattr(modules[name[0]], name[1])] == []
