"""`xstilts plan`: costs of a study, and the cells that fit in a budget.

This module reads the results folder, prints, and with `--write` writes a study file; the numbers
come from `bill`, `estimates` and `choice`, the texts from `printed`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from xstilts import store
from xstilts.config.project import folders
from xstilts.config.schema import STUDY
from xstilts.config.yaml import read_yaml
from xstilts.costs import bill, local_rows, measured, printed
from xstilts.costs.choice import choose
from xstilts.costs.estimates import HARDWARE, Estimator, load_table
from xstilts.costs.savings import savings
from xstilts.errors import InputError, spelled
from xstilts.grid import state
from xstilts.grid.artefacts import Cell, Dataset
from xstilts.grid.base import Artefact
from xstilts.grid.grid import Grid
from xstilts.results.score_file import ScoreFile
from xstilts.results.verdicts import stated_power
from xstilts.store import paths
from xstilts.terminal import Console
from xstilts.units import size

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}
_WIDTH = 110  # without a terminal


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
    estimator, past = _estimator(grid, options, console)
    done = state.done(grid.artefacts().all())
    plan = bill.make(grid, estimator, done, past)
    printed.bill(plan, console)
    printed.causes(plan, savings(plan, estimator), console)
    printed.time(plan, options.gpus, console)
    printed.disk_peaks(plan, estimator, options.gpus, console)
    printed.sources(plan, estimator, console)
    printed.rows(plan, estimator, console)
    scores = _scores(grid)
    console.say(power(grid, scores))
    if not limited:
        return
    limit = math.inf if gpu_hours is None else gpu_hours
    problem = bill.problem(plan, scores, limit, disk)
    choice = choose(problem, options.aim, options.seconds)
    printed.selection(plan, problem, choice, options.aim, console)
    if options.write:
        only = bill.patterns(plan.needs, {*choice.cells} | problem.done)
        _write(options.write, values, only, options)
        console.say(f"\nWritten: {options.write}, with the cells that are already done")


def _estimator(grid: Grid, options, console: Console) -> tuple[Estimator, list[Artefact]]:
    """Return the estimator from all measurements in this folder, and those of other studies."""
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
    datasets = [artefact for artefact in own.values() if isinstance(artefact, Dataset)]
    counted, problems = local_rows.count(grid.project, datasets, evidence.rows)
    for problem in problems:
        console.say(problem, "yellow")
    evidence = replace(evidence, rows={**evidence.rows, **counted})
    table = load_table(options.hardware_table or HARDWARE)
    reused = [past[id] for id in past if id in evidence.costs]
    hardware = spelled(options.hardware, table.hardware) or options.hardware
    if hardware.endswith(".json"):
        table = table.with_measured(Path(hardware))
    return Estimator(project, evidence, table, hardware), reused


def _scores(grid: Grid) -> dict[Cell, float]:
    """Return the headline of each scored cell. Raise InputError for a damaged score file."""
    files = {score.cell: Path(score.path) for score in grid.scores()}
    return {cell: ScoreFile.read(path).headline for cell, path in files.items() if path.exists()}


def power(grid: Grid, scores: Mapping[Cell, float]) -> str:
    """Return the smallest gain that the study finds, from the run SD of the existing scores."""
    study = grid.study
    pairs = len(
        {(c.model, c.recipe, c.target) for c in grid.cells() if grid.recipes[c.recipe].steps}
    )
    recipes = sum(bool(recipe.steps) for recipe in grid.recipes.values())
    sd = bill.typical_run_sd({c: score for c, score in scores.items() if c.seed in study.seeds})
    seeds, folds = len(study.seeds), len(study.all_seeds) // len(study.seeds)
    line = stated_power(seeds, recipes, max(1, pairs), sd, "gain on a typical target", folds)
    return f"Power: {'One seed gives no verdict. ' if seeds == 1 else ''}{line}"


def to_bytes(text: str) -> float:
    """Return the bytes of a size such as `500GB`, `1.5 TB` or `2e9`. Raise InputError."""
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([kmgtp]?)b?", text.strip().lower())
    try:
        size = float(match.group(1)) * _UNITS[match.group(2)] if match else 0
    except ValueError:
        size = 0
    if not size > 0 or (size < _UNITS["m"] and text.strip().isdecimal()):  # no unit: bytes
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
            f"--write {path}: a study finds tasks and models next to it; write it to "
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
