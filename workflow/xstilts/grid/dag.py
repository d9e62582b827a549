"""Files that Snakemake is asked to make: those of the artefacts that a rule or a goal requests.

A path identifies what made its content, so an existing file is current. Snakemake creates a job for
every requested file, even an existing one. Requesting only missing files therefore keeps planning
proportional to the work left. Reports, drawings and forced runs request everything.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from xstilts.config.resources import Keep, Site
from xstilts.grid import retention
from xstilts.grid.artefacts import Dataset, Download, Predictions
from xstilts.grid.base import Artefact, Job
from xstilts.grid.grid import Grid
from xstilts.grid.sharing import SharedJobs, predicted_after_training, shared_jobs
from xstilts.grid.state import is_released, loose_ends, missing
from xstilts.store import paths

# Named goal -> groups of `Artefacts` that it makes
GOALS = {
    "fetch_all": ("downloads",),
    "prepare_all": ("datasets",),
    "train_all": ("checkpoints",),
    "predict_all": ("predictions",),
    "score_all": ("scores",),
    "all": ("datasets", "checkpoints", "predictions", "scores"),
}
_UNPREDICTED = ("fetch_all", "prepare_all", "train_all")


class Run(Protocol):
    """Properties of a run of Snakemake that decide what it makes."""

    plans: bool
    everything: str | None
    on_cluster: bool
    targets: Collection[str]


def _needs_predictions(target: str) -> bool:
    """Whether a rule or a file that the command line names needs predictions."""
    folders = tuple(pattern.format(id="") for pattern in (paths.HUB, paths.DATA, paths.CHECKPOINT))
    return target not in _UNPREDICTED and not str(Path(target)).startswith(folders)


class Requests:
    """Files to request for a study's artefacts.

    In the process of a single job, which must not expand all cells, `cells` are those of its run:
    the ids of the predictions that the job of a training also makes, by the training's id.
    """

    def __init__(
        self,
        grid: Grid,
        run: Run,
        site: Site | None = None,
        cells: Mapping[str, list[str]] = MappingProxyType({}),
    ):
        self.grid = grid
        self._run = run
        self._site = site or Site()
        self._cells = cells
        self._missing = cache(missing)  # the state when the jobs were planned
        self._requested = cache(self._request)  # most inputs are those of many jobs

    def files(self, artefacts: Iterable[Artefact]) -> list[str]:
        """Return the last missing file of each job that must make one of the artefacts."""
        return list(dict(filter(None, map(self._requested, artefacts))).values())

    def _request(self, artefact: Artefact) -> tuple[Job, str] | None:
        """Return an artefact's job and the file that is requested of it, if any."""
        if isinstance(artefact, Predictions):
            training = artefact.checkpoint
            if artefact in self._after_training.get(training.id, []):
                return self._request(training)
        everything = self._run.everything
        path = artefact.files[-1] if everything else self._missing(artefact)
        if everything == "shown" and is_released(artefact):  # not made again to be shown
            return None
        return (artefact.job, path) if path else None

    @cached_property
    def cells(self) -> Mapping[str, list[str]]:
        """Ids of the predictions that the job of a training also makes, by the training's id."""
        if not self._run.plans:
            return self._cells
        return {id: [made.id for made in also] for id, also in self._after_training.items()}

    def predicted_by(self, training: str) -> list[str]:
        """Return the ids of the predictions that the job of a training also makes."""
        return self.cells.get(training, [])

    @cached_property
    def _after_training(self) -> dict[str, list[Predictions]]:
        """Predictions that a job can make after a training, by its id."""
        if not self._run.plans or self._run.everything or not self._run.on_cluster:
            return {}
        if self._run.targets and not any(map(_needs_predictions, self._run.targets)):
            return {}
        return predicted_after_training(self.grid, self._site, self._is_made)

    def _is_made(self, artefact: Artefact) -> bool:
        """Whether a run makes an artefact: it is missing, and not released."""
        return bool(self._missing(artefact)) and not is_released(artefact)

    def goal(self, name: str) -> list[str]:
        """Return the files of a goal, of `GOALS`."""
        shared = name == "fetch_all"  # a few cells have all downloads
        expanded = self.grid.shared() if shared else self.grid.artefacts()
        groups = (getattr(expanded, group).values() for group in GOALS[name])
        artefacts = [artefact for group in groups for artefact in group]
        return self.files(artefacts if self._run.everything or shared else loose_ends(artefacts))

    def artefact(self, group: str, id: str) -> Artefact:
        """Return the artefact with this id, of a group of `Artefacts`."""
        known = getattr(self.grid.artefacts(), group) if self._run.plans else {}
        return known.get(id) or self.grid.find(group, id)

    def inputs(self, group: str, ids: Collection[str]) -> list[str]:
        """Return the files that the job of some artefacts waits for."""
        made = [self.artefact(group, id) for id in ids]
        made += [predictions for id in ids for predictions in self._after_training.get(id, [])]
        return self.files(
            input for artefact in made for input in artefact.inputs if input.id not in ids
        )

    def priority(self, group: str, ids: Collection[str]) -> float:
        """Return the priority of the job of some artefacts."""
        return min(retention.priority(self.artefact(group, id), self._keep) for id in ids)

    @cached_property
    def _keep(self) -> Keep:
        return retention.keep_of(self.grid)

    def shared_jobs(self) -> SharedJobs:
        """Return the jobs that share a GPU, of the artefacts that are missing now."""
        return shared_jobs(self.grid, self._is_made)

    def downloads(self, datasets: Iterable[Dataset]) -> list[str]:
        """Return the downloads that the job preparing these data sets waits for."""
        return self.files(
            dataset.download
            for dataset in datasets
            if dataset.download and (self._run.everything or self._missing(dataset))
        )

    def by_task(self, group: str) -> dict[str, list[Dataset | Download]]:
        """Return the `datasets` or the `downloads` that one job makes, by task."""
        groups = defaultdict(list)
        for artefact in getattr(self.grid.shared(), group).values():
            if isinstance(artefact, Dataset | Download):  # no pretrained model
                groups[artefact.task].append(artefact)
        return groups

    def prediction_files(self) -> dict[str, list[str]]:
        """Return the names of the files that a job of a target may be asked for, by target.

        Snakemake checks each output of each job. Two names instead of one per language halve the
        time of planning; the process of a single job needs all names.
        """
        names: dict[str, dict[str, None]] = defaultdict(dict)
        expanded = self.grid.artefacts() if self._run.plans else self.grid.shared()
        for predictions in expanded.predictions.values():
            files = predictions.files
            if self._run.plans:
                files = [files[-1], self._missing(predictions) or files[-1]]
            names[predictions.target] |= dict.fromkeys(Path(path).name for path in files)
        return {target: list(found) for target, found in names.items()}
