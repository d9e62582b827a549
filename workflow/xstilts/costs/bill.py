"""Costs of a study before it runs: bill, wall time, and the choice within a budget. Pure."""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Literal

import numpy as np

from xstilts.config.resources import Keep
from xstilts.costs.choice import Problem
from xstilts.costs.estimates import Estimator
from xstilts.costs.measured import PHASES, Cost
from xstilts.errors import InputError
from xstilts.grid.artefacts import Artefacts, Cell, Score
from xstilts.grid.base import Artefact
from xstilts.grid.grid import Grid
from xstilts.grid.retention import keep_of, priority
from xstilts.results.statistics import run_variance

SHARED = "(shared)"
ASIDE = "(analysis)"  # artefacts that only the study's analysis needs, no cell
COMPUTING = ("train", "predict")  # phases that use GPUs and a budget of hours


@dataclass(frozen=True)
class Line:
    """A line of a bill: number of artefacts, and the costs of the missing ones."""

    total: int
    done: int
    seconds: float
    gpu_hours: float
    disk: float  # bytes
    download: float  # bytes

    @property
    def to_do(self) -> int:
        """Number of missing artefacts."""
        return self.total - self.done


@dataclass(frozen=True)
class Plan:
    """A study's artefacts, which of them exist, and the cost of each."""

    grid: Grid
    artefacts: Artefacts
    done: frozenset[str]  # ids
    costs: Mapping[str, Cost]
    scratch: float  # bytes of the resume state of the largest training

    @cached_property
    def by_id(self) -> dict[str, Artefact]:
        """All artefacts by id, in the order of the phases."""
        return {artefact.id: artefact for artefact in self.artefacts.all()}

    @cached_property
    def needs(self) -> dict[Cell, frozenset[str]]:
        """Missing artefacts of each cell; none if it is done."""
        return {score.cell: frozenset(_needed(score)) - self.done for score in self.grid.scores()}

    @cached_property
    def to_do(self) -> list[Artefact]:
        """Missing artefacts; a download only if its data set is missing too."""
        aside = [frozenset(_needed(score)) - self.done for score in self.grid.aside()]
        missing = set().union(*self.needs.values(), *aside)
        return [artefact for id, artefact in self.by_id.items() if id in missing]

    def bill(self, key: Literal["phase", "model", "recipe"]) -> dict[str, Line]:
        """Return the bill by phase, model or recipe, without those that have no artefact.

        Artefacts that several models or recipes need are in `SHARED`.
        """
        members, users = defaultdict(list), self._users(key)
        for id in self.by_id:
            names = users.get(id, {ASIDE})
            members[SHARED if len(names) > 1 else names.pop()].append(id)
        models = dict.fromkeys(cell.model for cell in self.needs)
        order = {"phase": PHASES, "model": models, "recipe": self.grid.recipes}[key]
        to_do = {artefact.id for artefact in self.to_do}
        return {
            name: _line(len(members[name]), [self.costs[i] for i in members[name] if i in to_do])
            for name in (*order, SHARED, ASIDE)
            if name in members
        }

    def _users(self, key: str) -> dict[str, set[str]]:
        """Return the phase of each artefact, or the models or recipes whose cells need it."""
        if key == "phase":
            return {id: {artefact.identity.phase} for id, artefact in self.by_id.items()}
        users = defaultdict(set)
        for score in self.grid.scores():
            for id in _needed(score):
                users[id].add(getattr(score.cell, key))
        return users

    @cached_property
    def computing(self) -> list[Artefact]:
        """Missing trainings and predictions."""
        return [artefact for artefact in self.to_do if artefact.identity.phase in COMPUTING]

    @cached_property
    def on_gpus(self) -> bool:
        """Whether a missing artefact needs a GPU; if none does, budgets are of CPU hours."""
        return any(self.costs[artefact.id].gpus for artefact in self.to_do)

    def hours(self, id: str) -> float:
        """Return the hours of an artefact that count against a budget."""
        cost = self.costs[id]
        if self.on_gpus:
            return cost.gpu_hours
        return cost.seconds / 3600 if self.by_id[id].identity.phase in COMPUTING else 0.0

    def total(self) -> Line:
        """Return the bill of the whole study."""
        return _line(len(self.by_id), [self.costs[artefact.id] for artefact in self.to_do])


def _line(total: int, costs: Sequence[Cost]) -> Line:
    names = ("seconds", "gpu_hours", "disk", "download")
    sums = {name: math.fsum(getattr(cost, name) for cost in costs) for name in names}
    return Line(total, total - len(costs), **sums)


def _needed(score: Score) -> list[str]:
    """Return the ids of a score and of all its ancestors."""
    return [*score.ancestors(), score.id]


def make(
    grid: Grid,
    estimator: Estimator,
    done: Iterable[str],
    past: Iterable[Artefact] = (),
) -> Plan:
    """Return the plan of a study, of which the artefacts with the ids in `done` are complete.

    `past` are artefacts of other studies with measured costs.
    """
    artefacts = grid.artefacts()
    known = {artefact.id: artefact for artefact in (*past, *artefacts.all())}
    costs = estimator.estimate(known.values())
    done = frozenset(done)
    to_do = [node for id, node in artefacts.checkpoints.items() if id not in done]
    scratch = max(map(estimator.scratch, to_do), default=0.0)
    return Plan(grid, artefacts, done, costs, scratch)


@dataclass
class _Work:
    """Work of one Snakemake job, which may make several artefacts, and its place in the graph."""

    seconds: float = 0.0
    places: int = 0  # GPUs, 1 for a training without a GPU, 0 for other phases
    priority: float = 0.0
    parents: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    longest: float = 0.0  # seconds from its start to the end of the longest chain of jobs

    @property
    def turn(self) -> tuple[float, float]:
        """Sort key of the jobs that can start; those without a GPU do not wait."""
        return (-self.priority if self.places else -math.inf, -self.longest)


def wall_seconds(plan: Plan, gpus: int | None = None) -> float:
    """Return the wall time of missing artefacts on `gpus` GPUs; if None, of the longest chain."""
    return max((end for _, end in schedule(plan, gpus).values()), default=0.0)


def schedule(
    plan: Plan, gpus: int | None = None, keep: Keep | None = None
) -> dict[str, tuple[float, float]]:
    """Return start and end in seconds of the jobs of the missing artefacts, by benchmark file.

    At most `gpus` GPUs work at the same time; if None, as many as there are jobs. Of the jobs that
    can start, those with the highest priority in the workflow start first, then the job with the
    longest chain of descendants. `keep` replaces that of the study. Raise InputError if a job needs
    more GPUs.
    """
    jobs = _jobs(plan, keep or keep_of(plan.grid))
    most = max((job.places for job in jobs.values()), default=0)
    if gpus is not None and most > gpus:
        raise InputError(f"--gpus {gpus}: a job of the study needs {most}")
    free = math.inf if gpus is None else gpus
    unfinished = {name: len(job.parents) for name, job in jobs.items()}
    running: list[tuple[float, str]] = []  # end and name
    times: dict[str, tuple[float, float]] = {}
    now = 0.0

    ready = sorted((*job.turn, name) for name, job in jobs.items() if not job.parents)  # a heap
    while ready or running:
        waiting = []
        while ready and (free or not jobs[ready[0][-1]].places):
            *turn, name = heapq.heappop(ready)
            if jobs[name].places > free:
                waiting.append((*turn, name))
                continue
            free -= jobs[name].places
            times[name] = (now, now + jobs[name].seconds)
            heapq.heappush(running, (now + jobs[name].seconds, name))
        for item in waiting:
            heapq.heappush(ready, item)
        now, name = heapq.heappop(running)
        free += jobs[name].places
        for child in jobs[name].children:
            unfinished[child] -= 1
            if not unfinished[child]:
                heapq.heappush(ready, (*jobs[child].turn, child))
    return times


def _jobs(plan: Plan, keep: Keep) -> dict[str, _Work]:
    """Return the jobs of the missing artefacts by the path of their benchmark file."""
    jobs: dict[str, _Work] = {}
    job_of = {artefact.id: str(artefact.job.benchmark) for artefact in plan.to_do}
    for artefact in plan.to_do:
        name, cost = job_of[artefact.id], plan.costs[artefact.id]
        job = jobs.setdefault(name, _Work())
        job.seconds += cost.seconds
        if artefact.identity.phase in COMPUTING:
            job.places = max(1, cost.gpus)
            job.priority = priority(artefact, keep)
        job.parents |= {job_of[a.id] for a in artefact.inputs if a.id in job_of} - {name}
    for name, job in jobs.items():
        for parent in job.parents:
            jobs[parent].children.add(name)
    for job in reversed(jobs.values()):  # children first: jobs are in the order of the phases
        job.longest = job.seconds + max((jobs[c].longest for c in job.children), default=0)
    return jobs


def problem(plan: Plan, scores: Mapping[Cell, float], hours: float, disk: float) -> Problem:
    """Return the choice of cells within GPU hours and bytes on disk; either may be infinite."""
    missing = set().union(*plan.needs.values())
    return Problem(
        needs=plan.needs,
        costs={id: (plan.hours(id), plan.costs[id].disk) for id in missing},
        budgets=(hours, disk),
        units=("GPU hours" if plan.on_gpus else "CPU hours", "bytes on disk"),
        baselines=frozenset(name for name, r in plan.grid.recipes.items() if not r.steps),
        run_sds=run_sds(plan.grid.study.targets, scores),
    )


def run_sd(scores: Mapping[Cell, float]) -> float | None:
    """Return the standard deviation of a run over seeds; None without two seeds of one recipe.

    Two or three seeds are too few for one recipe, so it is pooled over recipes and targets.
    """
    runs = defaultdict(list)
    for cell, score in scores.items():
        runs[cell.model, cell.recipe, cell.target].append(score)
    rows = np.array(list(zip_longest(*runs.values(), fillvalue=math.nan)), float).T
    variance, freedom = run_variance(rows) if runs else (0.0, 0)
    return math.sqrt(variance) if freedom else None


def _known_run_sds(scores: Mapping[Cell, float]) -> dict[str, float]:
    """Return target -> `run_sd`, of the targets where it is known."""
    by_target: dict[str, dict[Cell, float]] = defaultdict(dict)
    for cell, score in scores.items():
        by_target[cell.target][cell] = score
    sds = {target: run_sd(own) for target, own in by_target.items()}
    return {target: sd for target, sd in sds.items() if sd is not None}


def typical_run_sd(scores: Mapping[Cell, float]) -> float | None:
    """Return the median of the targets' `run_sd`, as in the answer; None if none is known.

    Of an even number it is the larger one in the middle.
    """
    known = sorted(_known_run_sds(scores).values())
    return known[len(known) // 2] if known else None


def run_sds(targets: Iterable[str], scores: Mapping[Cell, float]) -> dict[str, float]:
    """Return `run_sd` on each target; if it is unknown, that of all targets, or else 1."""
    known, overall = _known_run_sds(scores), run_sd(scores)
    other = 1.0 if overall is None else overall
    return {target: known.get(target, other) for target in targets}


def patterns(cells: Iterable[Cell], wanted: set[Cell]) -> list[str]:
    """Return a short list for a study's `only` that selects just the wanted cells."""
    prefixes = {cell: _prefixes(cell) for cell in cells}
    mixed = {name for cell, names in prefixes.items() if cell not in wanted for name in names}
    selected = {}
    for cell in prefixes:
        if cell in wanted:
            shared = next((name for name in prefixes[cell] if name not in mixed), None)
            selected[f"{shared}.*" if shared else str(cell)] = None
    return list(selected)


def _prefixes(cell: Cell) -> list[str]:
    """Return the prefixes of a cell's name that several cells share, the shortest first."""
    parts = [cell.model, cell.recipe, cell.target, f"s{cell.seed}"]
    return [".".join(parts[:n]) for n in range(1, len(parts))]
