"""`xstilts status --watch`: one panel while a study runs; plain lines without a terminal."""

import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from xstilts.grid.grid import Grid
from xstilts.status.console import STYLES, cost_line, share_done, title, training_line
from xstilts.status.progress import STATES, Snapshot, failures, take_snapshot
from xstilts.terminal import Console
from xstilts.units import count, duration

_SHOWN = 8  # running and failed jobs; the others are counted
_SHARE = 0.1  # of the time at most is spent on snapshots, however large the study


def watch(grid: Grid, study: Path, every: float) -> None:
    """Show the study every `every` seconds until all cells are done. Ctrl-C ends it."""
    console = Console()
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
    """Return a panel: a bar, counts by phase, rate and costs, then running and failed jobs."""
    made = sum(counts["done"] for counts in snapshot.phases.values())
    total = sum(counts.total() for counts in snapshot.phases.values())
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    bar.add_row(
        ProgressBar(total=max(total, 1), completed=made),
        f"{made:,} of {count(total, 'artefact')}, {share_done(made, total)}",
    )
    lines = [Text(_speed(finished, elapsed)), Text(cost_line(snapshot)), _running(snapshot)]
    if len(snapshot.running) > _SHOWN:
        lines.append(Text(f"and {len(snapshot.running) - _SHOWN} more running", "dim"))
    failed = [
        Text(f"✗ {f.id}: {f.message}\n    {f.log}\n    again: {f.command}", "red")
        for f in failures(snapshot, study)
    ]
    lines += failed[:_SHOWN]
    if len(failed) > _SHOWN:
        lines.append(Text(f"and {len(failed) - _SHOWN} more failed", "dim"))
    return Panel(
        Group(bar, _phases(snapshot), *lines),
        title=Text(title(snapshot)),
        title_align="left",
        subtitle="Ctrl-C leaves the jobs alone",
    )


def _phases(snapshot: Snapshot) -> Table:
    """Return the counts by phase, without states that no artefact has."""
    rows = {**snapshot.phases, "cells": Counter(snapshot.cells.values())}
    states = [state for state in STATES if any(counts[state] for counts in rows.values())]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("phase")
    for state in states:
        table.add_column(state, justify="right")
    for name, counts in rows.items():
        shown = [Text(f"{counts[s]:,}" if counts[s] else "", STYLES[s]) for s in states]
        table.add_row(name, *shown, style="bold" if name == "cells" else "")
    return table


def _running(snapshot: Snapshot) -> Table:
    """Return a line for each running job, with a bar if it reports its steps."""
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="fold")
    table.add_column(width=12)
    for id, report in list(snapshot.running.items())[:_SHOWN]:
        bar = ProgressBar(total=report.steps, completed=report.step) if report else ""
        table.add_row(Text(f"▸ {id.rpartition('.')[0]}{training_line(report)}", "cyan"), bar)
    return table


def line(snapshot: Snapshot) -> str:
    """Return the counts and costs of a snapshot in one line."""
    counts = Counter(snapshot.cells.values())
    cells = ", ".join(f"{state} {counts[state]}" for state in STATES if counts[state])
    jobs = {state: sum(c[state] for c in snapshot.phases.values()) for state in STATES[1:4]}
    active = ", ".join(f"{number} {state}" for state, number in jobs.items() if number)
    return f"cells: {cells}; jobs: {active or 'none'}; {cost_line(snapshot)}"


def _speed(finished: int, elapsed: float) -> str:
    if finished == 0:
        return "no job has finished since the watch began"
    return f"{finished} finished in {duration(elapsed)}, {finished / elapsed * 3600:,.0f} per hour"
