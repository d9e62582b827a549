"""The folder of a study: its name, its snapshot, its stamp, and the names that readers see."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from xstilts import identity, store
from xstilts.config.resources import Needs
from xstilts.config.schema import ARM, Task
from xstilts.config.settings import SETTINGS, Overrides
from xstilts.grid.grid import Grid
from xstilts.recipe import Merge, Step, trainings
from xstilts.store import paths

PACKAGE = Path(identity.__file__).parent
# Code and data that decide what the tables, the figures and the page show. Their bytes are hashed:
# parsing the code, to ignore comments, takes half a second at each start of Snakemake.
DRAWN_BY = (
    *("analyses", "costs", "families", "languages", "report", "results"),
    "stages/summarise.py",
)


@dataclass(frozen=True)
class StudyView:
    """The folder of a study: tables, figures, page, snapshot, and the stamp of a complete study."""

    grid: Grid

    @property
    def folder(self) -> Path:
        """Path of the folder, `results/studies/<study>`."""
        return paths.study_folder(self.grid.study.study)

    @cached_property
    def snapshot(self) -> Path:
        """Path of the snapshot: the study and all definitions it uses, as the stages read them.

        Its name has a digest of its content: another run, with other settings, has another one.
        """
        return paths.snapshot_file(self.grid.study.study, identity.digest(self._snapshot))

    @cached_property
    def _snapshot(self) -> str:
        return self.grid.project.model_dump_json(indent=1, exclude_defaults=True)

    @cached_property
    def stamp(self) -> Path:
        """Path of the stamp, named after everything that the study's folder shows.

        If it exists, the folder is up to date. The name covers the project, the ids of the scores,
        and the code that draws. Settings and data act through the ids; resources change no result.
        """
        imported = sorted((self.folder / "imported").glob("*.json"))  # scores of other systems
        content = {
            "project": json.dumps(visible(self.grid.project)),  # in the given order: tables keep it
            "scores": [score.id for score in (*self.grid.scores(), *self.grid.aside())],
            "imported": [path.read_text(encoding="utf-8") for path in imported],
            "code": [identity.file_sha256(path) for path in drawing_files()],
        }
        return self.folder / f"made-of.{identity.digest(content)}.txt"

    def write_snapshot(self) -> None:
        """Write the snapshot; the stages of a run read this file and no other configuration."""
        store.write_text(self.snapshot, self._snapshot)


def drawing_files() -> list[Path]:
    """Return the files of the package that decide what a study's folder shows."""
    places = [PACKAGE / name for name in DRAWN_BY]
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return sorted(path for path in files if path.suffix != ".pyc")


def visible(value: Any) -> Any:
    """Return a project's values as JSON, defaults included, without settings and resources.

    Every other key stays, so that no key that the page shows can be forgotten here.
    """
    if isinstance(value, BaseModel):
        hidden = set(SETTINGS) if isinstance(value, Overrides) else set()
        fields = {key: getattr(value, key) for key in type(value).model_fields if key not in hidden}
        return {key: visible(v) for key, v in fields.items() if not isinstance(v, Needs)}
    if isinstance(value, dict):
        return {key: visible(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [visible(v) for v in value]
    return value


def labels(grid: Grid) -> dict[str, str]:
    """Return the names that tables and figures show for models, tasks and recipes."""
    entries = [*grid.project.tasks.items(), *grid.project.models.items()]
    named = {name: entry.label for name, entry in entries if entry.label}
    named |= {ARM + name: arm.label or name for name, arm in grid.study.arms.items()}
    for name in grid.study.variants() if grid.study.arms else []:
        model, _, arm = name.partition(ARM)
        named[name] = f"{named.get(model, model)}, {named[ARM + arm]}"
    tasks = grid.project.tasks
    for name, recipe in grid.recipes.items():
        if recipe.steps and name == str(recipe):
            named[name] = ", then ".join(_step_label(step, tasks) for step in recipe.steps)
        elif recipe.steps:
            named[name] = _words(name, tasks)
    return named


def _step_label(step: Step | Merge, tasks: Mapping[str, Task]) -> str:
    """Return a step of a recipe with the labels of its tasks; masked LM is named last."""

    def of_training(training: Step) -> str:
        parts = sorted(training.parts, key=lambda part: tasks[part.task].family == "mask")
        return " + ".join(
            str(part).replace(part.task, tasks[part.task].label or part.task, 1) for part in parts
        )

    labels = " | ".join(map(of_training, trainings(step)))
    scale = step.scale if isinstance(step, Merge) else None
    return labels if scale is None else f"{labels} ~{scale}"


def _words(name: str, tasks: Mapping[str, Task]) -> str:
    """Return a recipe's own name as words, and the tasks in it by their labels.

    Example: `multitask_mlm` is "multitask MLM", `alone_lab_ner@all` is "alone NER@all".
    """
    names = sorted(tasks, key=len, reverse=True)
    pattern = f"(?<![^_])({'|'.join(map(re.escape, names))})(?![^_@~])|_"
    return re.sub(pattern, lambda x: (tasks[x[1]].label or x[1]) if x[1] else " ", name)


def notes(grid: Grid) -> list[str]:
    """Return the notes below the tables: shared steps and hyperparameters."""
    lines = []
    if grid.study.orders:
        alone, tree = grid.count_trainings()
        lines.append(f"Shared steps: {tree} trainings instead of {alone}.")
    name = grid.study.hyperparameters
    if not name:
        return lines
    trained = [*(part.task for recipe in grid.recipes.values() for part in recipe.parts)]
    trained += [task for task in grid.study.targets if "train" in grid.project.tasks[task].splits]
    names = labels(grid)
    others = [
        names.get(task, task)
        for task in dict.fromkeys(trained)
        if name not in grid.project.tasks[task].settings
    ]
    exceptions = f" (defaults for {', '.join(others)}, without this preset)" if others else ""
    override = "Settings of the model and of the study override them."
    return [*lines, f"Hyperparameters: preset {name}{exceptions}. {override}"]


def same_data(grid: Grid) -> list[tuple[str, str]]:
    """Return the pairs (intermediate task, target) that train on the same examples."""
    used = dict.fromkeys(p.task for recipe in grid.recipes.values() for p in recipe.parts)
    tasks = grid.project.tasks
    return [
        (name, target)
        for target in grid.study.targets
        for name in used
        if _training_data(target, tasks) & {*_training_data(name, tasks), *tasks[name].same_data}
        or _training_data(name, tasks) & {*tasks[target].same_data}
    ]


def longer_training(grid: Grid) -> frozenset[tuple[str, str]]:
    """Return the pairs (recipe, target) that train on the same examples."""
    pairs = same_data(grid)
    return frozenset(
        (name, target)
        for name, recipe in grid.recipes.items()
        for part in recipe.parts
        for task, target in pairs
        if part.task == task
    )


def _training_data(name: str, tasks: Mapping[str, Task]) -> set[str]:
    """Return the tasks whose training examples a task uses: its own, or those it refers to."""
    if "train" not in tasks[name].splits:
        return set()
    return {*tasks[name].references("train")} or {name}
