"""`xstilts plan`: costs of a study, cells that fit in a budget, and the error of the estimate.

This module reads the results folder, prints, and with `--write` writes a study file; the numbers
come from `bill`, `estimates` and `choice`.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import yaml
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
from xstilts.costs.choice import AIMS, Choice, Problem, choose, half_width, value
from xstilts.costs.estimates import ESTIMATED, Estimator, load_table
from xstilts.costs.measured import Evidence
from xstilts.costs.peak import peaks
from xstilts.costs.units import count, duration, hours, percent, size
from xstilts.errors import InputError, spelled
from xstilts.grid import retention, state
from xstilts.grid.artefacts import Artefact, Cell, Checkpoint, cells_of, model_of
from xstilts.grid.grid import Grid
from xstilts.results.score_file import ScoreFile
from xstilts.results.statistics import run_variance
from xstilts.results.verdicts import stated_power
from xstilts.store import paths
from xstilts.terminal import Console

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}
_COLUMNS = ("total", "done", "to do", "time", "GPU time", "disk", "download")
_WIDTH = 110  # without a terminal
_ALIKE = 4  # rows of a table from which equal ones are one


def run(grid: Grid, options) -> None:
    """Print the plan for the options of the command line. Raise InputError."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    gpu_hours, disk = options.gpu_hours, to_bytes(options.disk) if options.disk else math.inf
    limited = gpu_hours is not None or disk < math.inf
    if options.write and not limited:
        raise InputError("--write: needs a budget; state --gpu-hours or --disk")
    if gpu_hours is not None and not gpu_hours > 0:
        raise InputError(f"--gpu-hours {gpu_hours:g}: expected more than 0")
    if options.gpus < 1:
        raise InputError(f"--gpus {options.gpus}: expected 1 or more")
    values = _writable(options.study, options.write) if options.write else {}
    estimator, evidence, past = _evidence(grid, options, console)
    if options.check:
        print_check(check(grid, estimator, evidence), console)
        return
    done = state.done(grid.artefacts().all())
    plan = make(grid, estimator, evidence, done, past)
    print_bill(plan, console)
    print_time(plan, options.gpus, console)
    print_peaks(plan, estimator, options.gpus, console)
    print_sources(plan, estimator, console)
    print_rows(plan, estimator, evidence, console)
    scores = _scores(grid)
    console.say(power(grid, scores))
    if not limited:
        return
    limit = math.inf if gpu_hours is None else gpu_hours
    problem = budget_problem(plan, scores, limit, disk)
    choice = choose(problem, options.aim, options.seconds)
    print_choice(plan, problem, choice, options.aim, console)
    if options.write:
        only = patterns(plan.needs, {*choice.cells} | problem.done)
        _write(options.write, values, only, options)
        console.say(f"\nWritten: {options.write}, with the cells that are already done")


def _evidence(grid: Grid, options, console: Console) -> tuple[Estimator, Evidence, list[Artefact]]:
    """Return the measurements of this study and of others with results in this folder."""
    project, past = grid.project, {}
    models = dict(project.models)
    for path in paths.snapshots():
        if path.parent.name == grid.study.study:
            continue
        try:
            other, _ = state.open_study(path)
        except InputError as error:  # e.g. of an older version; only its measurements are lost
            console.say(f"{path.parent}: its measurements are ignored: {error}", "dim")
            continue
        models = other.project.models | models
        past |= {artefact.id: artefact for artefact in other.artefacts().all()}
    project = project.model_copy(update={"models": models})
    own = {artefact.id: artefact for artefact in grid.artefacts().all()}
    evidence = measured.read(project, (past | own).values())
    table = load_table(*[options.hardware_table] if options.hardware_table else [])
    reused = [past[id] for id in past if id in evidence.costs]
    hardware = spelled(options.hardware, table.hardware) or options.hardware
    if hardware.endswith(".json"):
        table = table.with_measured(Path(hardware))
    return Estimator(project, table, hardware), evidence, reused


def _scores(grid: Grid) -> dict[Cell, float]:
    """Return the headline of each scored cell. Raise InputError for a damaged score file."""
    files = {score.cell: Path(score.path) for score in grid.scores()}
    return {cell: ScoreFile.read(path).headline for cell, path in files.items() if path.exists()}


def power(grid: Grid, scores: Mapping[Cell, float]) -> str:
    """Return the smallest gain that the study finds, from the run SD of the existing scores."""
    study, runs = grid.study, defaultdict(dict)
    for cell, score in scores.items():
        runs[cell.model, cell.recipe, cell.target][cell.seed] = score
    table = [[row.get(seed, math.nan) for seed in study.seeds] for row in runs.values()]
    variance, freedom = run_variance(np.array(table)) if table else (0.0, 0)
    pairs = len(
        {(c.model, c.recipe, c.target) for c in grid.cells() if grid.recipes[c.recipe].steps}
    )
    recipes = sum(bool(recipe.steps) for recipe in grid.recipes.values())
    sd = math.sqrt(variance) if freedom else None
    seeds, folds = len(study.seeds), len(study.all_seeds) // len(study.seeds)
    line = stated_power(seeds, recipes, max(1, pairs), sd, "gain on one target", folds)
    return f"Power: {line}"


def to_bytes(text: str) -> float:
    """Return the bytes of a size such as `500GB`, `1.5 TB` or `2e9`. Raise InputError."""
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([kmgtp]?)b?", text.strip().lower())
    try:
        size = float(match.group(1)) * _UNITS[match.group(2)] if match else 0
    except ValueError:
        size = 0
    if not size > 0:
        raise InputError(f"--disk {text}: expected a size such as 500GB or 1.5TB")
    return size


def _writable(study: Path, path: Path) -> dict:
    """Return the values of `study`. Raise InputError if `path` cannot be a study next to it."""
    if study.suffix == ".json":
        raise InputError(f"--write needs the study's YAML file, not {study}")
    if path.exists():
        raise InputError(f"--write {path}: the file exists; delete it or use another name")
    if path.suffix != ".yaml" or not re.fullmatch(STUDY, path.stem):
        raise InputError(
            f"--write {path}: expected NAME.yaml; in NAME use lower-case letters, digits, - and _"
        )
    if folders(path) != folders(study):
        raise InputError(
            f"--write {path}: a study finds tasks and models beside it; write it to "
            f"{study.parent} or {folders(study)[0] / 'studies'}"
        )
    return read_yaml(study)


def _write(path: Path, values: Mapping, only: list[str], options) -> None:
    budget = [f"{options.gpu_hours:g} GPU hours"] if options.gpu_hours is not None else []
    budget += [f"{size(to_bytes(options.disk))} of disk"] if options.disk else []
    head = (
        f"# Cells of {options.study.name} that `xstilts plan --aim {options.aim}` chose within\n"
        f"# {' and '.join(budget)}, and the cells that were already done.\n"
    )
    chosen = {**values, "study": path.stem, "only": only}
    text = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=100)
    store.write_text(path, head + text)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def print_bill(plan: Plan, console: Console) -> None:
    """Print the number of artefacts by phase, model and recipe, and the costs of the missing."""
    scores = plan.grid.scores()
    cells, done = len(scores), sum(score.id in plan.done for score in scores)  # as in `status`
    name = plan.grid.study.study
    console.say(f"{name}: {count(cells, 'cell')}, {done} done, {cells - done} to do", "bold")
    if lost := done - sum(not needs for needs in plan.needs.values()):
        console.say(f"{lost} of the done lack an earlier result, which is made again", "dim")
    for title, lines in (
        ("By phase", plan.by_phase()),
        ("By model", plan.by_model()),
        ("By recipe", plan.by_recipe()),
    ):
        rows = {name: _row(line) for name, line in lines.items()}
        if title == "By phase":
            rows["all"] = _row(plan.total())
        console.print()
        console.print(_bill_table(title, rows))
    if SHARED in plan.by_recipe():
        console.say(f"{SHARED}: needed by several, counted once", "dim")
    if ASIDE in plan.by_recipe():
        console.say(f"{ASIDE}: needed by the analysis only, not part of a budget", "dim")


def _bill_table(title: str, rows: Mapping[str, list[str]]) -> Table:
    """Return a table without empty columns and columns that a later one repeats.

    Four or more equal rows are one.
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
        shown = names if len(names) < _ALIKE else [f"{len(names)} others, each"]
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


def print_time(plan: Plan, gpus: int, console: Console) -> None:
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


def print_peaks(plan: Plan, estimator: Estimator, gpus: int, console: Console) -> None:
    """Print the disk space of the results at its peak, for each `keep` of a study."""
    if not any(isinstance(artefact, Checkpoint) for artefact in plan.to_do):
        return
    found = peaks(plan, estimator, gpus)
    own = retention.keep_of(plan.grid)
    listed = ", ".join(f"{size(bytes)} with `keep: {keep}`" for keep, bytes in found.items())
    console.say(f"Disk space at the peak: {listed} (this study: {own})")


def print_sources(plan: Plan, estimator: Estimator, console: Console) -> None:
    """Print how the costs of trainings and predictions are known, and the assumptions."""
    sources = plan.sources()
    if sources:
        listed = ", ".join(f"{number:,} {source}" for source, number in sources.most_common())
        console.say(f"Times of trainings and predictions: {listed}")
    if ESTIMATED in sources:
        estimated = [a for a in plan.to_do if _is_estimated(plan, a)]
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


def print_rows(plan: Plan, estimator: Estimator, evidence: Evidence, console: Console) -> None:
    """Print the data sets whose numbers of rows are not known, or not those of the user's files."""
    used = {d.id: d for a in plan.to_do for d in _data(a)}.values()
    unknown = Counter(
        f"{data.task} {data.split}"
        for data in used
        if estimator.stated_rows(data, evidence) is None
    )
    unprepared = {
        data.task: None
        for data in used
        if data.raw and data.id not in evidence.rows and plan.grid.study.rows == "any"
    }
    if unprepared:
        console.say(
            "Numbers of rows of the releases, not of your files, until `snakemake prepare_all` has "
            f"counted these: {', '.join(unprepared)}",
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
    computing = [a for a in plan.to_do if a.identity.phase in COMPUTING]
    project = plan.grid.project
    names = (model_of(a) for a in computing if plan.costs[a.id].cells != cells_of(a, project))
    return list(dict.fromkeys(names))


def _is_estimated(plan: Plan, artefact: Artefact) -> bool:
    phase = artefact.identity.phase
    return phase in COMPUTING and plan.costs[artefact.id].source == ESTIMATED


def _data(artefact: Artefact) -> Iterable:
    return getattr(artefact, "datasets", ())


def print_choice(plan: Plan, problem: Problem, choice: Choice, aim: str, console: Console) -> None:
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
    table = _table("chosen", "recipe", "cells", "targets (seeds if not all)")
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
    """Return the cells that were not chosen, by recipe, with the price of the cheapest of each."""
    table = _table("left out", "recipe", "cells", "next costs", "why")
    table.columns[1].justify = table.columns[4].justify = "left"
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


def print_check(comparisons: Mapping[str, Comparison], console: Console) -> None:
    """Print estimated and actual time and disk by phase."""
    columns = ["jobs", "actual", "FLOPs", "ratio", "others", "ratio", "error", "disk", "estimate"]
    table = _table("phase", *columns)
    table.padding = (0, 1, 0, 0)  # fits in 80 columns
    for phase, comparison in comparisons.items():
        table.add_row(
            phase,
            f"{comparison.jobs:,}",
            duration(comparison.actual),
            duration(comparison.flops),
            _ratio(comparison.flops, comparison.actual),
            duration(comparison.others),
            _ratio(comparison.others, comparison.actual),
            percent(comparison.error),
            size(comparison.disk),
            size(comparison.disk_before),
        )
    console.print(table)
    console.say(
        "FLOPs, and the estimate of disk: as before any run.\nOthers: each tenth of the jobs, "
        "scaled from the other nine; error: its median over jobs.\nThe actual time includes "
        "interrupted attempts of trainings.",
        "dim",
    )


def _ratio(estimate: float, actual: float) -> str:
    return f"{estimate / actual:.2f}" if actual else ""
