"""Files that Snakemake is asked to make: those of the artefacts that a rule or a goal requests.

Identity in the path and Snakemake share the work: every input is a function of a digest, so an
existing file is current; Snakemake orders, runs and retries the jobs of the missing ones. It
creates a job for every requested file, even an existing one, so requesting only missing files keeps
planning proportional to the work left. Reports, drawings and forced runs request everything.
"""

from collections.abc import Callable, Collection, Iterable
from functools import cache, cached_property
from pathlib import Path

from xstilts.grid.artefacts import Dataset, Download, Predictions
from xstilts.grid.base import Artefact, Job
from xstilts.grid.grid import Grid
from xstilts.grid.sharing import SharedJobs, predicted_after_training, shared_jobs
from xstilts.grid.state import is_released, loose_ends, missing

# Named goal -> groups of `Artefacts` that it makes
GOALS = {
    "fetch_all": ("downloads",),
    "prepare_all": ("datasets",),
    "train_all": ("checkpoints",),
    "predict_all": ("predictions",),
    "score_all": ("scores",),
    "all": ("datasets", "checkpoints", "predictions", "scores"),
}


def inspect_functions_once() -> None:
    """Let Snakemake keep the parameters of each function, which it inspects again for each job."""
    from snakemake import common, rules

    common.get_function_params = rules.get_function_params = cache(common.get_function_params)


class Requests:
    """Files to request for a study's artefacts.

    `planning`: this process plans all jobs; the process of a single job must not expand all cells.
    `everything`: why existing files are requested too, "forced" or "shown", or None if they are
    not; called after Snakemake has parsed. `in_one_job`: whether jobs that train target tasks of a
    model also predict them; called after Snakemake has parsed.
    """

    def __init__(
        self,
        grid: Grid,
        planning: bool,
        everything: Callable[[], str | None],
        in_one_job: Callable[[str], bool] = lambda model: False,
    ):
        self.grid = grid
        self.planning = planning
        self.cells: dict[str, list[str]] = {}  # training whose job also predicts -> predictions
        self._everything = everything
        self._in_one_job = in_one_job
        self._missing = cache(missing)  # the state when the jobs were planned
        self._requested = cache(self._request)  # most inputs are those of many jobs

    @cached_property
    def everything(self) -> bool:
        """Whether existing files are requested too."""
        return self.planning and self._everything() is not None

    @cached_property
    def shown(self) -> bool:
        """Whether files are requested to show them only: released weights are not made for that."""
        return self.planning and self._everything() == "shown"

    def files(self, artefacts: Iterable[Artefact]) -> list[str]:
        """Return one file for each job that must make one of the artefacts: its last missing."""
        return list(dict(filter(None, map(self._requested, artefacts))).values())

    def _request(self, artefact: Artefact) -> tuple[Job, str] | None:
        """Return an artefact's job and the file that is requested of it, if any."""
        if isinstance(artefact, Predictions):
            training = artefact.checkpoint
            together = self._after_training.get(training.id, [])
            if artefact in together:
                self.cells[training.id] = [predictions.id for predictions in together]
                return self._request(training)
        path = artefact.files[-1] if self.everything else self._missing(artefact)
        return (artefact.job, path) if path and not (self.shown and is_released(artefact)) else None

    @cached_property
    def _after_training(self) -> dict[str, list[Predictions]]:
        """Predictions that a job can make after a training, by its id."""
        if not self.planning or self.everything:
            return {}
        possible = cache(self._in_one_job)
        return predicted_after_training(self.grid.artefacts(), self._is_made, possible)

    def _is_made(self, artefact: Artefact) -> bool:
        """Whether a run makes an artefact: it is missing, and not released."""
        return bool(self._missing(artefact)) and not is_released(artefact)

    def goal(self, name: str) -> list[str]:
        """Return the files of a goal, of `GOALS`."""
        shared = name == "fetch_all"  # needs a few cells only
        expanded = self.grid.shared() if shared else self.grid.artefacts()
        groups = (getattr(expanded, group).values() for group in GOALS[name])
        artefacts = [artefact for group in groups for artefact in group]
        return self.files(artefacts if self.everything or shared else loose_ends(artefacts))

    def artefact(self, group: str, id: str) -> Artefact:
        """Return the artefact with this id, of a group of `Artefacts`."""
        known = getattr(self.grid.artefacts(), group) if self.planning else {}
        return known.get(id) or self.grid.find(group, id)

    def inputs(self, group: str, ids: Collection[str]) -> list[str]:
        """Return the files that the job of some artefacts waits for."""
        made = [self.artefact(group, id) for id in ids]
        made += [predictions for id in ids for predictions in self._after_training.get(id, [])]
        needed = [input for artefact in made for input in artefact.inputs if input.id not in ids]
        return self.files(dict.fromkeys(needed))

    def shared_jobs(self) -> SharedJobs:
        """Return the jobs that share a GPU, of the artefacts that are missing now."""
        project = self.grid.project
        if all(model.resources.cells_per_gpu == 1 for model in project.models.values()):
            return SharedJobs()
        return shared_jobs(project, self.grid.artefacts(), self._is_made)

    def downloads(self, datasets: Iterable[Dataset]) -> list[str]:
        """Return the downloads that the job preparing these data sets waits for."""
        return self.files(
            dataset.download
            for dataset in datasets
            if dataset.download and (self.everything or self._missing(dataset))
        )

    def datasets_by_task(self) -> dict[str, list[Dataset]]:
        """Return the data sets that one job prepares, by task."""
        return _by_task(self.grid.shared().datasets.values())

    def downloads_by_task(self) -> dict[str, list[Download]]:
        """Return the splits on the Hub that one job downloads, by task."""
        shared = self.grid.shared().downloads.values()
        return _by_task(download for download in shared if isinstance(download, Download))

    def prediction_files(self) -> dict[str, list[str]]:
        """Return the names of the files that a job of a target may be asked for, by target.

        Snakemake checks each output of each job. Two names instead of one per language halve the
        time of planning; the process of a single job needs all names.
        """
        names: dict[str, dict[str, None]] = {}
        expanded = self.grid.artefacts() if self.planning else self.grid.shared()
        for predictions in expanded.predictions.values():
            files = predictions.files
            if self.planning:
                files = [files[-1], self._missing(predictions) or files[-1]]
            names.setdefault(predictions.target, {}).update((Path(p).name, None) for p in files)
        return {target: list(found) for target, found in names.items()}


def _by_task(artefacts: Iterable) -> dict[str, list]:
    groups: dict[str, list] = {}
    for artefact in artefacts:
        groups.setdefault(artefact.task, []).append(artefact)
    return groups
