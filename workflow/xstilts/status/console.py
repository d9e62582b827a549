"""What `status` prints."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xstilts.costs.units import duration
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.status.progress import STATES, Failure, Look, costs_of

MARKS = {"done": "✓", "running": "▸", "queued": "…", "failed": "✗", "to do": "·"}
STYLES = dict(zip(STATES, ("green", "cyan", "yellow", "bold red", "dim"), strict=True))


def print_status(found: Look, failed: Sequence[Failure]) -> None:
    """The grid per model, recipes down and targets across, a mark per seed; then what goes on."""
    console = Console()
    for model in dict.fromkeys(cell.model for cell in found.cells):
        console.print(_grid(found, model))
        console.print()
    counts = Counter(found.cells.values())
    legend = ", ".join(f"{MARKS[state]} {state} {counts[state]}" for state in STATES)
    console.print(Text(f"{legend}, of {len(found.cells)} cells; a mark per seed"), soft_wrap=True)
    console.print(Text(cost_line(found)), soft_wrap=True)
    for id, told in found.running.items():
        console.print(Text(f"▸ {id}{training_line(told)}", "cyan"), soft_wrap=True)
    for id, reason in found.queued.items():
        console.print(Text(f"… {id}: {reason}", "yellow"), soft_wrap=True)
    for failure in failed:
        console.print(Text(f"✗ {failure.id}: {failure.message}", "red"), soft_wrap=True)
        lines = [f"{failure.log}:", *(f"  {line}" for line in failure.last_lines)]
        for line in [*(lines if failure.last_lines else []), f"again: {failure.command}"]:
            console.print(Text(f"    {line}"), soft_wrap=True)


def _grid(found: Look, model: str) -> Table:
    study = found.grid.study
    table = Table(title=Text(model), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("recipe")
    for target in study.targets:
        table.add_column(target, justify="center")
    for recipe in dict.fromkeys(cell.recipe for cell in found.cells if cell.model == model):
        marks = []
        for target in study.targets:
            text = Text()
            for seed in study.seeds:
                state = found.cells.get(Cell(model, recipe, target, seed))
                text.append(MARKS.get(state, " "), STYLES.get(state, ""))
            marks.append(text)
        table.add_row(Text(recipe), *marks)
    return table


def training_line(told: dict) -> str:
    """What a training says of itself; empty for jobs that say nothing."""
    try:
        loss = "" if told["loss"] is None else f", loss {told['loss']:.3f}"
        return (
            f": step {told['step']} of {told['steps']}{loss}, "
            f"{told['examples_per_second']:,.0f} examples/s, "
            f"{duration(told['seconds_left'])} left"
        )
    except (KeyError, TypeError, ValueError):
        return ""


def cost_line(found: Look) -> str:
    """Hours spent and to go, and the time that may take; or why that cannot be told."""
    try:
        bill = costs_of(found)
    except InputError as error:
        return f"costs are not known: {error}"
    unit = "GPU hours" if bill.on_gpus else "CPU hours of trainings and predictions"
    places = f"{bill.places} {'GPU' if bill.on_gpus else 'job'}{'s' if bill.places > 1 else ''}"
    places += "" if bill.on_gpus else " at a time"
    rest = f"about {_hours(bill.left)} to go, {duration(bill.seconds_left)} with {places}"
    return f"{unit}: {_hours(bill.spent)} spent, {rest if bill.seconds_left else 'none to go'}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"
