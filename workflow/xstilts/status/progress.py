"""State of a study's jobs: done, running, queued or failed, from its files and SLURM."""

import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xstilts import store
from xstilts.config import DEFAULT_STUDY
from xstilts.config.project import study_files
from xstilts.config.yaml import read_yaml
from xstilts.costs import bill, measured
from xstilts.costs.estimates import Estimator
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell, Checkpoint, Score
from xstilts.grid.base import Artefact, Job
from xstilts.grid.grid import Grid
from xstilts.grid.sharing import SharedJobs
from xstilts.grid.state import done as done_of
from xstilts.grid.state import failure, is_released, missing
from xstilts.status import slurm
from xstilts.store import locks
from xstilts.store.progress import Progress

_PROFILE = Path("profiles/slurm")  # that commands name if it has a site.yaml
STATES = ("done", "running", "queued", "failed", "to do")
_RECENT = 12  # snapshots that show how many jobs run: between two jobs, fewer run for a moment
_KILLED = "the process was killed: by SLURM for its memory or time limit, or by hand"
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


@dataclass(frozen=True)
class Failure:
    """A failed artefact: the cause, the end of its log, and the command that repeats its job."""

    id: str
    message: str
    log: Path
    last_lines: list[str]
    command: str


@dataclass(frozen=True)
class Snapshot:
    """The state of a study's artefacts at one moment."""

    grid: Grid
    done: frozenset[str]  # ids
    running: Mapping[str, Progress | None]  # id -> a training's report, if any
    queued: Mapping[str, str]  # id -> SLURM's reason
    failed: frozenset[str]
    recent: tuple[frozenset[str], ...] = ()  # running ids of the last snapshots and this one

    def state(self, id: str) -> str:
        """One of `STATES`."""
        for name in STATES[:-1]:
            if id in getattr(self, name):
                return name
        return "to do"

    @cached_property
    def phases(self) -> dict[str, Counter[str]]:
        """Number of artefacts in each state, by phase in order."""
        phases = {phase: Counter() for phase in measured.PHASES}
        for artefact in self.grid.artefacts().all():
            phases[artefact.identity.phase][self.state(artefact.id)] += 1
        return {phase: counts for phase, counts in phases.items() if counts}

    @cached_property
    def released(self) -> int:
        """Number of checkpoints whose weights were deleted and are not needed."""
        nodes = self.grid.artefacts().checkpoints.values()
        return sum(node.id in self.done and is_released(node) for node in nodes)

    @cached_property
    def lost(self) -> set[str]:
        """Ids of missing artefacts from which existing scores were made."""
        scores = (score for score in self.grid.scores() if score.id in self.done)
        made_from = {id for score in scores for id in score.ancestors()}
        return made_from.difference(self.done, self.running, self.queued, self.failed)

    @cached_property
    def cells(self) -> dict[Cell, str]:
        """State of each cell: failed if an artefact that it needs failed, else of its own jobs."""
        return {score.cell: self._cell(score) for score in self.grid.scores()}

    @property
    def done_cells(self) -> int:
        """Number of cells that have a score."""
        return sum(state == "done" for state in self.cells.values())

    def trained(self, model: str) -> dict[str, str]:
        """Return recipe -> `5/12`: training steps that are done, of those its cells need."""
        needed, missing = defaultdict(set), defaultdict(set)
        for score in self.grid.scores():
            if score.cell.model == model:
                steps = {i for i, a in score.ancestors().items() if isinstance(a, Checkpoint)}
                needed[score.cell.recipe] |= steps
                if score.id not in self.done:
                    missing[score.cell.recipe] |= steps - self.done
        return {
            recipe: f"{len(steps - missing[recipe])}/{len(steps)}"
            for recipe, steps in needed.items()
        }

    def _cell(self, score: Score) -> str:
        if score.id in self.done:
            return "done"
        if not self.failed.isdisjoint({score.id, *score.ancestors()}):
            return "failed"
        predictions = score.predictions
        own = [self.state(a.id) for a in (score, predictions, predictions.checkpoint)]
        return next((state for state in ("running", "queued") if state in own), "to do")


def take_snapshot(grid: Grid, before: Snapshot | None = None) -> Snapshot:
    """Take a snapshot of a study's state; artefacts done in `before` are not checked again."""
    known = {artefact.id: artefact for artefact in grid.artefacts().all()}
    past = before.done if before else frozenset()
    done = done_of(known.values(), past)
    scratch = set(os.listdir(store.SCRATCH)) if store.SCRATCH.is_dir() else set()
    started, queued = _slurm(known)
    locked = {id for id in known if store.lock_file(id).name in scratch}
    active = [id for id in known if id in started or (id in locked and locks.is_live(id))]
    running = {id: Progress.read(id) for id in active if id not in done}
    queued = {id: reason for id, reason in queued.items() if id not in done | running.keys()}
    names = {store.failure_file(id).name: id for id in known}
    failed = {names[name] for name in scratch & names.keys()}
    failed |= locked  # of killed jobs
    failed -= done | running.keys() | queued.keys()
    recent = (*(before.recent if before else ()), frozenset(running))[-_RECENT:]
    return Snapshot(grid, frozenset(done), running, queued, frozenset(failed), recent)


def _slurm(known: Mapping[str, Artefact]) -> tuple[set[str], dict[str, str]]:
    """Return the ids that running jobs of SLURM make, and those of waiting ones: id -> reason.

    Jobs are matched by the comment that Snakemake's plugin gives them.
    """
    by_comment = defaultdict(list)
    for artefact in known.values():
        by_comment[artefact.job.comment].append(artefact.id)
    for comment, ids in SharedJobs.by_comment().items():
        by_comment[comment] += [id for id in ids if id in known]
    running, queued = set(), {}
    for job in slurm.jobs(Path.cwd()):
        for id in by_comment[job.comment]:
            if job.state == "PENDING":
                queued[id] = job.reason
            else:
                running.add(id)
    return running, queued


def failures(snapshot: Snapshot, study: Path) -> list[Failure]:
    """Return the failures in the order of the phases, one for each job."""
    by_job: dict[Job, Failure] = {}
    for artefact in snapshot.grid.artefacts().all():
        job = artefact.job
        if artefact.id in snapshot.failed and job not in by_job:
            by_job[job] = Failure(
                artefact.id,
                failure(artefact) or _KILLED,
                job.log,
                last_lines(job.log),
                command(artefact, study),
            )
    return list(by_job.values())


def command(artefact: Artefact, study: Path) -> str:
    """Return the command that makes an artefact of a study."""
    options = [] if study == DEFAULT_STUDY else ["--configfile", str(_written(study))]
    if (_PROFILE / "site.yaml").exists():
        options += ["--workflow-profile", str(_PROFILE)]
    return shlex.join(["snakemake", missing(artefact) or artefact.path, *options])


def _written(study: Path) -> Path:
    """Return the YAML file of a study; for a run's snapshot, the file of that name, or a guess."""
    if study.suffix != ".json":
        return study
    for file in study_files():
        with suppress(InputError):
            if read_yaml(file).get("study") == study.parent.name:
                return file
    return Path(f"{study.parent.name}.yaml")


def last_lines(log: Path) -> list[str]:
    """Return the last three lines of a log without their times; none if there is no log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [_TIME.sub("", line) for line in text.splitlines() if line.strip()][-3:]


@dataclass(frozen=True)
class Bill:
    """Hours spent so far, and an estimate of the rest."""

    on_gpus: bool  # else hours are of processors
    spent: float  # hours of trainings and predictions
    left: float  # hours
    seconds_left: float  # wall time on `places`
    places: int  # GPUs, or parallel jobs


def costs_of(snapshot: Snapshot) -> Bill:
    """Return the measured hours of what is done, and estimates from these for the rest.

    Raise InputError for a damaged benchmark file.
    """
    grid = snapshot.grid
    evidence = measured.read(grid.project, grid.artefacts().all())
    plan = bill.make(grid, Estimator(grid.project, evidence), snapshot.done)
    computing = [a for a in plan.by_id.values() if a.identity.phase in bill.COMPUTING]
    on_gpus = any(plan.costs[artefact.id].gpus for artefact in computing)

    def hours(artefact: Artefact) -> float:
        cost = plan.costs[artefact.id]
        return cost.gpu_hours if on_gpus else cost.seconds / 3600

    to_do = {artefact.id for artefact in plan.to_do}
    in_use = [sum(max(1, plan.costs[id].gpus) for id in ids) for ids in snapshot.recent]
    widest = max((plan.costs[id].gpus for id in to_do), default=1)
    places = max(1, widest, *in_use)
    return Bill(
        on_gpus,
        sum(hours(a) for a in computing if a.id in evidence.costs and a.id in snapshot.done),
        sum(hours(a) for a in computing if a.id in to_do),
        bill.wall_seconds(plan, places),
        places,
    )
