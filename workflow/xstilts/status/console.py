"""The output of `xstilts status`."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from xstilts.costs.units import count, duration, hours, rate
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.grid.state import mixed_versions
from xstilts.status.progress import STATES, Failure, Snapshot, costs_of
from xstilts.store.progress import Progress
from xstilts.terminal import Console

MARKS = {"done": "✓", "running": "▸", "queued": "…", "failed": "✗", "to do": "·"}
STYLES = dict(zip(STATES, ("green", "cyan", "yellow", "bold red", "dim"), strict=True))


def print_status(snapshot: Snapshot, failures: Sequence[Failure]) -> None:
    """Print a table per model with a mark per seed, then the running, queued and failed jobs."""
    console = Console()
    for model in dict.fromkeys(cell.model for cell in snapshot.cells):
        console.print(_table(snapshot, model))
        console.print()
    counts = Counter(snapshot.cells.values())
    legend = ", ".join(f"{MARKS[state]} {state} {counts[state]}" for state in STATES)
    cells = count(len(snapshot.cells), "cell")
    console.print(Text(f"{legend}, of {cells}; one mark per seed"), soft_wrap=True)
    console.print(Text(cost_line(snapshot)), soft_wrap=True)
    if snapshot.released:
        released = count(snapshot.released, "checkpoint")
        line = f"released: {released}; the weights are deleted, manifests and logs stay"
        console.print(Text(line, "dim"), soft_wrap=True)
    if warning := mixed_versions(snapshot.grid.artefacts().all()):
        console.print(Text(f"Warning: {warning}", "yellow"), soft_wrap=True)
    for id, report in snapshot.running.items():
        console.print(Text(f"▸ {id}{training_line(report)}", "cyan"), soft_wrap=True)
    for id, reason in snapshot.queued.items():
        console.print(Text(f"… {id}: {reason}", "yellow"), soft_wrap=True)
    for failure in failures:
        console.print(Text(f"✗ {failure.id}: {failure.message}", "red"), soft_wrap=True)
        lines = [f"{failure.log}:", *(f"  {line}" for line in failure.last_lines)]
        for line in [*(lines if failure.last_lines else []), f"again: {failure.command}"]:
            console.print(Text(f"    {line}"), soft_wrap=True)


def _table(snapshot: Snapshot, model: str) -> Table:
    """Return the marks of a model's cells: a row per recipe, a column per target."""
    study = snapshot.grid.study
    table = Table(title=Text(model), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("recipe")
    for target in study.targets:
        table.add_column(target, justify="center")
    for recipe in dict.fromkeys(cell.recipe for cell in snapshot.cells if cell.model == model):
        marks = []
        for target in study.targets:
            text = Text()
            for seed in [*study.seeds, *study.extra_seeds]:
                state = snapshot.cells.get(Cell(model, recipe, target, seed))
                text.append(MARKS.get(state, " "), STYLES.get(state, ""))
            marks.append(text)
        table.add_row(Text(recipe), *marks)
    return table


def training_line(report: Progress | None) -> str:
    """Return the text of a training's report; empty for jobs without one."""
    if report is None:
        return ""
    loss = "" if report.loss is None else f", loss {report.loss:.3f}"
    return (
        f": step {report.step:,} of {report.steps:,}{loss}, "
        f"{rate(report.examples_per_second, 'example')}, {duration(report.seconds_left)} left"
    )


def cost_line(snapshot: Snapshot) -> str:
    """Return the hours spent and left, and the wall time left; or why they are unknown."""
    try:
        bill = costs_of(snapshot)
    except InputError as error:
        return f"costs are unknown: {error}"
    unit = "GPU time" if bill.on_gpus else "CPU time of trainings and predictions"
    places = count(bill.places, "GPU" if bill.on_gpus else "parallel job")
    left = "nothing left"
    if bill.seconds_left:
        left = f"about {hours(bill.left)} left, {duration(bill.seconds_left)} with {places}"
    return f"{unit}: {hours(bill.spent)} spent, {left}"
