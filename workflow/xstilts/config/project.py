"""How the configuration is read: a study with every task and model that it refers to.

A study is one YAML file; tasks and models are entries in `config/tasks/*.yaml` and
`config/models/*.yaml`. The workflow writes a `Project` beside the results as `study.json`, and
every stage reads that one file.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from xstilts.config.names import check_names
from xstilts.config.origins import LabSplit, Strict
from xstilts.config.resources import Site
from xstilts.config.schema import ARM, MODEL, Lock, Model, Study, Task
from xstilts.config.settings import SETTINGS
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError, check_known, nearest
from xstilts.recipe import NONE, TASK, Part, Recipe, parse

LOCK = "hub.lock.yaml"  # beside the folders of tasks and models
_RECIPE_NAME = r"[a-z][a-z0-9_+@~-]*"  # of a path, too


class Project(Strict):
    """A study with every task and model that it refers to, and the hashes of its raw files."""

    study: Study
    tasks: dict[str, Task]
    models: dict[str, Model]
    raw: dict[str, list[str]] = Field({}, description="Hashes of raw files, see grid.raw_files.")

    @model_validator(mode="after")
    def _references(self) -> "Project":
        check_names(self.study, self.tasks, self.models, self.named_recipes())
        return self

    def data_folder(self) -> Path:
        """The folder of the original files, with environment variables filled in."""
        folder = os.path.expandvars(self.study.data)
        if "$" in folder:
            raise InputError(f"study {self.study.study!r}, data: {folder} is not set")
        return Path(folder)

    def named_recipes(self) -> dict[str, Recipe]:
        """Short name to recipe; a recipe without a short name is called by its notation."""
        entries = [
            pair
            for entry in self.study.recipes
            for pair in (entry.items() if isinstance(entry, dict) else [("", entry)])
        ]
        if self.study.orders:
            entries += self.study.orders.recipes(self._examples).items()
        named = {}
        for name, text in entries:
            recipe = parse(text)
            name = name or str(recipe)
            if name in named:
                raise ValueError(f"recipes: {name} is given twice")
            if not re.fullmatch(_RECIPE_NAME, name):
                raise ValueError(f"recipes: {name!r} is not a name: expected {_RECIPE_NAME}")
            named[name] = recipe
        return named

    def _examples(self, part: Part) -> int:
        """How many training examples a part of a recipe has, by what its task's entry states."""
        check_known("task", part.task, self.tasks, "orders: ")
        entry = self.tasks[part.task]
        specs = [self.tasks[other].splits["train"] for other in entry.references("train")]
        total = 0
        for spec in specs or [entry.splits["train"]]:
            language = part.language or entry.source_language
            count = spec.size if isinstance(spec, LabSplit) else spec.expected("rows", language)
            if count is None:
                raise ValueError(
                    f"orders: how many examples {part.task} has is not stated (`rows`): give the "
                    "orders by size yourself"
                )
            total += count
        return part.size.of(total) if part.size else total

    def settings(self, group: str, task: str, model: str) -> BaseModel:
        """Resolved settings of a model, or of one under an arm; later ones win.

        The task's, those of its named set, the model's, the study's, the study's for the task, the
        arm's, the arm's for the task.
        """
        entry, study = self.tasks[task], self.study
        named = entry.settings.get(study.hyperparameters or "")
        name, _, arm = model.partition(ARM)
        layers = [entry, named, self.models[name], study, study.tasks.get(task)]
        if arm:
            layers += [study.arms[arm], study.arms[arm].tasks.get(task)]
        values: dict[str, Any] = {}
        for layer in filter(None, layers):
            values |= getattr(layer, group)
        return validate(SETTINGS[group], values, f"{group} settings of task {task!r}")


def validate(model: type[BaseModel], values: Any, where: str) -> Any:
    """Validate `values`; raises InputError with one line per mistake: where, key, what is wrong."""
    try:
        return model.model_validate(values)
    except InputError as error:  # a recipe's: pydantic lets it pass
        raise InputError(f"{where}: {error}") from None
    except ValidationError as error:
        lines = []
        for mistake in error.errors():
            key = ".".join(map(str, mistake["loc"]))
            message = mistake["msg"].removeprefix("Value error, ")
            lines.append(f"{where}{', ' + key if key else ''}: {message}")
        raise InputError("\n".join(lines)) from None


def read_entries(folder: Path, model: type[BaseModel], name_pattern: str) -> dict[str, Any]:
    """All entries of the YAML files in a folder: name to validated entry."""
    entries, origin = {}, {}
    for path in sorted(folder.glob("*.yaml")):
        for name, values in read_yaml(path).items():
            if name in entries:
                raise InputError(f"{path}: {name!r} is already defined in {origin[name]}")
            if not re.fullmatch(name_pattern, name) or name == NONE:
                raise InputError(f"{path}: {name!r} is not a name: expected {name_pattern}")
            entries[name] = validate(model, values, f"{path}, {name}")
            origin[name] = path
    return entries


def read_site(path: Path) -> Site:
    """What a cluster's users wrote of it; the defaults of SLURM if there is no such file."""
    return validate(Site, read_yaml(path), str(path)) if path.exists() else Site()


def read_lock(definitions: Path) -> Lock:
    """The lock file of a folder of definitions; without one, nothing is locked."""
    path = definitions / LOCK
    return validate(Lock, read_yaml(path), str(path)) if path.exists() else Lock()


def assemble(
    study: Mapping[str, Any], definitions: Path, where: str = "study", locked: bool = True
) -> Project:
    """A study's values with the tasks and models defined below the folder `definitions`.

    Tasks have the splits of the study's source; commits are those of the lock file, if `locked`.
    """
    tasks = read_entries(definitions / "tasks", Task, TASK)
    for name, task in tasks.items():
        for other in task.same_data:
            if other not in tasks:
                hint = nearest(other, tasks)
                raise InputError(f"task {name!r}, same_data: unknown task {other!r}: {hint}")
    models = read_entries(definitions / "models", Model, MODEL)
    validated = validate(Study, dict(study), where)
    lock = read_lock(definitions) if locked else Lock()
    tasks = {name: task.taken_from(validated.source, lock.datasets) for name, task in tasks.items()}
    models = {
        name: model.model_copy(update={"hub": model.hub.pinned(lock.models)})
        if model.hub
        else model
        for name, model in models.items()
    }
    return validate(Project, {"study": validated, "tasks": tasks, "models": models}, where)


def load(path: Path) -> Project:
    """A project from a study's YAML file, or from the `study.json` that a run has written."""
    if path.suffix == ".json":
        try:
            return validate(Project, json.loads(path.read_text(encoding="utf-8")), str(path))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
    return assemble(read_yaml(path), definitions(path), str(path))


def definitions(study: Path) -> Path:
    """The folder with the `tasks` and `models` of a study's YAML file."""
    folder = study.resolve().parent
    return folder.parent if folder.name == "studies" else folder


def used(project: Project, tasks: Iterable[str]) -> Project:
    """The project without the definitions that it does not use."""
    models = {*project.study.models, *project.study.controls}
    return project.model_copy(
        update={
            "tasks": {name: project.tasks[name] for name in sorted(tasks)},
            "models": {name: project.models[name] for name in sorted(models)},
        }
    )
