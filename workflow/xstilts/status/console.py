"""The output of `xstilts status`."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.grid.state import mixed_versions
from xstilts.status.progress import STATES, Failure, Snapshot, costs_of
from xstilts.store.progress import Progress
from xstilts.terminal import Console, side_by_side
from xstilts.units import clock_time, count, duration, hours, rate

MARKS = {"done": "✓", "running": "▸", "queued": "…", "failed": "✗", "to do": "·"}
STYLES = dict(zip(STATES, ("green", "cyan", "yellow", "bold red", "dim"), strict=True))


def print_status(snapshot: Snapshot, failures: Sequence[Failure]) -> None:
    """Print a table per model with a mark per seed, then the running, queued and failed jobs."""
    console = Console()
    console.say(title(snapshot), "bold")
    for model in dict.fromkeys(cell.model for cell in snapshot.cells):
        _print_marks(snapshot, model, console)
        console.print()
    counts = Counter(snapshot.cells.values())
    legend = ", ".join(f"{MARKS[state]} {state} {counts[state]}" for state in STATES)
    cells = count(len(snapshot.cells), "cell")
    console.say(f"{legend}, of {cells}; one mark per seed; trained: steps of all seeds")
    console.say(cost_line(snapshot))
    if snapshot.released:
        released = count(snapshot.released, "checkpoint")
        console.say(
            f"released: {released}; the weights are deleted, manifests and logs stay", "dim"
        )
    if snapshot.lost:
        lost = count(len(snapshot.lost), "result")
        console.say(f"deleted: {lost} of done cells; the next run makes them again", "yellow")
    if warning := mixed_versions(snapshot.grid.artefacts().all()):
        console.say(f"Warning: {warning}", "yellow")
    for id, report in snapshot.running.items():
        console.say(f"▸ {id}{training_line(report)}", "cyan")
    for id, reason in snapshot.queued.items():
        console.say(f"… {id}: {reason}", "yellow")
    for failure in failures:
        console.say(f"✗ {failure.id}: {failure.message}", "red")
        lines = [f"{failure.log}:", *(f"  {line}" for line in failure.last_lines)]
        for line in [*(lines if failure.last_lines else []), f"again: {failure.command}"]:
            console.print(Text(f"    {line}"), soft_wrap=True)  # to be copied


def share_done(done: int, total: int) -> str:
    """Return the share of what is done, rounded down: 593 of 594 are `99 %`."""
    return f"{100 * done // max(total, 1)} %"


def title(snapshot: Snapshot) -> str:
    """Return `lab: 8 of 56 cells done (14 %)`."""
    done, cells = snapshot.done_cells, len(snapshot.cells)
    share = share_done(done, cells) if cells else "nothing to do"
    return f"{snapshot.grid.study.study}: {done:,} of {count(cells, 'cell')} done ({share})"


def _print_marks(snapshot: Snapshot, model: str, console: Console) -> None:
    """Print the marks of a model's cells: a row per recipe, a column per target.

    Names are not truncated: targets that do not fit are in a second table.
    """
    study, trained = snapshot.grid.study, snapshot.trained(model)
    names = [max(name, "trained", key=len) for name in trained.values()]
    first = max(map(len, [model, *trained])) + max(map(len, names)) + 4
    widths = [max(len(target), len(_seeds(snapshot))) for target in study.targets]
    for part in side_by_side(widths, console.width - first):
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(Text(model), no_wrap=True)
        if is_first := not part.start:
            table.add_column("trained", justify="right", no_wrap=True)
        for target in study.targets[part]:
            table.add_column(Text(target), justify="center", no_wrap=True)
        for recipe, steps in trained.items():
            cells = [_marks(snapshot, model, recipe, t) for t in study.targets[part]]
            table.add_row(Text(recipe), *([steps] if is_first else []), *cells)
        console.print(table)


def _seeds(snapshot: Snapshot) -> list[int]:
    """Seeds of all recipes: the baseline may have more than the others."""
    return list(dict.fromkeys(cell.seed for cell in snapshot.cells))


def _marks(snapshot: Snapshot, model: str, recipe: str, target: str) -> Text:
    text = Text()
    for seed in _seeds(snapshot):
        state = snapshot.cells.get(Cell(model, recipe, target, seed))
        text.append(MARKS.get(state, " "), STYLES.get(state, ""))
    return text


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
        left = (
            f"about {hours(bill.left)} left, {duration(bill.seconds_left)} with {places}, "
            f"until about {clock_time(bill.seconds_left)}"
        )
    return f"{unit}: {hours(bill.spent)} spent, {left}"
