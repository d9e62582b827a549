"""What a study costs before it runs: the bill, the wall time, and a budget's problem. Pure."""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from xstilts.costs.choice import Pair, Problem, spreads
from xstilts.costs.estimates import Estimator
from xstilts.costs.measured import PHASES, Cost, Evidence
from xstilts.errors import InputError
from xstilts.grid.artefacts import (
    Artefact,
    Artefacts,
    Cell,
    Score,
)
from xstilts.grid.grid import Grid

SHARED = "(shared)"
ASIDE = "(analysis)"  # what no cell needs, but the study's analysis reads
COMPUTING = ("train", "predict")  # the phases that GPUs, and budgets of hours, are for
_FOLDS = 10


@dataclass(frozen=True)
class Line:
    """A line of a bill: how many artefacts there are, and what those to do cost."""

    total: int
    done: int
    seconds: float
    gpu_hours: float
    disk: float  # bytes
    download: float  # bytes

    @property
    def to_do(self) -> int:
        """How many are not there yet."""
        return self.total - self.done


@dataclass(frozen=True)
class Plan:
    """A study's artefacts, which of them are there, and what each costs."""

    grid: Grid
    artefacts: Artefacts
    done: frozenset[str]  # ids
    costs: Mapping[str, Cost]
    scratch: float  # bytes of the resume state of the largest training

    @cached_property
    def by_id(self) -> dict[str, Artefact]:
        """Every artefact, in the order of the phases."""
        return {artefact.id: artefact for artefact in self.artefacts.all()}

    @cached_property
    def needs(self) -> dict[Cell, frozenset[str]]:
        """The artefacts that each cell still needs; none if it is done."""
        return {score.cell: frozenset(_needed(score)) - self.done for score in self.grid.scores()}

    @cached_property
    def to_do(self) -> list[Artefact]:
        """What is to be made: a download only where its data set is."""
        aside = [frozenset(_needed(score)) - self.done for score in self.grid.aside()]
        wanted = set().union(*self.needs.values(), *aside)
        return [artefact for id, artefact in self.by_id.items() if id in wanted]

    def by_phase(self) -> dict[str, Line]:
        """The bill by phase; phases without an artefact are left out."""
        return self._lines({id: a.identity.phase for id, a in self.by_id.items()}, PHASES)

    def by_model(self) -> dict[str, Line]:
        """The bill by model; what several models need, as data, is `SHARED`."""
        models = dict.fromkeys(cell.model for cell in self.needs)
        return self._lines(self._owners(lambda cell: cell.model), [*models, SHARED, ASIDE])

    def by_recipe(self) -> dict[str, Line]:
        """The bill by recipe; what several recipes need is `SHARED`."""
        owners = self._owners(lambda cell: cell.recipe)
        return self._lines(owners, [*self.grid.recipes, SHARED, ASIDE])

    def _owners(self, name: Callable[[Cell], str]) -> dict[str, str]:
        users = defaultdict(set)
        for score in self.grid.scores():
            for id in _needed(score):
                users[id].add(name(score.cell))
        users |= {id: {ASIDE} for id in self.by_id if id not in users}
        return {id: found.pop() if len(found) == 1 else SHARED for id, found in users.items()}

    def _lines(self, groups: Mapping[str, str], order: Iterable[str]) -> dict[str, Line]:
        members = defaultdict(list)
        for id, name in groups.items():
            members[name].append(id)
        to_do = {artefact.id for artefact in self.to_do}
        return {
            name: _line(len(members[name]), [self.costs[i] for i in members[name] if i in to_do])
            for name in order
            if name in members
        }

    @cached_property
    def on_gpus(self) -> bool:
        """Whether anything that is to do asks for a GPU; if not, budgets are of CPU hours."""
        return any(self.costs[artefact.id].gpus for artefact in self.to_do)

    def hours(self, id: str) -> float:
        """What an artefact takes of a budget of hours."""
        cost = self.costs[id]
        if self.on_gpus:
            return cost.gpu_hours
        return cost.seconds / 3600 if self.by_id[id].identity.phase in COMPUTING else 0.0

    def total(self) -> Line:
        """The bill of all that is to do."""
        return _line(len(self.by_id), [self.costs[artefact.id] for artefact in self.to_do])

    def sources(self) -> Counter[str]:
        """How the costs of trainings and predictions to do are known: how many of each."""
        phases = ((a.identity.phase, self.costs[a.id].source) for a in self.to_do)
        return Counter(source for phase, source in phases if phase in COMPUTING)


def _line(total: int, costs: Sequence[Cost]) -> Line:
    return Line(
        total,
        total - len(costs),
        math.fsum(cost.seconds for cost in costs),
        math.fsum(cost.gpu_hours for cost in costs),
        math.fsum(cost.disk for cost in costs),
        math.fsum(cost.download for cost in costs),
    )


def _needed(score: Score) -> dict[str, None]:
    """Ids of a score and of all its ancestors."""
    return dict.fromkeys((*score.ancestors(), score.id))


def make(
    grid: Grid,
    estimator: Estimator,
    evidence: Evidence,
    done: Iterable[str],
    past: Iterable[Artefact] = (),
) -> Plan:
    """The plan of a study; `past` are artefacts of others that the evidence has costs of."""
    artefacts = grid.artefacts()
    known = {artefact.id: artefact for artefact in (*past, *artefacts.all())}
    costs = estimator.estimate(known.values(), evidence)
    done = {*done}
    for dataset in artefacts.datasets.values():  # a download has served once its data is there
        if dataset.download and dataset.id in done:
            done.add(dataset.download.id)
    to_do = [node for id, node in artefacts.checkpoints.items() if id not in done]
    scratch = max(map(estimator.scratch, to_do), default=0.0)
    return Plan(grid, artefacts, frozenset(done), costs, scratch)


@dataclass
class _Job:
    """What one Snakemake job makes: a task's data sets are made in one."""

    seconds: float = 0.0
    places: int = 0  # GPUs, or one where a training asks for none; other phases have room
    after: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)
    rest: float = 0.0  # seconds from its start to the end of the longest chain


def wall_seconds(plan: Plan, gpus: int | None = None) -> float:
    """How long all that is to do takes on so many GPUs, by list scheduling.

    Of the jobs that can start, that with the longest chain behind it goes first. Without a number
    of GPUs, it is the longest chain. Raises InputError if a job asks for more GPUs.
    """
    jobs = _jobs(plan)
    if gpus is not None and (most := max((job.places for job in jobs.values()), default=0)) > gpus:
        raise InputError(f"--gpus {gpus}: a job of the study asks for {most}")
    free = math.inf if gpus is None else gpus
    waiting = {name: len(job.after) for name, job in jobs.items()}
    at_once: list[str] = []
    queue: list[tuple[float, str]] = []
    running: list[tuple[float, str]] = []
    now = 0.0

    def ready(name: str) -> None:
        if jobs[name].places:
            heapq.heappush(queue, (-jobs[name].rest, name))
        else:
            at_once.append(name)

    for name, count in waiting.items():
        if not count:
            ready(name)
    while at_once or queue or running:
        starting, at_once = at_once, []
        held = []
        while queue and free:
            item = heapq.heappop(queue)
            places = jobs[item[1]].places
            if places <= free:
                free -= places
                starting.append(item[1])
            else:
                held.append(item)
        for item in held:
            heapq.heappush(queue, item)
        for name in starting:
            heapq.heappush(running, (now + jobs[name].seconds, name))
        now, name = heapq.heappop(running)
        free += jobs[name].places
        for follower in jobs[name].before:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready(follower)
    return now


def _jobs(plan: Plan) -> dict[str, _Job]:
    jobs: dict[str, _Job] = {}
    job_of = {artefact.id: artefact.job for artefact in plan.to_do}
    for artefact in plan.to_do:
        name, cost = job_of[artefact.id], plan.costs[artefact.id]
        job = jobs.setdefault(name, _Job())
        job.seconds += cost.seconds
        if artefact.identity.phase in COMPUTING:
            job.places = max(1, cost.gpus)
        parents = {job_of[parent.id] for parent in artefact.inputs if parent.id in job_of}
        job.after |= parents - {name}
    for name, job in jobs.items():
        for parent in job.after:
            jobs[parent].before.add(name)
    for name in reversed(list(jobs)):  # they are in the order of the phases, parents first
        job = jobs[name]
        job.rest = job.seconds + max((jobs[after].rest for after in job.before), default=0)
    return jobs


def problem(
    plan: Plan, gains: Mapping[Pair, Sequence[float]], hours: float, disk: float
) -> Problem:
    """The choice of cells within hours of GPUs and bytes on disk; either may be infinite."""
    wanted = set().union(*plan.needs.values())
    return Problem(
        needs=plan.needs,
        costs={id: (plan.hours(id), plan.costs[id].disk) for id in wanted},
        budgets=(hours, disk),
        units=("GPU hours" if plan.on_gpus else "CPU hours", "bytes on disk"),
        baselines=frozenset(name for name, r in plan.grid.recipes.items() if not r.steps),
        spreads=spreads(plan.needs, gains),
    )


def patterns(cells: Iterable[Cell], wanted: set[Cell]) -> list[str]:
    """A short list for a study's `only` that takes just the wanted ones of its cells."""
    levels = {cell: _levels(cell) for cell in cells}
    split = {name for cell, names in levels.items() if cell not in wanted for name in names}
    found = {}
    for cell in levels:
        if cell in wanted:
            whole = next((name for name in levels[cell] if name not in split), None)
            found[f"{whole}.*" if whole else str(cell)] = None
    return list(found)


def _levels(cell: Cell) -> list[str]:
    """The beginnings of a cell's name that several cells share, the shortest first."""
    parts = str(cell).split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


@dataclass(frozen=True)
class Comparison:
    """A phase's jobs that have been measured: what they took, and what was expected."""

    jobs: int
    actual: float  # seconds
    flops: float  # seconds, as before any run
    others: float  # seconds, from the other jobs
    error: float  # median over jobs of |others / actual - 1|
    disk: float  # bytes
    disk_before: float  # bytes, as before any run


def check(grid: Grid, estimator: Estimator, evidence: Evidence) -> dict[str, Comparison]:
    """Estimate and actual cost by phase.

    Twice: as before any run, and from the jobs of the nine other tenths of the measured jobs.
    Raises InputError if nothing was measured.
    """
    artefacts = {a.id: a for a in grid.artefacts().all() if a.id in evidence.costs}
    if not artefacts:
        raise InputError("nothing to compare: no job of the study has a benchmark file yet")
    before = estimator.estimate(artefacts.values(), Evidence(rows=evidence.rows))
    others: dict[str, Cost] = {}
    for fold in range(_FOLDS):
        held_out = set(list(artefacts)[fold::_FOLDS])
        known = {id: cost for id, cost in evidence.costs.items() if id not in held_out}
        found = estimator.estimate(artefacts.values(), Evidence(known, evidence.rows))
        others |= {id: found[id] for id in held_out}
    comparisons = {}
    for phase in PHASES:
        ids = [id for id, artefact in artefacts.items() if artefact.identity.phase == phase]
        if not ids:
            continue
        actual = [evidence.costs[id].seconds for id in ids]
        errors = [
            abs(others[id].seconds / seconds - 1)
            for id, seconds in zip(ids, actual, strict=True)
            if seconds
        ]
        comparisons[phase] = Comparison(
            len(ids),
            math.fsum(actual),
            math.fsum(before[id].seconds for id in ids),
            math.fsum(others[id].seconds for id in ids),
            sorted(errors)[len(errors) // 2] if errors else 0.0,
            math.fsum(evidence.costs[id].disk for id in ids),
            math.fsum(before[id].disk for id in ids),
        )
    return comparisons
