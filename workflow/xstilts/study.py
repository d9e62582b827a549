"""Expansion of a study: cells, and the tree of artefacts that they need.

Pure: nothing here reads or writes a file. `Grid` resolves one artefact at a time and remembers it,
so shared prefixes are one object, and a stage that runs one node resolves only its ancestors.

    Download ─▶ Dataset ─┬─▶ Checkpoint (init) ─▶ Checkpoint (a step) ─▶ … ─▶ Predictions ─▶ Score
                         └──── training data ──────────┘                        gold data ────┘
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pydantic import BaseModel

from xstilts.config import Init, Project, Task, Train, validate
from xstilts.errors import InputError
from xstilts.identity import Identity
from xstilts.origins import FilesSplit, Hub, HubSplit, LabSplit
from xstilts.recipe import NONE, Part, Recipe, Size, Step, parse
from xstilts.sources.languages import fill

# training settings that stay with each task of a step with several
PART_SETTINGS = {"epochs", "examples_cap", "mask_rate"}
# what of a split on the Hub says which files it is
_ORIGIN = ("repository", "revision", "config", "split", "files")


class Artefact:
    """What a phase leaves; its path is its identity."""

    path_pattern = ""  # with {id}
    identity: Identity

    @property
    def id(self) -> str:
        """Readable name and digest."""
        return self.identity.id

    @property
    def path(self) -> str:
        """File or folder, relative to the working directory."""
        return self.path_pattern.format(id=self.id)


@dataclass(frozen=True, eq=False)
class Download(Artefact):
    """The files of one split of a data set on the Hub, as they are there."""

    path_pattern = "results/hub/{id}"

    task: str
    origin: Mapping[str, str]  # keys of a HubSplit: which files; with the language filled in

    @cached_property
    def identity(self) -> Identity:
        """What determines the content."""
        name = f"{self.task}.{self.origin['config'] or 'default'}.{self.origin['split']}"
        return Identity("fetch", name, {key: text for key, text in self.origin.items() if text})


@dataclass(frozen=True, eq=False)
class Dataset(Artefact):
    """Canonical examples of one task in one language and split."""

    path_pattern = "results/data/{id}"

    task: str
    language: str
    split: str
    spec: LabSplit | FilesSplit | HubSplit
    raw: tuple[str, ...] = ()  # sha256 of the raw files
    download: Download | None = None

    @cached_property
    def identity(self) -> Identity:
        """What determines the content."""
        spec = self.spec.model_dump(exclude_defaults=True, exclude={"rows"})
        raw = list(self.raw)
        if self.raw:
            del spec["path"]  # the content of the files identifies them, wherever they lie
        if self.download:
            raw = [self.download.identity.digest]
        content = {"language": self.language, "spec": spec, "raw": raw}
        return Identity("prepare", f"{self.task}.{self.language}.{self.split}", content)


@dataclass(frozen=True, eq=False)
class TrainPart:
    """The training data of one task in a step, with how it is encoded."""

    name: str  # as written in the recipe
    task: str
    family: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    size: Size | None
    train: tuple[Dataset, ...]
    validation: Dataset | None
    encode: BaseModel
    settings: Train  # epochs, cap and mask rate are the part's; the rest is the step's

    def content(self, validated: bool) -> dict[str, Any]:
        """What of this part determines the trained weights."""
        validation = self.validation if validated else None
        return {
            "family": self.family,
            "task": self.task,  # parts of one task share a head
            "labels": list(self.labels),
            "size": str(self.size) if self.size else None,
            "train": [dataset.identity.digest for dataset in self.train],
            "validation": validation.identity.digest if validation else None,
            "metric": self.metrics[0] if validation and self.metrics else None,
            "encode": self.encode.model_dump(exclude_defaults=True),
            "settings": self.settings.model_dump(include=PART_SETTINGS, exclude_defaults=True),
        }


@dataclass(frozen=True, eq=False)
class Checkpoint(Artefact):
    """A node of the tree: weights, fine-tuned from the parent's, or initial when there is none."""

    path_pattern = "results/checkpoints/{id}"

    model: str
    chain: str
    seed: int
    parent: "Checkpoint | None"
    parts: tuple[TrainPart, ...] = ()
    settings: Train | None = None
    origin: Init | Hub | None = None
    texts: tuple[Dataset, ...] = ()  # what the tokenizer of an initial model is trained on

    @cached_property
    def identity(self) -> Identity:
        """What determines the content."""
        if self.parent is None:
            phase = "fetch" if isinstance(self.origin, Hub) else "initialise"
            content = self.origin.model_dump(exclude_defaults=True, exclude={"tokenizer": {"task"}})
            if content.get("tokenizer_class") == "AutoTokenizer":
                del content["tokenizer_class"]  # options at their default change no digest
            content["texts"] = [dataset.identity.digest for dataset in self.texts]
            return Identity(phase, f"{self.model}.{self.chain}", content)
        content = {
            "parent": self.parent.identity.digest,
            "seed": self.seed,
            "settings": self.settings.model_dump(exclude=PART_SETTINGS, exclude_defaults=True),
            "parts": [part.content(bool(self.settings.evaluate_every)) for part in self.parts],
        }
        return Identity("train", f"{self.model}.{self.chain}.s{self.seed}", content)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """All data that this step reads."""
        found = [*self.texts]
        for part in self.parts:
            found += part.train
            if part.validation and self.settings.evaluate_every:
                found.append(part.validation)
        return tuple(found)

    def lineage(self) -> list["Checkpoint"]:
        """From the initial model to this checkpoint."""
        return [*(self.parent.lineage() if self.parent else []), self]


@dataclass(frozen=True, eq=False)
class Predictions(Artefact):
    """A checkpoint's predictions for one target task: a file per language and split."""

    path_pattern = "results/predictions/{id}"

    checkpoint: Checkpoint
    target: str
    family: str
    encode: BaseModel
    settings: BaseModel
    datasets: tuple[Dataset, ...]

    @property
    def scored(self) -> tuple[Dataset, ...]:
        """The data sets that the score is of, one per language."""
        return tuple(dataset for dataset in self.datasets if dataset.split == "test")

    def tuning(self, test: Dataset) -> Dataset | None:
        """The data set that a threshold for `test` is tuned on, if predictions have one."""
        wanted = (test.language, "validation")
        found = (d for d in self.datasets if (d.language, d.split) == wanted)
        return next(found, None)

    @cached_property
    def identity(self) -> Identity:
        """What determines the content."""
        content = {
            "checkpoint": self.checkpoint.identity.digest,
            "family": self.family,
            "encode": self.encode.model_dump(exclude_defaults=True),
            "settings": self.settings.model_dump(exclude_defaults=True),
        }
        return Identity("predict", f"{self.checkpoint.identity.name}.{self.target}", content)

    def file(self, dataset: Dataset) -> str:
        """One language's predictions; the data's digest is in the name, so a language can join."""
        return f"{self.path}/{prediction_file(dataset)}"


def prediction_file(dataset: Dataset) -> str:
    """Name of a language's prediction file, the same under every checkpoint."""
    return f"{dataset.language}.{dataset.split}.{dataset.identity.digest}.jsonl"


@dataclass(frozen=True)
class Cell:
    """(model, recipe, target, seed); `recipe` is the short name."""

    model: str
    recipe: str
    target: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}.{self.recipe}.{self.target}.s{self.seed}"


@dataclass(frozen=True, eq=False)
class Score(Artefact):
    """A cell's score JSON."""

    path_pattern = "results/scores/{id}.json"

    cell: Cell
    predictions: Predictions
    metrics: tuple[str, ...]
    source_language: str

    @cached_property
    def identity(self) -> Identity:
        """What determines the content."""
        content = {
            "predictions": self.predictions.identity.digest,
            "data": [dataset.identity.digest for dataset in self.predictions.datasets],
            "metrics": list(self.metrics),
            "source_language": self.source_language,
            "cell": str(self.cell),
        }
        return Identity("score", str(self.cell), content)


class Grid:
    """A project's cells and artefacts, resolved on demand and each only once."""

    def __init__(self, project: Project):
        self.project = project
        self.study = project.study
        self.recipes = project.study.named_recipes()
        # bound caches: an artefact asked for twice is the same object, hashed once
        self.own_dataset = cache(self._own_dataset)
        self.part = cache(self._part)
        self.root = cache(self._root)
        self.step = cache(self._step)
        self.predictions = cache(self._predictions)
        self.score = cache(self._score)

    def cells(self) -> list[Cell]:
        """All cells in study order; a control runs under recipe `none` only."""
        study = self.study
        none = [name for name, recipe in self.recipes.items() if not recipe.steps]
        runs = [(model, list(self.recipes)) for model in study.models]
        runs += [(model, none) for model in study.controls]
        return [
            Cell(model, recipe, target, seed)
            for model, recipes in runs
            for recipe in recipes
            for target in study.targets
            for seed in study.seeds
        ]

    def scores(self) -> list[Score]:
        """The scores of all cells, in study order."""
        return [self.score(cell) for cell in self.cells()]

    def tasks(self) -> set[str]:
        """The tasks that the study uses, those included whose splits others refer to."""
        models = [*self.study.models, *self.study.controls]
        entries = [self.project.models[model] for model in models]
        recipes = [*self.recipes.values(), *(parse(entry.pretrain or NONE) for entry in entries)]
        names = {part.task for recipe in recipes for part in recipe.parts}
        names |= {*self.study.targets, *self.study.tasks}
        names |= {entry.init.tokenizer.task for entry in entries if entry.init}
        for task in [self._task(name) for name in names]:
            names.update(other for split in task.splits for other in task.references(split))
        return names

    def languages(self, task: str) -> list[str]:
        """The languages that the study scores a target task in."""
        entry = self.study.tasks.get(task)
        chosen = entry.languages if entry and entry.languages else None
        return list(chosen or self.project.tasks[task].languages)

    def dataset(self, task: str, language: str, split: str) -> Dataset:
        """The data of a split that is one data set."""
        [found] = self.datasets(task, language, split)
        return found

    def datasets(self, task: str, language: str, split: str) -> tuple[Dataset, ...]:
        """The data of a split; several where it is put together from other tasks'."""
        spec = self._task(task).splits.get(split)
        if spec is None:
            raise InputError(f"task {task!r} has no split {split!r}")
        if others := self._task(task).references(split):
            return tuple(self.dataset(other, language, split) for other in others)
        return (self.own_dataset(task, language, split),)

    def _own_dataset(self, task: str, language: str, split: str) -> Dataset:
        spec = self._task(task).splits[split]
        if isinstance(spec, HubSplit):
            origin = {key: fill(getattr(spec, key), language) for key in _ORIGIN}
            return Dataset(task, language, split, spec, download=Download(task, origin))
        raw = self.project.raw.get(raw_key(spec, language), ())
        return Dataset(task, language, split, spec, tuple(raw))

    def _task(self, name: str) -> Task:
        return self.project.tasks[name]

    def _part(self, part: Part, model: str) -> TrainPart:
        task = self._task(part.task)
        languages = [part.language or task.source_language]
        if task.family == "mask" and not part.language:
            languages = list(task.languages)
        validation = None
        if "validation" in task.splits:
            validation = self.dataset(part.task, task.source_language, "validation")
        return TrainPart(
            name=str(part),
            task=part.task,
            family=task.family,
            labels=tuple(task.labels),
            metrics=tuple(task.metrics),
            size=part.size,
            train=tuple(
                dataset
                for language in languages
                for dataset in self.datasets(part.task, language, "train")
            ),
            validation=validation,
            encode=self.project.settings("encode", part.task, model),
            settings=self.project.settings("train", part.task, model),
        )

    def _root(self, model: str) -> Checkpoint:
        """The pretrained model: from the Hub, or initialised and trained on its `pretrain`."""
        entry = self.project.models[model]
        if entry.hub:
            return Checkpoint(model, "hub", 0, None, origin=entry.hub)
        task = entry.init.tokenizer.task
        languages = self._task(task).languages
        texts = tuple(self.dataset(task, language, "train") for language in languages)
        root = Checkpoint(model, "init", entry.init.seed, None, origin=entry.init, texts=texts)
        for step in parse(entry.pretrain or NONE).steps:
            root = self._trained(model, f"pretrain-{step}", root, step, entry.init.seed)
        return root

    def _step(self, model: str, recipe: Recipe, seed: int) -> Checkpoint:
        """The checkpoint after a recipe's steps; the prefix is shared with other recipes."""
        if not recipe.steps:
            return self.root(model)
        parent = self.step(model, Recipe(recipe.steps[:-1]), seed)
        return self._trained(model, str(recipe), parent, recipe.steps[-1], seed)

    def _trained(
        self, model: str, chain: str, parent: Checkpoint, step: Step, seed: int
    ) -> Checkpoint:
        parts = tuple(self.part(part, model) for part in step.parts)
        settings = self._step_settings(str(step), parts)
        return Checkpoint(model, chain, seed, parent, parts, settings)

    def _step_settings(self, step: str, parts: tuple[TrainPart, ...]) -> Train:
        if len(parts) == 1:
            return parts[0].settings
        stated = self.study.multitask
        values = dict(stated)
        for key in Train.model_fields.keys() - stated.keys() - PART_SETTINGS:
            found = {getattr(part.settings, key) for part in parts}
            if len(found) > 1:
                told = ", ".join(f"{part.task} {getattr(part.settings, key)}" for part in parts)
                raise InputError(
                    f"recipe step {step!r}: its tasks differ in train.{key} ({told}); "
                    f"state multitask.{key} in the study"
                )
            values[key] = found.pop()
        return validate(Train, values, f"settings of recipe step {step!r}")

    def _predictions(self, model: str, recipe: Recipe, target: str, seed: int) -> Predictions:
        task = self._task(target)
        settings = self.project.settings("predict", target, model)
        if (settings.retrieval == "margin") != (task.predicted_splits() != ["test"]):
            raise InputError(
                f"task {target!r}: `predict.retrieval: margin` goes with a validation split, which "
                "its threshold is tuned on, and no training"
            )
        checkpoint = self.step(model, recipe, seed)
        if "train" in task.splits:
            step = Step((Part(target),))
            chain = "-".join(map(str, [*recipe.steps, step]))
            checkpoint = self._trained(model, chain, checkpoint, step, seed)
        return Predictions(
            checkpoint=checkpoint,
            target=target,
            family=task.family,
            encode=self.project.settings("encode", target, model),
            settings=settings,
            datasets=tuple(
                self.dataset(target, language, split)
                for language in self.languages(target)
                for split in task.predicted_splits()
            ),
        )

    def _score(self, cell: Cell) -> Score:
        predictions = self.predictions(
            cell.model, self.recipes[cell.recipe], cell.target, cell.seed
        )
        task = self._task(cell.target)
        return Score(cell, predictions, tuple(task.metrics), task.source_language)

    def artefacts(self) -> "Artefacts":
        """Everything that the study wants, each once."""
        found = Artefacts({}, {}, {}, {})
        for score in self.scores():
            found.scores[score.identity.id] = score
            predictions = score.predictions
            found.predictions[predictions.identity.id] = predictions
            for checkpoint in predictions.checkpoint.lineage():
                found.checkpoints[checkpoint.identity.id] = checkpoint
            for dataset in predictions.datasets:
                found.datasets[dataset.identity.id] = dataset
        for checkpoint in found.checkpoints.values():
            for dataset in checkpoint.datasets:
                found.datasets[dataset.identity.id] = dataset
        return found


@dataclass(frozen=True)
class Artefacts:
    """Every artefact of a study by its id."""

    datasets: dict[str, Dataset]
    checkpoints: dict[str, Checkpoint]
    predictions: dict[str, Predictions]
    scores: dict[str, Score]

    @cached_property
    def downloads(self) -> dict[str, Download | Checkpoint]:
        """What comes from the Hub: splits of data sets, and pretrained models."""
        splits = [data.download for data in self.datasets.values() if data.download]
        models = [node for node in self.checkpoints.values() if isinstance(node.origin, Hub)]
        return {artefact.id: artefact for artefact in (*splits, *models)}

    def all(self) -> list[Artefact]:
        """All of them, in the order of the phases."""
        return list(
            {
                **self.downloads,
                **self.datasets,
                **self.checkpoints,
                **self.predictions,
                **self.scores,
            }.values()
        )


def raw_key(spec: LabSplit | FilesSplit | HubSplit, language: str) -> str:
    """How a project lists the raw files of one language of a split; empty if it has none."""
    return f"{spec.path} {language}" if isinstance(spec, FilesSplit) else ""
