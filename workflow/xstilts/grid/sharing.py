"""Jobs that share a GPU: each runs several trainings, or several predictions, at the same time.

A model's `cells_per_gpu` asks for them. They are formed of the artefacts that are missing when a
run starts. The processes of its jobs read them from a file: by then, some of the artefacts exist.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from xstilts.config.project import Project
from xstilts.config.resources import Phase, slurm_comment
from xstilts.errors import InputError
from xstilts.grid.artefacts import Artefacts, Checkpoint, Predictions, cells_of, model_of
from xstilts.grid.base import Artefact
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
    """The shared jobs of a run."""

    jobs: list[SharedJob] = Field(default_factory=list)

    @property
    def path(self) -> Path:
        """Path of their file; its name has a digest of its content."""
        return paths.shared_file(digest([job.ids for job in self.jobs]))

    def write(self) -> None:
        """Write the file, unless it would be empty."""
        if self.jobs:
            write_text(self.path, self.model_dump_json(indent=1))

    @classmethod
    def read(cls, path: Path) -> "SharedJobs":
        """Return the content of a file. Raise InputError if it is missing or damaged."""
        return cls.load(path, "start Snakemake again, which writes it")

    @classmethod
    def by_comment(cls) -> dict[str, list[str]]:
        """Return the ids of each shared job of all runs whose files exist and are sound."""
        ids = {}
        for path in paths.shared_files():
            with suppress(InputError):
                ids |= {job.comment: job.ids for job in cls.read(path).jobs}
        return ids


def shared_jobs(
    project: Project, artefacts: Artefacts, is_missing: Callable[[Artefact], object]
) -> SharedJobs:
    """Return the jobs of missing artefacts whose models share GPUs.

    The artefacts of a job do not need one another: they are equally deep in the tree of steps.
    Neighbours in a job differ in the seed first, so they take about as long.
    """
    groups = defaultdict(list)
    candidates: Iterable[Checkpoint | Predictions] = (
        *(node for node in artefacts.checkpoints.values() if node.parent),
        *artefacts.predictions.values(),
    )
    for artefact in candidates:
        if cells_of(artefact, project) > 1 and is_missing(artefact):
            checkpoint = artefact if isinstance(artefact, Checkpoint) else artefact.checkpoint
            depth = len(checkpoint.lineage()) if artefact is checkpoint else 0
            groups[artefact.identity.phase, checkpoint.model, depth].append(artefact)
    return SharedJobs(jobs=[job for group in groups.values() for job in _jobs(group, project)])


def _jobs(group: list[Artefact], project: Project) -> Iterator[SharedJob]:
    number = cells_of(group[0], project)
    ordered = sorted(group, key=_length)
    for start in range(0, len(ordered), number):
        members = ordered[start : start + number]
        if len(members) > 1:
            yield SharedJob(
                phase=members[0].identity.phase,
                model=model_of(members[0]),
                ids=[member.id for member in members],
                files=[file for member in members for file in member.files],
            )


def _length(artefact: Checkpoint | Predictions) -> tuple[str, str, int]:
    """Order of artefacts in which neighbours take about as long."""
    if isinstance(artefact, Checkpoint):
        return "", artefact.chain, artefact.seed
    return artefact.target, artefact.checkpoint.chain, artefact.checkpoint.seed
