"""`xstilts plan`: what a study costs, what to run within a budget, and how good the estimate was.

Reads the results folder, prints, and with `--write` leaves a study file; the numbers are made in
`plan`, `estimates` and `budget`.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xstilts import store
from xstilts.config.project import folders
from xstilts.config.schema import STUDY
from xstilts.config.yaml import read_yaml
from xstilts.costs import measured
from xstilts.costs.bill import (
    ASIDE,
    COMPUTING,
    SHARED,
    Comparison,
    Line,
    Plan,
    check,
    make,
    patterns,
    wall_seconds,
)
from xstilts.costs.bill import problem as budget_problem
from xstilts.costs.choice import AIMS, Choice, Problem, choose, gains_of, value
from xstilts.costs.estimates import ESTIMATED, Estimator, load_table
from xstilts.costs.measured import Evidence
from xstilts.costs.units import duration, size
from xstilts.errors import InputError
from xstilts.grid import state
from xstilts.grid.artefacts import Artefact, Cell
from xstilts.grid.grid import Grid
from xstilts.results.score_file import ScoreFile

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}
_WIDTH = 110  # where there is no terminal that has one


def run(grid: Grid, options) -> None:
    """Print the plan that the options of the command line ask for. Raises InputError."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    hours, disk = options.gpu_hours, _bytes(options.disk) if options.disk else math.inf
    limited = hours is not None or disk < math.inf
    if options.write and not limited:
        raise InputError("--write: the study of a budget; state --gpu-hours or --disk")
    if hours is not None and not hours > 0:
        raise InputError(f"--gpu-hours {hours:g}: expected more than 0")
    if options.gpus < 1:
        raise InputError(f"--gpus {options.gpus}: expected 1 or more")
    values = _writable(options.study, options.write) if options.write else {}
    estimator, evidence, past = _evidence(grid, options, console)
    if options.check:
        print_check(check(grid, estimator, evidence), console)
        return
    done = [a.id for a in grid.artefacts().all() if state.is_done(a)]
    plan = make(grid, estimator, evidence, done, past)
    print_bill(plan, console)
    print_time(plan, options.gpus, console)
    print_sources(plan, estimator, evidence, console)
    if not limited:
        return
    baselines = frozenset(name for name, recipe in grid.recipes.items() if not recipe.steps)
    found = gains_of(_scores(grid), baselines)
    problem = budget_problem(plan, found, math.inf if hours is None else hours, disk)
    choice = choose(problem, options.aim, options.seconds)
    print_choice(plan, problem, choice, options.aim, console)
    if options.write:
        only = patterns(plan.needs, {*choice.cells} | problem.done)
        _write(options.write, values, only, options)
        _say(console, f"\nWritten: {options.write}, with what is done already")


def _evidence(grid: Grid, options, console: Console) -> tuple[Estimator, Evidence, list[Artefact]]:
    """What this and other studies with results here have measured."""
    project, past = grid.project, {}
    models = dict(project.models)
    for path in sorted((state.RESULTS / "studies").glob("*/study.json")):
        if path.parent.name == grid.study.study:
            continue
        try:
            other, _ = state.open_study(path)
        except InputError as error:  # of an older version, say; it costs only its measurements
            _say(console, f"{path.parent}: its measurements are left out: {error}", "dim")
            continue
        models = other.project.models | models
        past |= {artefact.id: artefact for artefact in other.artefacts().all()}
    project = project.model_copy(update={"models": models})
    own = {artefact.id: artefact for artefact in grid.artefacts().all()}
    evidence = measured.read(project, (past | own).values())
    table = load_table(*[options.hardware_table] if options.hardware_table else [])
    reused = [past[id] for id in past if id in evidence.costs]
    return Estimator(project, table, options.hardware), evidence, reused


def _scores(grid: Grid) -> dict[Cell, float]:
    """Return the headline of each cell that has a score. Raises InputError for a damaged file."""
    paths = {score.cell: Path(score.path) for score in grid.scores()}
    return {cell: ScoreFile.read(path).headline for cell, path in paths.items() if path.exists()}


def _bytes(text: str) -> float:
    """Bytes of a size such as `500GB`, `1.5 TB` or `2e9`. Raises InputError."""
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([kmgtp]?)b?", text.strip().lower())
    try:
        size = float(match.group(1)) * _UNITS[match.group(2)] if match else 0
    except ValueError:
        size = 0
    if not size > 0:
        raise InputError(f"--disk {text}: expected a size such as 500GB or 1.5TB")
    return size


def _writable(study: Path, path: Path) -> dict:
    """The values of the study that is chosen from, once it is sure that `path` can be a study."""
    if study.suffix == ".json":
        raise InputError(f"--write needs the study's YAML file, not {study}")
    if path.exists():
        raise InputError(f"--write {path}: exists; delete it or take another name")
    if path.suffix != ".yaml" or not re.fullmatch(STUDY, path.stem):
        raise InputError(f"--write {path}: expected NAME.yaml, NAME as {STUDY}")
    if folders(path) != folders(study):
        raise InputError(
            f"--write {path}: a study finds tasks and models beside it; write it to "
            f"{study.parent} or {folders(study)[0] / 'studies'}"
        )
    return read_yaml(study)


def _write(path: Path, values: Mapping, only: list[str], options) -> None:
    budget = [f"{options.gpu_hours:g} GPU hours"] if options.gpu_hours is not None else []
    budget += [f"{size(_bytes(options.disk))} of disk"] if options.disk else []
    head = (
        f"# Of {options.study.name}: what `xstilts plan --aim {options.aim}` chose within\n"
        f"# {' and '.join(budget)}, and what was done by then.\n"
    )
    chosen = {**values, "study": path.stem, "only": only}
    text = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=100)
    store.write_text(path, head + text)


def _say(console: Console, text: str, style: str = "") -> None:
    """A paragraph; one line where there is no terminal to wrap it for."""
    console.print(Text(text, style), soft_wrap=not console.is_terminal)


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.3f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def print_bill(plan: Plan, console: Console) -> None:
    """Counts and costs by phase, model and recipe, of what is to do."""
    cells, done = len(plan.needs), sum(not needs for needs in plan.needs.values())
    _say(
        console,
        f"{plan.grid.study.study}: {cells} cells, {done} done, {cells - done} to do",
        "bold",
    )
    for title, lines in (
        ("By phase", plan.by_phase()),
        ("By model", plan.by_model()),
        ("By recipe", plan.by_recipe()),
    ):
        columns = ["total", "done", "to do", "hours", "GPU hours", "disk", "download"]
        table = _table(title, *columns)
        for name, line in lines.items():
            table.add_row(Text(name), *_row(line))
        if title == "By phase":
            table.add_row(Text("all", "bold"), *_row(plan.total()))
        console.print()
        console.print(table)
    if SHARED in plan.by_recipe():
        _say(console, f"{SHARED}: what several need, paid once", "dim")
    if ASIDE in plan.by_recipe():
        _say(console, f"{ASIDE}: beside the cells, and beside a budget", "dim")


def _row(line: Line) -> list[str]:
    return [
        f"{line.total:,}",
        f"{line.done:,}",
        f"{line.to_do:,}",
        _hours(line.seconds / 3600) if line.to_do else "",
        _hours(line.gpu_hours) if line.gpu_hours else "",
        size(line.disk),
        size(line.download),
    ]


def print_time(plan: Plan, gpus: int, console: Console) -> None:
    """Wall time, and the room that running trainings need."""
    if not plan.to_do:
        return
    plural = "s" if gpus > 1 else ""
    many = f"{gpus} GPU{plural}" if plan.on_gpus else f"{gpus} job{plural} at a time"
    _say(
        console,
        f"\nWall time: {duration(wall_seconds(plan, gpus))} with {many}; "
        f"at least {duration(wall_seconds(plan))}, the longest chain",
    )
    if plan.scratch:
        room = size(plan.scratch)
        _say(console, f"Beside the results: up to {room} for each training that runs")


def print_sources(plan: Plan, estimator: Estimator, evidence: Evidence, console: Console) -> None:
    """How the costs of trainings and predictions are known, with the assumptions."""
    sources = plan.sources()
    if sources:
        told = ", ".join(f"{count:,} {source}" for source, count in sources.most_common())
        _say(console, f"Times of trainings and predictions: {told}")
    if ESTIMATED in sources:
        asked = {plan.costs[a.id].gpus > 0 for a in plan.to_do if _is_estimated(plan, a)}
        for name in [estimator.gpu] * (True in asked) + ["cpu"] * (False in asked):
            hardware = estimator.table.hardware[name]
            _say(
                console,
                f"FLOP estimate: 6 per weight and token in training, 2 in prediction; "
                f"{hardware.label}, {hardware.fp32:g} TFLOP/s in fp32, {hardware.bf16:g} in "
                f"bf16, of which {hardware.utilisation:.0%}. "
                "xstilts/costs/hardware.yaml has the rest",
            )
    used = {d.id: d for a in plan.to_do for d in _data(a)}.values()
    unknown = Counter(
        f"{data.task} {data.split}"
        for data in used
        if estimator.stated_rows(data, evidence) is None
    )
    if unknown:
        names = ", ".join(
            f"{name} ({count} languages)" if count > 1 else name for name, count in unknown.items()
        )
        rows = ", ".join(f"{n:,.0f} of {s}" for s, n in estimator.table.assumptions.rows.items())
        _say(console, f"Rows that no task entry states, taken as {rows}: {names}")


def _is_estimated(plan: Plan, artefact: Artefact) -> bool:
    phase = artefact.identity.phase
    return phase in COMPUTING and plan.costs[artefact.id].source == ESTIMATED


def _data(artefact: Artefact) -> Iterable:
    return getattr(artefact, "datasets", ())


def print_choice(plan: Plan, problem: Problem, choice: Choice, aim: str, console: Console) -> None:
    """What was chosen, what was left out, and why."""
    spent = problem.cost(choice.cells)
    unit = " GPU hours" if plan.on_gpus else " CPU hours (no model asks for a GPU)"
    limits = [
        f"{show(amount)} of {show(budget)}{unit}"
        for show, unit, amount, budget in zip(
            (_hours, size), (unit, ""), spent, problem.budgets, strict=True
        )
        if budget < math.inf
    ]
    reached = f"{choice.value:,.0f}" if aim != "intervals" else f"{choice.value:.2f} points in all"
    _say(console, f"\nWithin the budget: {', '.join(limits)}", "bold")
    _say(
        console,
        f"Aim: {AIMS[aim]}: {reached}, with what is done; optimality gap {choice.gap:.1%}; "
        f"{len(choice.cells)} of {len(plan.needs) - len(problem.done)} cells to do chosen",
    )
    if aim == "intervals":
        _say(console, "A pair narrows by sd (1/√n − 1/√(n+k)) with k more gains; n = 0 counts as ½")
    chosen = {*choice.cells}
    table = _table("chosen", "recipe", "cells", "targets, seeds where not all")
    table.columns[1].justify = table.columns[3].justify = "left"
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
    """The cells that were not chosen, by recipe, with the price of the cheapest of each."""
    table = _table("left out", "recipe", "cells", "one more costs", "why")
    table.columns[1].justify = table.columns[4].justify = "left"
    chosen = {*choice.cells}
    paid, spent = problem.needed(chosen), problem.cost(chosen)
    for (model, recipe), cells in _by_recipe(left).items():
        prices, why = [], "more than is left"
        for cell in cells:
            more = problem.with_baselines([cell])
            prices.append(problem.price(problem.needed(more) - paid))
            if problem.fits(spent, prices[-1]):
                gains = value(problem, chosen | more, aim) > choice.value + 1e-9
                why = "fits: the search ended first" if gains else "would add nothing to the aim"
        hours, disk = min(prices)
        told = f"{_hours(hours)} h" + (f", {size(disk)}" if problem.budgets[1] < math.inf else "")
        table.add_row(Text(model), Text(recipe), str(len(cells)), told, why)
    return table


def _by_recipe(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    groups = defaultdict(list)
    for cell in cells:
        groups[cell.model, cell.recipe].append(cell)
    return groups


def _targets(plan: Plan, cells: list[Cell]) -> str:
    """`xnli, panx 2/3`: of panx two of three seeds."""
    seeds = len(plan.grid.study.seeds)
    counts = Counter(cell.target for cell in cells)
    return ", ".join(
        target if count == seeds else f"{target} {count}/{seeds}"
        for target, count in counts.items()
    )


def print_check(found: Mapping[str, Comparison], console: Console) -> None:
    """Estimate against actual time and disk by phase."""
    columns = ["jobs", "actual", "FLOP estimate", "ratio", "from the others", "ratio", "error"]
    columns += ["disk", "estimate"]
    table = _table("phase", *columns)
    for phase, one in found.items():
        table.add_row(
            phase,
            f"{one.jobs:,}",
            duration(one.actual),
            duration(one.flops),
            _ratio(one.flops, one.actual),
            duration(one.others),
            _ratio(one.others, one.actual),
            f"{one.error:.0%}",
            size(one.disk),
            size(one.disk_before),
        )
    console.print(table)
    _say(
        console,
        "FLOP estimate, and that of disk: as before any run. From the others: each tenth of the "
        "jobs, scaled from the nine others.\nError: median over jobs of how far the latter is off. "
        "Interrupted attempts of trainings are in the actual time.",
        "dim",
    )


def _ratio(estimate: float, actual: float) -> str:
    return f"{estimate / actual:.2f}" if actual else ""
