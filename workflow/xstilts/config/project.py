"""Reading the configuration: a study with every task and model that it refers to.

A study is one YAML file; tasks and models are entries in `tasks/*.yaml` and `models/*.yaml` of the
folders that `folders` lists. Snakemake and the command line both read them here. The workflow
writes a `Project` next to the results as `study.json`, and every stage reads that file.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from xstilts.config.mistakes import allowed, explain
from xstilts.config.names import check_names
from xstilts.config.origins import LabSplit, Strict
from xstilts.config.resources import Site
from xstilts.config.schema import ARM, MODEL, RECIPE_NAME, Lock, Model, Study, Task
from xstilts.config.settings import SETTINGS
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError, check_known, nearest
from xstilts.recipe import NONE, TASK, Part, Recipe, parse

LOCK = "hub.lock.yaml"  # next to the folders of tasks and models
PACKAGE_CONFIG = Path(__file__).parents[3] / "config"  # of the checkout that is installed


class Project(Strict):
    """A study with every task and model that it refers to, and the hashes of its raw files."""

    study: Study
    tasks: dict[str, Task]
    models: dict[str, Model]
    raw: dict[str, list[str]] = Field({}, description="Hashes of raw files, see grid.raw_files.")
    weights: dict[str, dict[str, str]] = Field(
        {}, description="Hashes of the files of local models, by model and file."
    )

    @model_validator(mode="after")
    def _references(self) -> "Project":
        check_names(self.study, self.tasks, self.models, self.named_recipes())
        return self

    def data_folder(self) -> Path:
        """Return the folder of the original files, with environment variables filled in.

        Raise InputError naming a variable that is not set.
        """
        folder = os.path.expandvars(self.study.data)
        if "$" in folder:
            raise InputError(f"study {self.study.study!r}, data: {folder} is not set")
        return Path(folder)

    def named_recipes(self) -> dict[str, Recipe]:
        """Return the recipes by short name; without one, a recipe is called by its notation."""
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
            if not re.fullmatch(RECIPE_NAME, name):
                raise ValueError(
                    f"recipes: {name!r} is not allowed; expected {allowed(RECIPE_NAME)}"
                )
            named[name] = recipe
        return named

    def _examples(self, part: Part) -> int:
        """Return the number of training examples of a recipe's part, as its task states it."""
        check_known("task", part.task, self.tasks, "orders: ")
        entry = self.tasks[part.task]
        specs = [self.tasks[other].splits["train"] for other in entry.references("train")]
        total = 0
        for spec, language in product(specs or [entry.splits["train"]], entry.languages_of(part)):
            count = spec.size if isinstance(spec, LabSplit) else spec.expected("rows", language)
            if count is None:
                raise ValueError(
                    f"orders: task {part.task!r} states no `rows`, so its size is unknown; replace "
                    "size_up and size_down by `{name: [task, …]}`"
                )
            total += count
        return part.size.of(total) if part.size else total

    def settings(self, group: str, task: str, model: str) -> BaseModel:
        """Return the resolved settings of a task under a model, or under a model and an arm.

        Later layers win: the task, its preset, the model, the study, the study for the task, the
        arm, the arm for the task.
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
    """Return `values` as a `model`.

    Raise InputError with one line per mistake: where it is, its key, what is wrong.
    """
    try:
        return model.model_validate(values)
    except InputError as error:  # of a recipe; pydantic does not catch it
        raise InputError(f"{where}: {error}") from None
    except ValidationError as error:
        raise InputError("\n".join(where + line for line in explain(error, values))) from None


def read_entries(folder: Path, model: type[BaseModel], name_pattern: str) -> dict[str, Any]:
    """Return the validated entries of all YAML files in a folder, by name."""
    entries, origin = {}, {}
    for path in sorted(folder.glob("*.yaml")):
        for name, values in read_yaml(path, f"named {folder.name}").items():
            if name in entries:
                raise InputError(f"{path}: {name!r} is already defined in {origin[name]}")
            if not re.fullmatch(name_pattern, name) or name == NONE:
                expected = allowed(name_pattern)
                raise InputError(f"{path}: {name!r} is not allowed; expected {expected}")
            entries[name] = validate(model, values, f"{path}, {name}")
            origin[name] = path
    return entries


def read_site(*paths: Path) -> Site:
    """Read the description of a cluster, the first file that exists; without one, the defaults."""
    path = next(filter(Path.exists, paths), None)
    return validate(Site, read_yaml(path, "the keys of a cluster"), str(path)) if path else Site()


@dataclass(frozen=True)
class Definitions:
    """Tasks, models and locked commits that a study may refer to."""

    tasks: dict[str, Task]
    models: dict[str, Model]
    lock: Lock
    overridden: dict[str, str]  # name -> which definition of it is overridden by which

    def notices(self, project: "Project") -> list[str]:
        """Return one notice for each definition of a project that overrides another."""
        names = (*project.tasks, *project.models)
        return [self.overridden[name] for name in names if name in self.overridden]


def folders(study: Path) -> list[Path]:
    """Folders with definitions, in order of precedence.

    They are next to the study's file, in the working directory, and in the package.
    """
    beside = study.resolve().parent
    if beside.name == "studies":
        beside = beside.parent
    candidates = (beside, Path("config").resolve(), PACKAGE_CONFIG)
    return [folder for folder in dict.fromkeys(candidates) if folder.is_dir()]


def read_definitions(places: Sequence[Path]) -> Definitions:
    """Read the tasks, models and lock files of several folders; the first definition wins.

    Raise InputError naming the file, key and value of a mistake.
    """
    overridden: dict[str, str] = {}
    tasks = _first_of_each(places, "tasks", Task, TASK, overridden)
    models = _first_of_each(places, "models", Model, MODEL, overridden)
    for name, task in tasks.items():
        for other in task.same_data:
            if other not in tasks:
                hint = nearest(other, tasks)
                raise InputError(f"task {name!r}, same_data: unknown task {other!r}: {hint}")
    datasets: dict[str, str] = {}
    weights: dict[str, str] = {}
    for lock in map(read_lock, places):
        datasets, weights = lock.datasets | datasets, lock.models | weights
    return Definitions(tasks, models, Lock(datasets=datasets, models=weights), overridden)


def _first_of_each(
    places: Sequence[Path],
    kind: str,
    model: type[BaseModel],
    pattern: str,
    overridden: dict[str, str],
) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    for place in places:
        found = read_entries(place / kind, model, pattern)
        for name in found.keys() & entries.keys():
            if found[name] != entries[name]:
                overridden[name] = (
                    f"{kind.removesuffix('s')} {name} of {_shown(origin[name])} overrides that of "
                    f"{_shown(place)}"
                )
        entries = found | entries
        origin = dict.fromkeys(found, place) | origin
    return entries


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)


def read_lock(folder: Path) -> Lock:
    """Read the lock file of a folder of definitions; without one, nothing is locked."""
    path = folder / LOCK
    return (
        validate(Lock, read_yaml(path, "`datasets` and `models`"), str(path))
        if path.exists()
        else Lock()
    )


def assemble(
    study: Mapping[str, Any], definitions: Definitions, where: str = "study", locked: bool = True
) -> Project:
    """Return the project of a study's values.

    Tasks take the splits of the study's source, and commits are those of the lock if `locked`.
    """
    validated = validate(Study, dict(study), where)
    lock = definitions.lock if locked else Lock()
    tasks = {
        name: task.taken_from(validated.source, lock.datasets)
        for name, task in definitions.tasks.items()
    }
    models = {
        name: model.model_copy(update={"hub": model.hub.pinned(lock.models)})
        if model.hub
        else model
        for name, model in definitions.models.items()
    }
    return validate(Project, {"study": validated, "tasks": tasks, "models": models}, where)


def read_study(files: Sequence[Path], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values of a study: its files merged in order, then `changes`.

    Keys of nested mappings are merged too; of two values, the later one wins.
    """
    values: dict[str, Any] = {}
    for layer in [*map(read_yaml, files), changes or {}]:
        values = _merged(values, layer)
    return values


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def load(path: Path) -> Project:
    """Return the project of a study's YAML file, or of the `study.json` of a run."""
    if path.suffix == ".json":
        try:
            return validate(Project, json.loads(path.read_text(encoding="utf-8")), str(path))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
    return assemble(read_study([path]), read_definitions(folders(path)), str(path))


def used(project: Project, tasks: Iterable[str]) -> Project:
    """Return the project without the definitions that it does not use."""
    models = {*project.study.models, *project.study.controls}
    return project.model_copy(
        update={
            "tasks": {name: project.tasks[name] for name in sorted(tasks)},
            "models": {name: project.models[name] for name in sorted(models)},
        }
    )
