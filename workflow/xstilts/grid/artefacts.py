"""Artefacts: what the phases leave, and what determines each.

Download ─▶ Dataset ─┬─▶ Checkpoint (init) ─▶ Checkpoint (a step) ─▶ … ─▶ Predictions ─▶ Score
                     └──── training data ──────────┘                        gold data ────┘
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from xstilts.config.origins import FilesSplit, Hub, HubSplit, Init, LabSplit
from xstilts.config.settings import Train
from xstilts.identity import Identity
from xstilts.recipe import Size
from xstilts.store import MANIFEST

# training settings that stay with each task of a step with several
PART_SETTINGS = {"epochs", "examples_cap", "language_temperature", "mask_rate"}


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

    @property
    def files(self) -> list[str]:
        """What is there when the artefact is whole."""
        return [f"{self.path}/{MANIFEST}"]

    @property
    def inputs(self) -> tuple["Artefact", ...]:
        """What it is made from."""
        return ()

    @property
    def made_with(self) -> str:
        """What one job makes together: alone, by its id, unless a kind says otherwise."""
        return self.id


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

    @property
    def made_with(self) -> str:
        """One job downloads all splits of a task."""
        return f"fetch {self.task}"


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
        spec = self.spec.model_dump(exclude_defaults=True, exclude={"rows", "pairs", "branch"})
        raw = list(self.raw)
        if self.raw:
            del spec["path"]  # the content of the files identifies them, wherever they lie
        if self.download:
            raw = [self.download.identity.digest]
        content = {"language": self.language, "spec": spec, "raw": raw}
        return Identity("prepare", f"{self.task}.{self.language}.{self.split}", content)

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """What it is made from."""
        return (self.download,) if self.download else ()

    @property
    def made_with(self) -> str:
        """One job prepares all languages and splits of a task."""
        return f"prepare {self.task}"


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
    settings: Train  # PART_SETTINGS are the part's; the rest is the step's

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
            content = self.origin.model_dump(
                exclude_defaults=True, exclude={"tokenizer": {"task"}, "branch": True}
            )
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

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """What it is made from."""
        return (*([self.parent] if self.parent else []), *self.datasets)

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
    head: Checkpoint | None = None  # has the head, where a later step dropped it

    @property
    def candidates(self) -> Dataset | None:
        """What the questions of all languages rank, where that is a data set of its own."""
        return next((d for d in self.datasets if d.split == "candidates"), None)

    @property
    def predicted(self) -> tuple[Dataset, ...]:
        """The data sets that have predictions."""
        return tuple(dataset for dataset in self.datasets if dataset is not self.candidates)

    @property
    def scored(self) -> tuple[Dataset, ...]:
        """The data sets that the score is of, one per language: test data if there are any."""
        tests = tuple(dataset for dataset in self.datasets if dataset.split == "test")
        return tests or self.datasets

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """What makes them: the checkpoint, and another's head."""
        return (self.checkpoint, self.head) if self.head else (self.checkpoint,)

    def tuning(self, test: Dataset) -> Dataset | None:
        """The data set that a threshold for `test` is tuned on, if predictions have one."""
        if self.settings.retrieval != "margin":
            return None
        wanted = (test.language, "validation")
        return next(d for d in self.datasets if (d.language, d.split) == wanted)

    @property
    def validation(self) -> Dataset | None:
        """The source language's validation data, unless a threshold is tuned on that split."""
        if self.settings.retrieval == "margin":
            return None
        return next((d for d in self.datasets if d.split == "validation"), None)

    @cached_property
    def identity(self) -> Identity:
        """What determines the content."""
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

    def file(self, dataset: Dataset) -> str:
        """One language's predictions; the data's digest is in the name, so a language can join."""
        return f"{self.path}/{prediction_file(dataset)}"

    @property
    def files(self) -> list[str]:
        """A file of each language and split."""
        return [self.file(dataset) for dataset in self.predicted]

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """What it is made from."""
        return (*self.checkpoints, *self.datasets)


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
    examples_pattern = "results/scores/{id}.parquet"  # beside it, of the main metric

    cell: Cell
    predictions: Predictions
    metrics: tuple[str, ...]
    source_language: str

    @property
    def examples_path(self) -> str:
        """The file of what the main metric adds up, example by example."""
        return self.examples_pattern.format(id=self.id)

    @property
    def files(self) -> list[str]:
        """Both files, the score last: it is there when both are."""
        return [self.examples_path, self.path]

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

    @property
    def inputs(self) -> tuple[Artefact, ...]:
        """What it is made from."""
        return (self.predictions, *self.predictions.datasets)


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
