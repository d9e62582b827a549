"""The bill of a study and its chosen cells, for the terminal."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from rich.table import Table
from rich.text import Text

from xstilts.costs.bill import ASIDE, SHARED, Line, Plan, wall_seconds
from xstilts.costs.choice import AIMS, Choice, Problem, half_width, value
from xstilts.costs.estimates import ESTIMATED, Estimator
from xstilts.costs.peak import peaks
from xstilts.costs.savings import Saving
from xstilts.grid import retention
from xstilts.grid.artefacts import Cell, Checkpoint, cells_of
from xstilts.terminal import Console
from xstilts.units import count, duration, hours, size

_COLUMNS = ("total", "done", "to do", "time", "GPU time", "disk", "download")
_MERGED = 4  # equal rows of a table from which they are shown as one


def _table(*columns: str, left: Collection[int] = ()) -> Table:
    """Return an empty table; the first column and those in `left` are flush left."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number in (0, *left) else "right", no_wrap=True)
    return table


def bill(plan: Plan, console: Console) -> None:
    """Print the artefacts by phase, model and recipe, and the costs of those that are missing."""
    scores = plan.grid.scores()
    cells, done = len(scores), sum(score.id in plan.done for score in scores)  # as in `status`
    name = plan.grid.study.study
    console.say(f"{name}: {count(cells, 'cell')}, {done} done, {cells - done} to do", "bold")
    if lost := done - sum(not needs for needs in plan.needs.values()):
        console.say(f"{lost} of the done lack an earlier result, which is made again", "dim")
    for key in ("phase", "model", "recipe"):
        lines = plan.bill(key) | ({"all": plan.total()} if key == "phase" else {})
        console.print()
        console.print(_bill_table(f"By {key}", {n: _row(line) for n, line in lines.items()}))
    if SHARED in lines:
        console.say(f"{SHARED}: needed by several, counted once", "dim")
    if ASIDE in lines:
        console.say(f"{ASIDE}: needed by the analysis only, not part of a budget", "dim")


def _bill_table(title: str, rows: Mapping[str, list[str]]) -> Table:
    """Return a table without empty columns and columns that a later one repeats.

    Four or more equal rows are shown as one.
    """
    texts = list(zip(*rows.values(), strict=True))
    kept = [
        n
        for n, column in enumerate(texts)
        if not {*column} <= {"", "0"} and column not in texts[n + 1 :]
    ]
    table = _table(title, *(_COLUMNS[n] for n in kept))
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, row in rows.items():
        groups.setdefault(tuple(row[n] for n in kept), []).append(name)
    for row, names in groups.items():
        shown = names if len(names) < _MERGED else [f"{len(names)} others, each"]
        for name in shown:
            table.add_row(Text(name, "bold" if name == "all" else ""), *row)
    return table


def _row(line: Line) -> list[str]:
    return [
        f"{line.total:,}",
        f"{line.done:,}",
        f"{line.to_do:,}",
        hours(line.seconds / 3600) if line.to_do else "",
        hours(line.gpu_hours) if line.gpu_hours else "",
        size(line.disk),
        size(line.download),
    ]


def causes(plan: Plan, saved: list[Saving], console: Console) -> None:
    """Print the GPU hours that a study saves, by cause, and those that remain."""
    if not saved:
        return
    table = _table("By cause", "GPU time", "known", left=[2])
    remaining = plan.total().gpu_hours
    plain = remaining + sum(saving.hours for saving in saved)
    table.add_row("without these" if saved[1:] else "without", hours(plain), "")
    for saving in saved:
        table.add_row(saving.cause, f"\N{MINUS SIGN}{hours(saving.hours)}", saving.source)
    table.add_row(Text("all", "bold"), hours(remaining), "")
    console.print()
    console.print(table)


def time(plan: Plan, gpus: int, console: Console) -> None:
    """Print the wall time, and the disk space that running trainings need."""
    if not plan.to_do:
        return
    places = count(gpus, "GPU" if plan.on_gpus else "parallel job")
    console.say(
        f"\nWall time: {duration(wall_seconds(plan, gpus))} with {places}; "
        f"at least {duration(wall_seconds(plan))} (longest chain)",
    )
    if plan.scratch:
        room = size(plan.scratch)
        console.say(f"Temporary disk space: up to {room} for each running training")


def disk_peaks(plan: Plan, estimator: Estimator, gpus: int, console: Console) -> None:
    """Print the disk space of the results at its peak, for each `keep` of a study."""
    if not any(isinstance(artefact, Checkpoint) for artefact in plan.to_do):
        return
    found = peaks(plan, estimator, gpus)
    own = retention.keep_of(plan.grid)
    listed = ", ".join(f"{size(bytes)} with `keep: {keep}`" for keep, bytes in found.items())
    console.say(f"Disk space at the peak: {listed} (this study: {own})")


def sources(plan: Plan, estimator: Estimator, console: Console) -> None:
    """Print how the costs of trainings and predictions are known, and the assumptions."""
    sources = Counter(plan.costs[artefact.id].source for artefact in plan.computing)
    if sources:
        listed = ", ".join(f"{number:,} {source}" for source, number in sources.most_common())
        console.say(f"Times of trainings and predictions: {listed}")
    if ESTIMATED in sources:
        estimated = [a for a in plan.computing if plan.costs[a.id].source == ESTIMATED]
        rates = {(plan.costs[a.id].gpus > 0, a.settings.precision) for a in estimated}
        for on_gpu, precision in sorted(rates):
            hardware = estimator.table.hardware[estimator.gpu if on_gpu else "cpu"]
            console.say(
                f"FLOP estimate: 6 per weight and token in training, 2 in prediction; "
                f"{hardware.basis(precision)}. "
                "All assumptions: xstilts/costs/hardware.yaml",
            )
    if alone := shared_but_not_measured(plan):
        console.say(
            f"cells_per_gpu is not priced for {', '.join(alone)}: no job of theirs that shared a "
            "GPU was measured; the times are those of jobs with a GPU of their own",
        )


def rows(plan: Plan, estimator: Estimator, console: Console) -> None:
    """Print the data sets whose numbers of rows are not known, or not those of the user's files."""
    used = {d.id: d for a in plan.to_do for d in getattr(a, "datasets", ())}.values()
    unknown = Counter(
        f"{data.task} {data.split}" for data in used if estimator.stated_rows(data) is None
    )
    unprepared = {
        data.task: None
        for data in used
        if data.raw and data.id not in estimator.evidence.rows and plan.grid.study.rows == "any"
    }
    if unprepared:
        console.say(
            "Numbers of rows of the releases, not of your files, which are large or not readable: "
            f"{', '.join(unprepared)}; `snakemake prepare_all` counts them",
        )
    if unknown:
        names = ", ".join(
            f"{name} ({number} languages)" if number > 1 else name
            for name, number in unknown.items()
        )
        rows = ", ".join(f"{n:,.0f} of {s}" for s, n in estimator.table.assumptions.rows.items())
        console.say(f"Unknown numbers of rows, assumed to be {rows}: {names}")


def shared_but_not_measured(plan: Plan) -> list[str]:
    """Return the models whose missing jobs will share a GPU, but are priced as if they did not."""
    project = plan.grid.project
    names = (a.model for a in plan.computing if plan.costs[a.id].cells != cells_of(a, project))
    return list(dict.fromkeys(names))


def selection(plan: Plan, problem: Problem, choice: Choice, aim: str, console: Console) -> None:
    """Print the chosen cells, the cells left out, and why."""
    spent = problem.cost(choice.cells)
    unit = "GPU time" if plan.on_gpus else "CPU time (no model needs a GPU)"
    limits = [
        f"{show(amount)} of {show(budget)} {name}"
        for show, name, amount, budget in zip(
            (hours, size), (unit, "disk"), spent, problem.budgets, strict=True
        )
        if budget < math.inf
    ]
    to_do = len(plan.needs) - len(problem.done)
    console.say(f"\nWithin the budget: {', '.join(limits)}", "bold")
    shown, is_best = AIMS[aim].shown, choice.bound <= choice.value * 1.0001
    search = f"the search ended first: at most {shown.format(choice.bound)} (--seconds)"
    console.say(
        f"Aim: {AIMS[aim].label}: {shown.format(choice.value)}, including done cells; "
        f"{'no choice is better' if is_best else search}; "
        f"{len(choice.cells)} of {to_do} cells to do chosen",
    )
    if aim == "intervals":
        widths = ", ".join(f"{half_width(n):.2f}" for n in (2, 3, 5))
        console.say(
            f"Half-width of a 95 % interval with 2, 3, 5 seeds: {widths} standard deviations of a "
            f"run (Welch's t); without two seeds it counts as {half_width(0):.1f}",
        )
    chosen = {*choice.cells}
    table = _table("chosen", "recipe", "cells", "targets (seeds if not all)", left=[1, 3])
    table.columns[3].no_wrap = False
    for (model, recipe), cells in _by_recipe(choice.cells).items():
        table.add_row(Text(model), Text(recipe), str(len(cells)), Text(_targets(plan, cells)))
    console.print()
    console.print(table)
    left = [c for c in plan.needs if c not in chosen and c not in problem.done]
    if left:
        console.print()
        console.print(_left_out(problem, choice, aim, left))


def _left_out(problem: Problem, choice: Choice, aim: str, left: list[Cell]) -> Table:
    """Return the cells that were not chosen, by recipe, with the price of the cheapest of each."""
    table = _table("left out", "recipe", "cells", "next costs", "why", left=[1, 4])
    chosen = {*choice.cells}
    for (model, recipe), cells in _by_recipe(left).items():
        prices, why = [], "exceeds the budget"
        for cell in cells:
            more = problem.with_baselines([cell])
            prices.append(problem.cost(more, chosen))
            if problem.fits(chosen | more):
                gains = value(problem, chosen | more, aim) > choice.value + 1e-9
                why = "fits: the search ended first" if gains else "adds nothing to the aim"
        time, disk = min(prices)
        price = hours(time) + (f", {size(disk)}" if problem.budgets[1] < math.inf else "")
        table.add_row(Text(model), Text(recipe), str(len(cells)), price, why)
    return table


def _by_recipe(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    groups = defaultdict(list)
    for cell in cells:
        groups[cell.model, cell.recipe].append(cell)
    return groups


def _targets(plan: Plan, cells: list[Cell]) -> str:
    """Return the targets of cells, such as `xnli, panx 2/3`: two of three seeds of panx."""
    seeds = len(plan.grid.study.seeds)
    counts = Counter(cell.target for cell in cells)
    return ", ".join(
        target if number == seeds else f"{target} {number}/{seeds}"
        for target, number in counts.items()
    )
