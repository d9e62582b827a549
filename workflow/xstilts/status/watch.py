"""`xstilts status --watch`: one panel while a study runs; plain lines without a terminal."""

import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from xstilts.costs.units import duration
from xstilts.grid.grid import Grid
from xstilts.status.console import STYLES, cost_line, training_line
from xstilts.status.progress import STATES, Snapshot, failures, take_snapshot
from xstilts.terminal import Console

_SHOWN = 8  # running and failed jobs; the others are counted
_SHARE = 0.1  # of the time at most goes into snapshots, however large the study


def watch(grid: Grid, study: Path, every: float, console: Console | None = None) -> None:
    """Show the study every `every` seconds until all cells are done. Ctrl-C ends it."""
    console = console or Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    first = snapshot = take_snapshot(grid)
    started, printed = time.monotonic(), ""
    with live or nullcontext(), suppress(KeyboardInterrupt):
        while True:
            now = time.monotonic()
            finished = len(snapshot.done) - len(first.done)
            if live:
                live.update(panel(snapshot, study, finished, now - started), refresh=True)
            elif (text := line(snapshot)) != printed:
                console.print(Text(text), soft_wrap=True)
                printed = text
            if snapshot.done >= {score.id for score in grid.scores()}:
                return
            time.sleep(max(every, (time.monotonic() - now) / _SHARE))
            snapshot = take_snapshot(grid, snapshot)


def panel(snapshot: Snapshot, study: Path, finished: int, elapsed: float) -> RenderableType:
    """Return a panel: counts by phase, rate and costs, then running and failed jobs."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("phase")
    for state in STATES:
        table.add_column(state, justify="right")
    rows = {**snapshot.phases, "cells": Counter(snapshot.cells.values())}
    for name, counts in rows.items():
        shown = [Text(str(counts[s]) if counts[s] else "", STYLES[s]) for s in STATES]
        table.add_row(name, *shown, style="bold" if name == "cells" else "")
    lines = [Text(""), Text(_speed(finished, elapsed)), Text(cost_line(snapshot))]
    running = [Text(f"▸ {id}{training_line(r)}", "cyan") for id, r in snapshot.running.items()]
    failed = [
        Text(f"✗ {f.id}: {f.message}\n    {f.log}\n    again: {f.command}", "red")
        for f in failures(snapshot, study)
    ]
    for group, state in ((running, "running"), (failed, "failed")):
        lines += group[:_SHOWN]
        if len(group) > _SHOWN:
            lines.append(Text(f"and {len(group) - _SHOWN} more {state}", "dim"))
    return Panel(Group(table, *lines), title=Text(snapshot.grid.study.study), title_align="left")


def line(snapshot: Snapshot) -> str:
    """Return the same in one line, which changes when a count does."""
    counts = Counter(snapshot.cells.values())
    cells = ", ".join(f"{state} {counts[state]}" for state in STATES if counts[state])
    jobs = {state: sum(c[state] for c in snapshot.phases.values()) for state in STATES[1:4]}
    active = ", ".join(f"{number} {state}" for state, number in jobs.items() if number)
    return f"cells: {cells}; jobs: {active or 'none'}; {cost_line(snapshot)}"


def _speed(finished: int, elapsed: float) -> str:
    if finished == 0:
        return f"no job has finished in the last {duration(elapsed)}"
    return f"{finished} finished in {duration(elapsed)}, {finished / elapsed * 3600:,.0f} per hour"
