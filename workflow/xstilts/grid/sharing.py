"""Jobs that make several artefacts.

There are two kinds. With `cells_per_gpu` in a model's resources, a job runs several trainings, or
several predictions, at the same time on one GPU. On SLURM, the job that trains a target task also
predicts it: a cell waits in the queue once and imports torch once.

Both kinds are formed of the artefacts that are missing when a run starts, and written to a file.
The processes of the run's jobs read the file: when they start, some of these artefacts exist.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from xstilts.config.project import Project
from xstilts.config.resources import Phase, Site, predicts_after_training, slurm_comment
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint, Predictions, cells_of
from xstilts.grid.base import Artefact
from xstilts.grid.grid import Grid
from xstilts.identity import digest
from xstilts.store import paths
from xstilts.store.files import write_text
from xstilts.store.records import Record

_GROUPS: dict[Phase, str] = {"train": "checkpoints", "predict": "predictions"}


class SharedJob(Record):
    """A job of several artefacts of one model and phase."""

    phase: Phase
    model: str
    ids: list[str]
    files: list[str]

    @property
    def name(self) -> str:
        """Name of the job's rule and of its log."""
        return f"{self.phase}_together_{digest(self.ids)[:6]}"

    @property
    def comment(self) -> str:
        """Comment that Snakemake's SLURM plugin gives the job."""
        return slurm_comment(self.name, "")

    @property
    def group(self) -> str:
        """Group of `Artefacts` that the artefacts belong to."""
        return _GROUPS[self.phase]


class SharedJobs(Record):
    """The jobs of a run that make several artefacts."""

    jobs: list[SharedJob] = Field(default_factory=list)
    cells: dict[str, list[str]] = Field(default_factory=dict)  # training -> its predictions

    @property
    def path(self) -> Path:
        """Path of their file; its name has a digest of its content."""
        return paths.shared_file(digest([[job.ids for job in self.jobs], self.cells]))

    def write(self) -> None:
        """Write the file, unless it would be empty."""
        if self.jobs or self.cells:
            write_text(self.path, self.model_dump_json(indent=1))

    @classmethod
    def read(cls, path: Path) -> "SharedJobs":
        """Return the content of a file. Raise InputError if it is missing or damaged."""
        return cls.load(path, "start Snakemake again, which writes it")

    @classmethod
    def by_comment(cls) -> dict[str, list[str]]:
        """Return the ids of each of these jobs, of all runs whose files exist and are sound."""
        ids = {}
        for path in paths.shared_files():
            with suppress(InputError):
                run = cls.read(path)
                ids |= {job.comment: job.ids for job in run.jobs}
                ids |= {slurm_comment("train", i): [i, *then] for i, then in run.cells.items()}
        return ids


def shared_jobs(grid: Grid, is_missing: Callable[[Artefact], object]) -> SharedJobs:
    """Return the jobs of missing artefacts whose models share GPUs.

    The artefacts of a job do not need one another: they are equally deep in the tree of steps.
    Neighbours in a job differ in the seed first, so they take about as long.
    """
    project = grid.project
    if all(model.resources.cells_per_gpu == 1 for model in project.models.values()):
        return SharedJobs()  # without an expansion of all cells
    groups = defaultdict(list)
    artefacts = grid.artefacts()
    candidates: Iterable[Checkpoint | Predictions] = (
        *(node for node in artefacts.checkpoints.values() if node.parent),
        *artefacts.predictions.values(),
    )
    for artefact in candidates:
        if cells_of(artefact, project) > 1 and is_missing(artefact):
            depth = len(artefact.lineage()) if isinstance(artefact, Checkpoint) else 0
            groups[artefact.identity.phase, artefact.model, depth].append(artefact)
    return SharedJobs(jobs=[job for group in groups.values() for job in _jobs(group, project)])


def predicted_after_training(
    grid: Grid, site: Site, is_missing: Callable[[Artefact], object]
) -> dict[str, list[Predictions]]:
    """Return the missing predictions by the id of the missing training whose job can make them.

    Only the last training of a cell is such a training: no other step waits for it.
    """
    artefacts, models = grid.artefacts(), grid.project.models
    possible = {n for n, model in models.items() if predicts_after_training(model.resources, site)}
    if not possible:
        return {}
    needed = {input.id for node in artefacts.checkpoints.values() for input in node.inputs}
    needed |= {made.checkpoint.id for made in artefacts.predictions.values() if made.head}
    found = defaultdict(list)
    for predictions in artefacts.predictions.values():
        node = predictions.checkpoint
        is_last = node.parts and node.id not in needed and node.model in possible
        if is_last and is_missing(node) and is_missing(predictions):
            found[node.id].append(predictions)
    return dict(found)


def _jobs(group: list[Artefact], project: Project) -> Iterator[SharedJob]:
    number = cells_of(group[0], project)
    ordered = sorted(group, key=_length)
    for start in range(0, len(ordered), number):
        members = ordered[start : start + number]
        if len(members) > 1:
            yield SharedJob(
                phase=members[0].identity.phase,
                model=members[0].model,
                ids=[member.id for member in members],
                files=[file for member in members for file in member.files],
            )


def _length(artefact: Checkpoint | Predictions) -> tuple[str, str, int]:
    """Sort key by which neighbours take about as long."""
    if isinstance(artefact, Checkpoint):
        return "", artefact.chain, artefact.seed
    return artefact.target, artefact.checkpoint.chain, artefact.checkpoint.seed
