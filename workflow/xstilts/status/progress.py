"""How far a study is: what is done, running, queued and failed, by the results folder and SLURM."""

import json
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xstilts import store
from xstilts.costs import bill, measured
from xstilts.costs.estimates import Estimator, load_table
from xstilts.grid.artefacts import Artefact, Cell
from xstilts.grid.grid import Grid
from xstilts.grid.state import failure, is_done, missing
from xstilts.status import slurm
from xstilts.store import locks

_PROFILE = Path("profiles/slurm")  # of jobs, where its file of the site was made
STATES = ("done", "running", "queued", "failed", "to do")
_RECENT = 12  # looks: between two jobs a place is empty for a moment, and the time left would jump
_KILLED = "its process was killed: by SLURM for its memory or time, or by hand"
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


@dataclass(frozen=True)
class Failure:
    """A failed artefact: why, where it is told at length, and what runs it again."""

    id: str
    message: str
    log: Path
    last_lines: list[str]
    command: str


@dataclass(frozen=True)
class Look:
    """The state of a study's artefacts at one moment."""

    grid: Grid
    done: frozenset[str]  # ids
    running: Mapping[str, dict]  # id -> what a training says of itself, else empty
    queued: Mapping[str, str]  # id -> SLURM's reason
    failed: frozenset[str]
    recent: tuple[frozenset[str], ...] = ()  # what ran at this look and the last ones

    def state(self, id: str) -> str:
        """One of `STATES`."""
        for name in STATES[:-1]:
            if id in getattr(self, name):
                return name
        return "to do"

    @cached_property
    def phases(self) -> dict[str, Counter[str]]:
        """How many artefacts are in each state, by phase in order."""
        found = {phase: Counter() for phase in measured.PHASES}
        for artefact in self.grid.artefacts().all():
            found[artefact.identity.phase][self.state(artefact.id)] += 1
        return {phase: counts for phase, counts in found.items() if counts}

    @cached_property
    def cells(self) -> dict[Cell, str]:
        """The state of each cell: failed if anything fails that it needs, else its own jobs'."""
        return {score.cell: self._cell(score) for score in self.grid.scores()}

    def _cell(self, score) -> str:
        if score.id in self.done:
            return "done"
        predictions = score.predictions
        if score.id in self.failed or self.failed & score.ancestors().keys():
            return "failed"
        own = [self.state(artefact.id) for artefact in (score, predictions, predictions.checkpoint)]
        return next((state for state in ("running", "queued") if state in own), "to do")


def look(grid: Grid, before: Look | None = None) -> Look:
    """What there is now; what was done at an earlier look still is."""
    known = {artefact.id: artefact for artefact in grid.artefacts().all()}
    past = before.done if before else frozenset()
    done = past | {id for id, artefact in known.items() if id not in past and is_done(artefact)}
    for dataset in grid.artefacts().datasets.values():  # a download has served once it is prepared
        if dataset.download and dataset.id in done:
            done |= {dataset.download.id}
    scratch = set(os.listdir(store.SCRATCH)) if store.SCRATCH.is_dir() else set()
    started, queued = _slurm(known)
    running = {id: _training(id) for id in known if id in started or _is_locked(id, scratch)}
    running = {id: told for id, told in running.items() if id not in done}
    names = {store.failure_file(id).name: id for id in known}
    queued = {id: reason for id, reason in queued.items() if id not in done | running.keys()}
    failed = {names[name] for name in scratch & names.keys()}
    failed |= {id for id in known if store.lock_file(id).name in scratch}  # and nobody holds it
    failed -= done | running.keys() | queued.keys()
    recent = (*(before.recent if before else ()), frozenset(running))[-_RECENT:]
    return Look(grid, done, running, queued, frozenset(failed), recent)


def _is_locked(id: str, scratch: set[str]) -> bool:
    if store.lock_file(id).name not in scratch:
        return False
    try:
        touched = store.lock_file(id).stat().st_mtime
    except FileNotFoundError:
        return False
    return time.time() - touched < locks.STALE_SECONDS


def _training(id: str) -> dict:
    """What a training last said of itself: step, steps, loss, examples per second, seconds left."""
    try:
        return json.loads(store.progress_file(id).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _slurm(known: Mapping[str, Artefact]) -> tuple[set[str], dict[str, str]]:
    """What SLURM's jobs of this folder make: ids that it runs, and ids that wait -> its reason."""
    by_comment: dict[str, list[str]] = {}
    for artefact in known.values():
        by_comment.setdefault(artefact.job.comment, []).append(artefact.id)
    running, queued = set(), {}
    for job in slurm.jobs(Path.cwd()):
        for id in by_comment.get(job.comment, []):
            if job.state == "PENDING":
                queued[id] = job.reason
            else:
                running.add(id)
    return running, queued


def failures(grid: Grid, found: Look, study: Path) -> list[Failure]:
    """What failed, in the order of the phases; of a job that makes several, the first."""
    options = [] if study == Path("config/config.yaml") else ["--configfile", str(study)]
    if (_PROFILE / "site.yaml").exists():
        options += ["--workflow-profile", str(_PROFILE)]
    told: dict[str, Failure] = {}
    for artefact in grid.artefacts().all():
        if artefact.id not in found.failed or artefact.job in told:
            continue
        log = artefact.job.log
        told[artefact.job] = Failure(
            artefact.id,
            failure(artefact) or _KILLED,
            log,
            last_lines(log),
            shlex.join(["snakemake", missing(artefact) or artefact.path, *options]),
        )
    return list(told.values())


def last_lines(log: Path, count: int = 3) -> list[str]:
    """The end of a log, without times; empty if there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [_TIME.sub("", line) for line in text.splitlines() if line.strip()]
    return lines[-count:]


@dataclass(frozen=True)
class Bill:
    """What was spent, and what the rest should take."""

    on_gpus: bool  # else hours are of processors
    spent: float  # hours of trainings and predictions
    left: float  # hours
    seconds_left: float  # of the clock, with as many places as were taken of late
    places: int  # GPUs, or jobs at a time


def costs_of(found: Look) -> Bill:
    """Measured costs of what is done, and estimates from these for the rest.

    Raises InputError for a damaged benchmark file.
    """
    grid = found.grid
    evidence = measured.read(grid.project, grid.artefacts().all())
    made = bill.make(grid, Estimator(grid.project, load_table()), evidence, found.done)
    computing = [a for a in made.by_id.values() if a.identity.phase in bill.COMPUTING]
    on_gpus = any(made.costs[artefact.id].gpus for artefact in computing)

    def hours(artefact: Artefact) -> float:
        cost = made.costs[artefact.id]
        return cost.gpu_hours if on_gpus else cost.seconds / 3600

    to_do = {artefact.id for artefact in made.to_do}
    taken = [sum(max(1, made.costs[id].gpus) for id in ids) for ids in found.recent]
    widest = max((made.costs[id].gpus for id in to_do), default=1)
    places = max(1, widest, *taken)
    return Bill(
        on_gpus,
        sum(hours(a) for a in computing if a.id in evidence.costs and a.id in found.done),
        sum(hours(a) for a in computing if a.id in to_do),
        bill.wall_seconds(made, places),
        places,
    )
