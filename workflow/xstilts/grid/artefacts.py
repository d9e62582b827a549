"""Artefacts: the results of the phases, and what determines each of them.

Download ─▶ Dataset ─┬─▶ Checkpoint (init) ─▶ Checkpoint (a step) ─▶ … ─▶ Predictions ─▶ Score
                     └──── training data ──────────┘                        gold data ────┘

A merge has several parents: the checkpoints that it merges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from xstilts.config.origins import FilesSplit, Hub, HubSplit, Init, LabSplit, Local
from xstilts.config.project import Project
from xstilts.config.resources import Demand, Site
from xstilts.config.settings import Train
from xstilts.families import family
from xstilts.grid.base import Artefact, Job
from xstilts.identity import READERS, Identity
from xstilts.recipe import Size
from xstilts.sources.files import without_defaults
from xstilts.store import paths

# training settings that each task of a multi-task step keeps for itself
PART_SETTINGS = {"epochs", "examples_cap", "language_temperature", "mask_rate"}


@dataclass(frozen=True, eq=False)
class Download(Artefact):
    """The files of one split of a data set, unchanged from the Hub."""

    path_pattern = paths.HUB

    task: str
    origin: Mapping[str, str]  # keys of a HubSplit that select files; the language is filled in

    @cached_property
    def identity(self) -> Identity:
        """Identity: everything that determines the content."""
        name = f"{self.task}.{self.origin['config'] or 'default'}.{self.origin['split']}"
        return Identity("fetch", name, {key: text for key, text in self.origin.items() if text})

    @property
    def job(self) -> Job:
        """One job downloads all splits of a task."""
        return Job("fetch", f"fetch_data_{self.task}", self.task)


@dataclass(frozen=True, eq=False)
class Dataset(Artefact):
    """Canonical examples of one task in one language and split."""

    path_pattern = paths.DATA

    task: str
    language: str
    split: str
    spec: LabSplit | FilesSplit | HubSplit
    raw: tuple[str, ...] = ()  # sha256 of the raw files
    download: Download | None = None

    @cached_property
    def identity(self) -> Identity:
        """Identity: everything that determines the content."""
        not_content = {"rows", "pairs", "branch", "codes"}  # checks, and names of what is read
        spec = self.spec.model_dump(exclude_defaults=True, exclude=not_content)
        if options := spec.pop("options", {}):
            stated = without_defaults(self.spec.format, options)
            spec |= {"options": stated} if stated else {}
        raw = list(self.raw)
        if code := getattr(self.spec, "codes", {}).get(self.language):
            spec["code"] = code  # may be part of a column's name
        if self.raw:
            del spec["path"]  # the content of the files identifies them, not their place
        if self.download:
            raw = [self.download.identity.digest]
        content = {"language": self.language, "spec": spec, "raw": raw}
        if version := READERS.get(getattr(self.spec, "format", "")):
            content["reader"] = version
        return Identity("prepare", f"{self.task}.{self.language}.{self.split}", content)

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """Artefacts that this one is made from."""
        return (self.download,) if self.download else ()

    @property
    def job(self) -> Job:
        """One job prepares all languages and splits of a task."""
        return Job("prepare", f"prepare_{self.task}", self.task)


@dataclass(frozen=True, eq=False)
class TrainPart:
    """The training data of one task in a step, and their encoding."""

    name: str  # as written in the recipe
    task: str
    family: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    size: Size | None
    train: tuple[Dataset, ...]
    validation: Dataset | None
    encode: BaseModel
    settings: Train  # PART_SETTINGS apply to the part, the others to the step

    def content(self, validated: bool) -> dict[str, Any]:
        """Return the properties of this part that determine the trained weights.

        The name of its task does not: two targets with equal data and settings share a training.
        """
        validation = self.validation if validated else None
        version = family(self.family).VERSION
        return {
            "family": self.family,
            **({"version": version} if version > 1 else {}),
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
    """A node of the tree: initial weights, or weights that were fine-tuned or merged.

    A training begins with the weights of `parent`, and an initial model has none. A merge has the
    parent of all trainings that it merges.
    """

    path_pattern = paths.CHECKPOINT

    model: str
    chain: str
    seed: int
    parent: "Checkpoint | None"
    parts: tuple[TrainPart, ...] = ()
    settings: Train | None = None
    origin: Init | Hub | Local | None = None
    raw: Mapping[str, str] = field(default_factory=dict)  # sha256 of a local model's files, by name
    texts: tuple[Dataset, ...] = ()  # training text of the tokenizer of an initial model
    merged: tuple["Checkpoint", ...] = ()  # the trainings that a merge combines
    scale: float | None = None  # of their task vectors; None: the mean of their weights

    @cached_property
    def identity(self) -> Identity:
        """Identity: everything that determines the content."""
        if self.parent is None:
            phase = "fetch" if isinstance(self.origin, Hub) else "initialise"
            content = self.origin.model_dump(
                exclude_defaults=True,
                # the content of a folder identifies it, not its place
                exclude={"tokenizer": {"task"}, "branch": True, "folder": True},
            )
            if "architecture" in content:
                content["architecture"] = _whole(content["architecture"])
            content["texts"] = [dataset.identity.digest for dataset in self.texts]
            if self.raw:
                content["raw"] = dict(self.raw)
            return Identity(phase, f"{self.model}.{self.chain}", content)
        name = f"{self.model}.{self.chain}.s{self.seed}"
        if self.merged:
            content = {"merged": [node.identity.digest for node in self.merged]}
            if self.scale is not None:
                content |= {"parent": self.parent.identity.digest, "scale": self.scale}
            return Identity("merge", f"{name}.merge", content)
        content = {
            "parent": self.parent.identity.digest,
            "seed": self.seed,
            "settings": self.settings.model_dump(exclude=PART_SETTINGS, exclude_defaults=True),
            "parts": [part.content(bool(self.settings.evaluate_every)) for part in self.parts],
        }
        if len(self.parts) > 1:  # parts of one task share a head
            tasks = [part.task for part in self.parts]
            content["heads"] = [tasks.index(task) for task in tasks]
        return Identity("train", name, content)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """All data that this step reads."""
        found = [*self.texts]
        for part in self.parts:
            found += part.train
            if part.validation and self.settings.evaluate_every:
                found.append(part.validation)
        return tuple(found)

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """Artefacts that this one is made from."""
        is_mean = self.merged and self.scale is None  # its parent's weights cancel out
        parents = [self.parent] if self.parent and not is_mean else []
        return (*parents, *self.merged, *self.datasets)

    def lineage(self) -> list["Checkpoint"]:
        """Return all checkpoints from the initial model to this one, parents first."""
        before = self.merged or ([self.parent] if self.parent else [])
        nodes = {node.id: node for parent in before for node in parent.lineage()}
        return [*nodes.values(), self]


@dataclass(frozen=True, eq=False)
class Predictions(Artefact):
    """A checkpoint's predictions for one target task: a file per language and split."""

    path_pattern = paths.PREDICTIONS

    checkpoint: Checkpoint
    target: str
    family: str
    encode: BaseModel
    settings: BaseModel
    datasets: tuple[Dataset, ...]
    head: Checkpoint | None = None  # the checkpoint with the head, if a later step dropped it

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.checkpoint.model

    @property
    def candidates(self) -> Dataset | None:
        """Data set that the questions of all languages rank, if it is a split of its own."""
        return next((d for d in self.datasets if d.split == "candidates"), None)

    @property
    def predicted(self) -> tuple[Dataset, ...]:
        """Data sets that have predictions."""
        candidates = self.candidates
        return tuple(dataset for dataset in self.datasets if dataset is not candidates)

    @property
    def scored(self) -> tuple[Dataset, ...]:
        """Data sets that are scored, one per language: the test data, if any."""
        tests = tuple(dataset for dataset in self.datasets if dataset.split == "test")
        return tests or self.datasets

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Checkpoints that predict: the encoder's, and the head's if it is another."""
        return (self.checkpoint, self.head) if self.head else (self.checkpoint,)

    def tuning(self, test: Dataset) -> Dataset | None:
        """Return the data set that the threshold for `test` is tuned on, if there is one."""
        if self.settings.retrieval != "margin":
            return None
        wanted = (test.language, "validation")
        return next(d for d in self.datasets if (d.language, d.split) == wanted)

    @property
    def validation(self) -> Dataset | None:
        """Validation data of the source language, unless a threshold is tuned on that split."""
        if self.settings.retrieval == "margin":
            return None
        return next((d for d in self.datasets if d.split == "validation"), None)

    @cached_property
    def identity(self) -> Identity:
        """Identity: everything that determines the content."""
        content = {
            "checkpoint": self.checkpoint.identity.digest,
            "family": self.family,
            "encode": self.encode.model_dump(exclude_defaults=True),
            "settings": self.settings.model_dump(exclude_defaults=True),
        }
        if self.head:
            content["head"] = self.head.identity.digest
        if self.candidates:
            content["candidates"] = self.candidates.identity.digest
        return Identity("predict", f"{self.checkpoint.identity.name}.{self.target}", content)

    @property
    def job(self) -> Job:
        """One job predicts all languages; there is a rule for each target."""
        return Job("predict", f"predict_{self.target}", self.id)

    def file(self, dataset: Dataset) -> str:
        """Return the path of one language's predictions.

        Its name is equal for all checkpoints, and has the data's digest: a language can be added
        later.
        """
        name = f"{dataset.language}.{dataset.split}.{dataset.identity.digest}.jsonl"
        return f"{self.path}/{name}"

    @property
    def files(self) -> list[str]:
        """One file for each language and split."""
        return [self.file(dataset) for dataset in self.predicted]

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """Artefacts that this one is made from."""
        return (*self.checkpoints, *self.datasets)


@dataclass(frozen=True)
class Cell:
    """A cell of a study; `recipe` is the short name of the recipe."""

    model: str
    recipe: str
    target: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}.{self.recipe}.{self.target}.s{self.seed}"


@dataclass(frozen=True, eq=False)
class Score(Artefact):
    """The score file of a cell."""

    path_pattern = paths.SCORE

    cell: Cell
    predictions: Predictions
    metrics: tuple[str, ...]
    source_language: str

    @property
    def examples_path(self) -> str:
        """Path of the table with each example's terms of the main metric."""
        return paths.SCORE_EXAMPLES.format(id=self.id)

    @property
    def files(self) -> list[str]:
        """Table of examples and score file; the score file is written last: then both exist."""
        return [self.examples_path, self.path]

    @cached_property
    def identity(self) -> Identity:
        """Identity: everything that determines the content."""
        content = {
            "predictions": self.predictions.identity.digest,
            "data": [dataset.identity.digest for dataset in self.predictions.datasets],
            "metrics": list(self.metrics),
            "source_language": self.source_language,
            "cell": str(self.cell),
        }
        return Identity("score", str(self.cell), content)

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """Artefacts that this one is made from."""
        return (self.predictions, *self.predictions.datasets)


def _whole(value: Any) -> Any:
    """Return a value of the configuration with 0 for 0.0: two spellings of one number."""
    if isinstance(value, Mapping):
        return {key: _whole(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def gpus_of(artefact: Artefact, project: Project) -> int:
    """Number of GPUs that the job of an artefact requests."""
    phase = artefact.identity.phase
    if phase not in ("train", "predict"):
        return 0
    return Demand(phase, project.models[artefact.model].resources, Site()).amount("gpu")


def cells_of(artefact: Artefact, project: Project) -> int:
    """Number of trainings, or of predictions, that share the GPU of the job of an artefact."""
    shares = gpus_of(artefact, project) == 1
    return project.models[artefact.model].resources.cells_per_gpu if shares else 1


@dataclass(frozen=True)
class Artefacts:
    """Every artefact of a study by its id."""

    datasets: dict[str, Dataset]
    checkpoints: dict[str, Checkpoint]
    predictions: dict[str, Predictions]
    scores: dict[str, Score]

    @cached_property
    def downloads(self) -> dict[str, Download | Checkpoint]:
        """Artefacts from the Hub: splits of data sets, and pretrained models."""
        splits = [data.download for data in self.datasets.values() if data.download]
        models = [node for node in self.checkpoints.values() if isinstance(node.origin, Hub)]
        return {artefact.id: artefact for artefact in (*splits, *models)}

    def all(self) -> list[Artefact]:
        """Return all artefacts, in the order of the phases."""
        shared = self.downloads | self.datasets | self.checkpoints
        return list((shared | self.predictions | self.scores).values())
