"""`status --watch`: one calm panel while a study runs; plain lines where there is no terminal."""

import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from xstilts.costs.units import duration
from xstilts.grid.grid import Grid
from xstilts.status.console import STYLES, cost_line, training_line
from xstilts.status.progress import STATES, Look, failures, look

_SHOWN = 8  # running and failed jobs; the others are counted
_SHARE = 0.1  # of the time at most is spent looking, however large the study


def watch(grid: Grid, study: Path, every: float, console: Console | None = None) -> None:
    """Show the study every so many seconds until all is done. Ctrl-C ends it."""
    console = console or Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    first = found = look(grid)
    started, said = time.monotonic(), ""
    with live or nullcontext(), suppress(KeyboardInterrupt):
        while True:
            now = time.monotonic()
            made = len(found.done) - len(first.done)
            if live:
                live.update(panel(found, study, made, now - started), refresh=True)
            elif (text := line(found)) != said:
                console.print(Text(text), soft_wrap=True)
                said = text
            if found.done >= {score.id for score in grid.scores()}:
                return
            time.sleep(max(every, (time.monotonic() - now) / _SHARE))
            found = look(grid, found)


def panel(found: Look, study: Path, made: int, elapsed: float) -> RenderableType:
    """Phases with their counts, rate and costs, then what runs and what failed."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("phase")
    for state in STATES:
        table.add_column(state, justify="right")
    rows = {**found.phases, "cells": Counter(found.cells.values())}
    for name, counts in rows.items():
        shown = [Text(str(counts[s]) if counts[s] else "", STYLES[s]) for s in STATES]
        table.add_row(name, *shown, style="bold" if name == "cells" else "")
    lines = [Text(""), Text(_rate(made, elapsed)), Text(cost_line(found))]
    running = [Text(f"▸ {id}{training_line(t)}", "cyan") for id, t in found.running.items()]
    failed = [
        Text(f"✗ {f.id}: {f.message}\n    {f.log}\n    again: {f.command}", "red")
        for f in failures(found.grid, found, study)
    ]
    for group, what in ((running, "run"), (failed, "failed")):
        lines += group[:_SHOWN]
        if len(group) > _SHOWN:
            lines.append(Text(f"and {len(group) - _SHOWN} more that {what}", "dim"))
    return Panel(Group(table, *lines), title=Text(found.grid.study.study), title_align="left")


def line(found: Look) -> str:
    """The same in one line, which changes when a count does."""
    counts = Counter(found.cells.values())
    told = ", ".join(f"{state} {counts[state]}" for state in STATES if counts[state])
    jobs = {state: sum(c[state] for c in found.phases.values()) for state in STATES[1:4]}
    also = ", ".join(f"{number} {state}" for state, number in jobs.items() if number)
    return f"cells: {told}; jobs: {also or 'none'}; {cost_line(found)}"


def _rate(made: int, elapsed: float) -> str:
    if made == 0:
        return f"nothing finished since this began, {duration(elapsed)} ago"
    return f"{made} finished in {duration(elapsed)}, {made / elapsed * 3600:,.0f} per hour"
