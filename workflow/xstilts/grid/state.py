"""From a study to what there is and what is to do: the one place that looks at the results folder.

The Snakefile, `status`, `why` and `gc` all start here.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xstilts import identity, store
from xstilts.config.origins import FilesSplit, HubSplit
from xstilts.config.project import LOCK, Project, assemble, load, used
from xstilts.config.schema import ARM, Task
from xstilts.grid import raw_files
from xstilts.grid.artefacts import Artefact, Cell, Dataset, Predictions
from xstilts.grid.grid import Grid
from xstilts.store import locks

RESULTS = Path("results")
RAW_MEMORY = RESULTS / "scratch" / "raw.json"
# read when the libraries are imported
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
_STUDY_CODE = (
    *("results", "samples", "statistics", "answer", "tables", "figures", "report"),
    *("stages/summarise", "analyses/*"),
    *("page", "charts", "record", "disagreements", "languages", "costs"),
)


def open_study(path: Path) -> tuple[Grid, list[str]]:
    """A study's grid, from its YAML file or a run's `study.json`, and notices of missing files."""
    project = load(path)
    return (Grid(project), []) if path.suffix == ".json" else _with_raw_files(project)


def open_values(study: Mapping[str, Any], definitions: Path) -> tuple[Grid, list[str]]:
    """As `open_study`, from a study's values (Snakemake has read and merged the files)."""
    return _with_raw_files(assemble(study, definitions))


def _with_raw_files(project: Project) -> tuple[Grid, list[str]]:
    needed = used(project, Grid(project).tasks())
    needed, notices = raw_files.fingerprint(needed, RAW_MEMORY)
    return Grid(needed), [*_hub_notices(needed), *notices]


def _hub_notices(project: Project) -> list[str]:
    """What of the Hub is not pinned, and what a study with `source: hub` reads from files."""
    splits = [(name, s) for name, task in project.tasks.items() for s in task.splits.values()]
    origins = [split for _, split in splits if isinstance(split, HubSplit)]
    origins += [model.hub for model in project.models.values() if model.hub]
    unpinned = sorted({origin.locked_name for origin in origins if not origin.revision})
    notices = []
    if unpinned:
        notices.append(
            f"not pinned: {', '.join(unpinned)}; before `fetch`, `xstilts pin --study …` writes "
            f"their commits to {LOCK}"
        )
    if project.study.source == "hub":
        local = dict.fromkeys(name for name, split in splits if isinstance(split, FilesSplit))
        if local:
            notices.append(
                f"not, or not whole, on the Hub: {', '.join(local)}; read from files below "
                f"{project.study.data}"
            )
    return notices


@dataclass(frozen=True)
class StudyView:
    """The folder of a study, for people: tables, figures, report and a stamp that says of what."""

    grid: Grid

    @property
    def folder(self) -> Path:
        """`results/studies/<study>`."""
        return RESULTS / "studies" / self.grid.study.study

    @property
    def snapshot(self) -> Path:
        """The study with everything that it refers to, as the stages read it."""
        return self.folder / "study.json"

    @cached_property
    def stamp(self) -> Path:
        """Named by the scores, labels and drawing code: present is up to date, as everywhere."""
        project = self.grid.project
        package = Path(identity.__file__).parent
        content = {
            "scores": [score.id for score in (*self.grid.scores(), *self.grid.aside())],
            "subsets": [
                [name, subset.model_dump(), project.raw.get(subset.ids or "")]
                for name, subset in self.grid.study.subsets.items()
            ],
            "analysis": self.grid.study.analysis,
            "labels": labels(self.grid),
            "recipes": {name: str(recipe) for name, recipe in self.grid.recipes.items()},
            "notes": notes(self.grid),
            "families": {name: project.tasks[name].family for name in self.grid.study.targets},
            "published": self.grid.study.published,
            "code": identity.code_hash(
                *(path for name in _STUDY_CODE for path in package.glob(f"{name}.py"))
            ),
            "templates": [
                identity.file_sha256(path) for path in sorted((package / "templates").iterdir())
            ],
        }
        return self.folder / f"made-of.{identity.digest(content)}.txt"

    def write_snapshot(self) -> None:
        """Write `study.json`; a run's stages read this file and nothing of the configuration."""
        project = self.grid.project
        store.write_text(self.snapshot, project.model_dump_json(indent=1, exclude_defaults=True))


def use_this_installation(folder: Path) -> None:
    """Let jobs run the `python` that runs Snakemake, and the package that lies in `folder`.

    Without a network: `fetch` alone turns it on again.
    """
    os.environ |= OFFLINE
    here = {"PATH": Path(sys.executable).parent, "PYTHONPATH": folder / "workflow"}
    for name, first in here.items():
        others = os.environ.get(name, "").split(os.pathsep)
        kept = [path for path in others if path and path != str(first)]
        os.environ[name] = os.pathsep.join([str(first), *kept])


def labels(grid: Grid) -> dict[str, str]:
    """Names that tables and figures show for models, tasks and recipes."""
    entries = [*grid.project.tasks.items(), *grid.project.models.items()]
    named = {name: entry.label for name, entry in entries if entry.label}
    named |= {ARM + name: arm.label or name for name, arm in grid.study.arms.items()}
    for name in grid.study.variants() if grid.study.arms else []:
        model, _, arm = name.partition(ARM)
        named[name] = f"{named.get(model, model)}, {named[ARM + arm]}"
    for name, recipe in grid.recipes.items():
        steps = [
            " + ".join(
                str(part).replace(part.task, named.get(part.task, part.task), 1)
                for part in step.parts
            )
            for step in recipe.steps
        ]
        if steps and name == str(recipe):
            named[name] = ", then ".join(steps)
    return named


def notes(grid: Grid) -> list[str]:
    """What the tables say about the study: its question, and the settings in force."""
    title = [grid.study.title] if grid.study.title else []
    if grid.study.orders:
        alone, tree = grid.trainings()
        title.append(f"A tree of {tree} trainings; each cell for itself would take {alone}.")
    name = grid.study.hyperparameters
    if not name:
        return title
    trained = [*(part.task for recipe in grid.recipes.values() for part in recipe.parts)]
    trained += [task for task in grid.study.targets if "train" in grid.project.tasks[task].splits]
    shown = labels(grid)
    others = [
        shown.get(task, task)
        for task in dict.fromkeys(trained)
        if name not in grid.project.tasks[task].settings
    ]
    but = f"; {', '.join(others)} have no such set and take their defaults" if others else ""
    return [*title, f"Hyperparameters: {name}{but}. Settings of the model and the study go before."]


def same_data(grid: Grid) -> list[tuple[str, str]]:
    """(intermediate task, target) pairs that train on the same examples: not transfer."""
    used = dict.fromkeys(p.task for recipe in grid.recipes.values() for p in recipe.parts)
    tasks = grid.project.tasks
    return [
        (name, target)
        for target in grid.study.targets
        for name in used
        if _training_data(target, tasks) & {*_training_data(name, tasks), *tasks[name].same_data}
        or _training_data(name, tasks) & {*tasks[target].same_data}
    ]


def _training_data(name: str, tasks: Mapping[str, Task]) -> set[str]:
    """The tasks whose training split a task trains on: itself, or those that it refers to."""
    if "train" not in tasks[name].splits:
        return set()
    return {*tasks[name].references("train")} or {name}


def missing(artefact: Artefact) -> str | None:
    """The last of an artefact's files that is not there; None if it is whole."""
    files = reversed(artefact.files)
    if not isinstance(artefact, Predictions):
        return next((path for path in files if not os.path.exists(path)), None)
    try:
        present = set(os.listdir(artefact.path))  # one look, however many languages
    except FileNotFoundError:
        present = set()
    return next((path for path in files if os.path.basename(path) not in present), None)


def is_done(artefact: Artefact) -> bool:
    """Whether an artefact is there, whole: its last file has been published."""
    return missing(artefact) is None


def loose_ends(artefacts: Iterable[Artefact]) -> list[Artefact]:
    """What is missing and is no input of another that is missing: to ask for these is enough."""
    absent = [artefact for artefact in artefacts if not is_done(artefact)]
    asked_for = {artefact for other in absent for artefact in other.inputs}
    return [artefact for artefact in absent if artefact not in asked_for]


def chain(grid: Grid, cell: Cell) -> list[Artefact]:
    """Everything that a cell needs, in the order in which it is made."""
    score = grid.score(cell)
    lineage = score.predictions.checkpoint.lineage()
    data: dict[str, Dataset] = {}
    for dataset in (*score.predictions.datasets, *(d for node in lineage for d in node.datasets)):
        data[dataset.id] = dataset
    downloads = {d.download.id: d.download for d in data.values() if d.download and not is_done(d)}
    return [*downloads.values(), *data.values(), *lineage, score.predictions, score]


def failure(artefact: Artefact) -> str | None:
    """The message of an artefact's last failed run, if no run has succeeded since."""
    path = store.failure_file(artefact.id)
    if is_done(artefact) or not path.exists():
        return None
    return path.read_text(encoding="utf-8").strip()


def unreferenced(grids: list[Grid]) -> list[Path]:
    """Files and folders of the store that none of the studies refers to."""
    wanted: set[Path] = {RAW_MEMORY}
    for grid in grids:
        found = grid.artefacts()
        for artefact in found.all():
            wanted |= {Path(artefact.path), store.SCRATCH / artefact.id}
            wanted |= {store.failure_file(artefact.id), locks.lock_file(artefact.id)}
        wanted |= {Path(path) for score in found.scores.values() for path in score.files}
        for predictions in found.predictions.values():
            wanted |= {Path(file) for file in predictions.files}
            wanted.add(Path(predictions.path) / store.ABOUT)
    folders = [RESULTS / name for name in ("hub", "data", "checkpoints", "predictions", "scores")]
    present = [path for folder in [*folders, store.SCRATCH] for path in folder.glob("*")]
    present += (RESULTS / "predictions").glob("*/*")
    stray = sorted(set(present) - wanted)
    return [path for path in stray if path.parent not in stray]
