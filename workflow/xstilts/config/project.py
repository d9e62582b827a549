"""Reading the configuration: a study with every task and model that it refers to.

A study is one YAML file; tasks and models are entries in `tasks/*.yaml` and `models/*.yaml` of the
folders that `folders` lists. Snakemake and the command line both read them here. A run of Snakemake
writes its `Project` to a snapshot, `results/studies/NAME/study.DIGEST.json`, which its jobs read.
"""

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from xstilts.config import DEFAULT_STUDY
from xstilts.config.mistakes import Key, Place, allowed, explain, quoted
from xstilts.config.names import check_names
from xstilts.config.origins import FilesSplit, LabSplit, Strict, expanded
from xstilts.config.resources import Site
from xstilts.config.schema import ARM, MODEL, RECIPE_NAME, Lock, Model, Study, Task
from xstilts.config.settings import SETTINGS, Overrides
from xstilts.config.spelling import respelled
from xstilts.config.yaml import mapping_of, read_text, read_yaml
from xstilts.errors import InputError, nearest
from xstilts.recipe import NONE, TASK, Part, Recipe, parse
from xstilts.text import decode_json

LOCK = "hub.lock.yaml"  # next to the folders of tasks and models
OPTION = "--config"  # of the command line
_SNAPSHOT = "if a run wrote {path}, delete it: the next run writes its own"
PACKAGE_CONFIG = Path(__file__).parents[3] / "config"  # of the checkout that is installed


def dotted(key: Key) -> str:
    """Return a key of a project as text, where the files that state it are not known."""
    return ".".join(map(str, key))


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

    def file_splits(self) -> dict[tuple[str, str], FilesSplit]:
        """Return the splits in local files by task and name."""
        return {
            (task, name): split
            for task, entry in self.tasks.items()
            for name, split in entry.splits.items()
            if isinstance(split, FilesSplit)
        }

    def data_folder(self) -> Path:
        """Return the folder of the original files, with environment variables filled in.

        Raise InputError naming a variable that is not set.
        """
        return expanded(self.study.data, f"study {self.study.study!r}, data")

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
                same = "" if text == name else f"; {text!r} is another spelling of it"
                raise ValueError(f"recipes: {name!r} is given twice{same}")
            if not re.fullmatch(RECIPE_NAME, name):
                raise ValueError(
                    f"recipes: {name!r} is not allowed; expected {allowed(RECIPE_NAME)}"
                )
            named[name] = recipe
        return named

    def _examples(self, part: Part) -> int:
        """Return the number of training examples of a recipe's part, as its task states it."""
        if part.task not in self.tasks:
            hint = nearest(part.task, self.tasks)
            raise ValueError(f"orders: unknown task {part.task!r}: {hint}")
        total = self.stated_examples(part)
        if total is None:
            raise ValueError(
                f"orders: task {part.task!r} states no `rows`, so its size is unknown; replace "
                "size_up and size_down by `{name: [task, …]}`"
            )
        return part.size.of(total) if part.size else total

    def stated_examples(self, part: Part) -> int | None:
        """Return the number of examples that a part's task has, or None if it does not state it."""
        entry = self.tasks[part.task]
        if "train" not in entry.splits:
            return None
        own = [self.tasks[other].splits["train"] for other in entry.references("train")]
        splits = product(own or [entry.splits["train"]], entry.languages_of(part))
        counts = [
            spec.size if isinstance(spec, LabSplit) else spec.expected("rows", language)
            for spec, language in splits
        ]
        return None if None in counts else sum(counts)

    def settings(
        self, group: str, task: str, model: str, place: Place = dotted, pretraining: bool = False
    ) -> BaseModel:
        """Return the resolved settings of a task under a model, or under a model and an arm.

        Later layers take precedence: the task, its preset, the model, the study, the study's entry
        for the task, the arm, the arm's entry for the task. Settings of the whole study do not
        apply to the pretraining of a model: a change of the fine-tuning would train it again.
        Raise InputError, with the places of the keys, for settings of several layers that do not
        fit together.
        """
        values: dict[str, Any] = {}
        keys: dict[str, Key] = {}
        for key, layer in self._layers(task, model):
            if pretraining and layer is self.study:
                continue
            stated = getattr(layer, group)
            values |= stated
            keys |= {name: (*key, group, name) for name in stated}
        try:
            return SETTINGS[group].model_validate(values)
        except ValidationError as error:
            raise InputError(_conflict(error, keys, place, task)) from None

    def check_settings(self, place: Place) -> None:
        """Raise InputError if the settings of a task of the study do not fit together."""
        parts = [part for recipe in self.named_recipes().values() for part in recipe.parts]
        for task in dict.fromkeys([part.task for part in parts] + self.study.targets):
            for model in (*self.study.variants(), *self.study.controls):
                for group in SETTINGS:
                    self.settings(group, task, model, place)

    def _layers(self, task: str, model: str) -> list[tuple[Key, Overrides]]:
        """Return the blocks with settings of a task under a model, and where each is written."""
        entry, study = self.tasks[task], self.study
        preset = study.hyperparameters or ""
        name, _, arm = model.partition(ARM)
        layers: list[tuple[Key, Overrides | None]] = [
            (("tasks", task), entry),
            (("tasks", task, "settings", preset), entry.settings.get(preset)),
            (("models", name), self.models[name]),
            (("study",), study),
            (("study", "tasks", task), study.tasks.get(task)),
        ]
        if arm:
            layers += [
                (("study", "arms", arm), study.arms[arm]),
                (("study", "arms", arm, "tasks", task), study.arms[arm].tasks.get(task)),
            ]
        return [(key, layer) for key, layer in layers if layer]


def _conflict(error: ValidationError, keys: Mapping[str, Key], place: Place, task: str) -> str:
    """Return a message for settings of several layers that do not fit together.

    Each layer was checked alone when it was read.
    """
    message = str(error.errors()[0]["ctx"]["error"])
    named = [key for name, key in keys.items() if re.search(rf"\b{name}\b", message)]
    stated = " and ".join(f"{place(key)}, {dotted(key[1:])}" for key in named)
    return f"{stated}: {message} (in the settings of task {task!r})"


def validate(model: type[BaseModel], values: Any, where: str | Place) -> Any:
    """Return `values` as a `model`.

    Raise InputError with one line per mistake: where it is, its key, what is wrong.
    """
    place = where if callable(where) else lambda key: where
    try:
        return model.model_validate(values)
    except InputError as error:  # of a recipe; pydantic does not catch it
        raise InputError(f"{place(())}: {error}") from None
    except ValidationError as error:
        raise InputError("\n".join(explain(error, values, place))) from None


def _read(
    folder: Path, model: type[BaseModel], name_pattern: str
) -> dict[str, tuple[Path, BaseModel]]:
    """Return the validated entries of all YAML files in a folder, with their files, by name."""
    entries: dict[str, tuple[Path, BaseModel]] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, entry in _entries(path, read_text(path), model, name_pattern).items():
            if name in entries:
                other = shown(entries[name][0])
                raise InputError(f"{shown(path)}: {name!r} is already defined in {other}")
            entries[name] = path, entry
    return entries


@lru_cache(maxsize=64)  # `gc` opens all studies, which read the same files
def _entries(
    path: Path, text: str, model: type[BaseModel], name_pattern: str
) -> dict[str, BaseModel]:
    """Return the validated entries in the text of a YAML file, by name."""
    entries = {}
    for name, values in mapping_of(text, path, f"named {path.parent.name}").items():
        if not isinstance(name, str) or not re.fullmatch(name_pattern, name) or name == NONE:
            expected = allowed(name_pattern)
            raise InputError(f"{shown(path)}: {quoted(name)} is not allowed; expected {expected}")
        entries[name] = validate(model, values, f"{shown(path)}, {name}")
    return entries


def read_site(*paths: Path) -> Site:
    """Return the site in the first of these files that exists, or else the default site.

    Raise InputError for a mistake in the file, and for a tracker that is not installed.
    """
    path = next(filter(Path.exists, paths), None)
    if not path:
        return Site()
    site = validate(Site, read_yaml(path, "the keys of a cluster"), str(path))
    for name in site.trackers:
        if not find_spec(name):
            raise InputError(
                f"{path}, trackers: {name} is not installed; `pip install {name}` in this "
                "environment, or delete it from the list"
            )
    return site


def site_files(checkout: Path = PACKAGE_CONFIG.parent) -> list[Path]:
    """Return the paths of a site: in the working directory, and in the checkout."""
    return [folder / "profiles/slurm/site.yaml" for folder in (Path(), checkout)]


def this_site() -> Site:
    """Return the site of this installation, from the working directory or the checkout."""
    return read_site(*site_files())


@dataclass(frozen=True)
class Definitions:
    """Tasks, models and locked commits that a study may refer to."""

    tasks: dict[str, Task]
    models: dict[str, Model]
    lock: Lock
    overridden: dict[str, str]  # name -> which definition of it is overridden by which
    files: dict[Key, Path]  # ("tasks" or "models", name) -> where it is defined

    def add(self, kind: str, name: str, entry: BaseModel, path: Path) -> None:
        """Add an entry of a file, unless an earlier one has its name."""
        entries = getattr(self, kind)
        if name not in entries:
            entries[name], self.files[kind, name] = entry, path
        elif entries[name] != entry:
            winner, other = self.files[kind, name].parents[1], path.parents[1]
            self.overridden[name] = (
                f"{kind.removesuffix('s')} {name} of {shown(winner)} overrides that of "
                f"{shown(other)}"
            )

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


def study_files() -> list[Path]:
    """Return the YAML files of the working directory that may hold studies, the default first."""
    config = DEFAULT_STUDY.parent
    files = [*config.glob("*.yaml"), *config.glob("studies/*.yaml")]
    return sorted(files, key=lambda path: (path != DEFAULT_STUDY, path))


def read_definitions(places: Sequence[Path]) -> Definitions:
    """Return the tasks, models and locked commits of several folders; the first definition counts.

    Raise InputError naming the file, key and value of a mistake.
    """
    locks = list(map(read_lock, places))
    datasets = ChainMap(*(lock.datasets for lock in locks))
    weights = ChainMap(*(lock.models for lock in locks))
    definitions = Definitions({}, {}, Lock(datasets=datasets, models=weights), {}, {})
    for kind, model, pattern in (("tasks", Task, TASK), ("models", Model, MODEL)):
        for place in places:
            for name, (path, entry) in _read(place / kind, model, pattern).items():
                definitions.add(kind, name, entry, path)
    tasks = definitions.tasks
    for name, task in tasks.items():
        for other in task.same_data:
            if other not in tasks:
                hint = nearest(other, tasks)
                place = f"{shown(definitions.files['tasks', name])}, {name}, same_data"
                raise InputError(f"{place}: unknown task {other!r}: {hint}")
    return definitions


def shown(path: Path) -> str:
    """Return a path for a message: relative to the working directory if it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def read_lock(folder: Path) -> Lock:
    """Return the lock file of a folder of definitions; without a file, an empty one."""
    path = folder / LOCK
    if not path.exists():
        return Lock()
    return validate(Lock, read_yaml(path, "`datasets` and `models`"), str(path))


def assemble(
    study: Mapping[str, Any], definitions: Definitions, where: str = "study", locked: bool = True
) -> Project:
    """Return the project of a study's values.

    Tasks have the splits of the study's source. If `locked`, repositories without a commit have
    that of the lock file.
    """
    place = places(study, definitions, where)
    values = respelled(study, definitions.tasks, definitions.models)
    validated = validate(Study, values, lambda key: place(("study", *key)))
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
    return validate(Project, {"study": validated, "tasks": tasks, "models": models}, place)


def places(study: Mapping[str, Any], definitions: Definitions, where: str = "study") -> Place:
    """Return the function from a key of a project to the file or option that states it."""

    def place(key: Key) -> str:
        if key[:2] in definitions.files:
            return shown(definitions.files[key[:2]])
        return study.place(key[1:]) if isinstance(study, StudyValues) else where

    return place


class StudyValues(dict):
    """Values of a study, and the files and options that state them."""

    def __init__(self, layers: Sequence[tuple[str, Mapping[str, Any]]]):
        merged: Mapping[str, Any] = {}
        for _, values in layers:
            merged = _merged(merged, values)
        super().__init__(merged)
        self.layers = layers

    def place(self, key: Key) -> str:
        """Return the file or option whose value a key has; for a missing key, the last file."""
        for depth in range(len(key), 0, -1):
            for name, values in reversed(self.layers):
                if _has(values, key[:depth]):
                    return name
        return next((name for name, _ in reversed(self.layers) if name != OPTION), OPTION)


def _has(values: Any, key: Key) -> bool:
    for part in key:
        is_index = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if not is_index and not (isinstance(values, Mapping) and part in values):
            return False
        values = values[part]
    return True


def read_study(files: Sequence[Path], changes: Mapping[str, Any] | None = None) -> StudyValues:
    """Return the values of a study: its files merged in order, then `changes`.

    Keys of nested mappings are merged too; of two values, the later one counts.
    """
    layers = [(str(path), read_yaml(path)) for path in files]
    return StudyValues([*layers, (OPTION, changes)] if changes else layers)


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def load(path: Path) -> Project:
    """Return the project of a study's YAML file, or of a run's snapshot."""
    if path.suffix == ".json":
        text = read_text(path)
        try:
            return validate(Project, decode_json(text, finite=True), str(path))
        except (ValueError, InputError) as error:
            place = "" if isinstance(error, InputError) else f"{path}: "
            raise InputError(f"{place}{error}\n{_SNAPSHOT.format(path=path)}") from None
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
