"""The score file of one cell: its schema, written by `score` and read by everything after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.identity import canonical, text_sha256
from xstilts.store.records import Provenance, Record

Percentage = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Metrics = dict[str, Percentage]


class Language(Record):
    """The scores of one language, in percent."""

    n: Annotated[int, Field(ge=0, description="Number of examples.")]
    metrics: Metrics
    class_f1: Metrics | None = Field(None, description="F1 of each label, with metric macro_f1.")
    majority: Metrics | None = Field(None, description="Score of the most frequent label.")
    threshold: float | None = Field(None, description="Tuned on validation data, if the task is.")


class Validation(Record):
    """The scores on the validation split of the source language, for choosing a recipe."""

    language: str
    n: int
    metrics: Metrics


class ScoreFile(Record):
    """The content of a score file; the order of the fields is their order in the file."""

    version: Literal[1] = Field(alias="schema")
    name: str = Field(alias="cell")
    model: str
    recipe: str
    target: str
    seed: int
    source_language: str | None
    main_metric: str
    languages: Annotated[dict[str, Language], Field(min_length=1)]
    validation: Validation | None = None
    averages: dict[Literal["avg", "zero_shot"], Metrics]
    degenerate: bool
    provenance: Provenance
    sha256: str | None = Field(None, description="Of the canonical JSON of the other keys.")

    @model_validator(mode="after")
    def _has_main_metric(self) -> Self:
        if "avg" not in self.averages:
            raise ValueError("key 'averages' lacks 'avg'")
        groups = {f"languages.{x}.metrics": entry.metrics for x, entry in self.languages.items()}
        groups |= {f"averages.{x}": metrics for x, metrics in self.averages.items()}
        for name, metrics in groups.items():
            if self.main_metric not in metrics:
                raise ValueError(f"key {name!r} lacks the main metric {self.main_metric!r}")
        return self

    @property
    def cell(self) -> Cell:
        """The cell of the study."""
        return Cell(self.model, self.recipe, self.target, self.seed)

    @property
    def headline(self) -> float:
        """The main metric's zero-shot average; over all languages if there is no other one."""
        return self.averages.get("zero_shot", self.averages["avg"])[self.main_metric]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a score file. Raise InputError naming the file, the key and the remedy."""
        remedy = "delete it and run the workflow again"
        score = cls.load(path, remedy)
        if score.sha256 not in (None, score._sha256()):
            raise InputError(f"{path}: changed since it was written; {remedy}")
        return score

    def write(self, path: Path) -> None:
        """Write the file atomically, with its hash; keys that were not given are left out."""
        content = self.model_dump(by_alias=True, exclude_unset=True)
        store.write_json(path, content | {"sha256": self._sha256()})

    def _sha256(self) -> str:
        content = self.model_dump(by_alias=True, exclude_unset=True, exclude={"sha256"})
        return text_sha256(canonical(content))


def averages(languages: Mapping[str, Language], source: str) -> dict[str, dict[str, float]]:
    """Return unweighted means: over all languages, as XTREME does, and without the source."""
    groups = {"avg": list(languages), "zero_shot": [code for code in languages if code != source]}
    return {
        name: {
            metric: sum(languages[code].metrics[metric] for code in codes) / len(codes)
            for metric in languages[codes[0]].metrics
        }
        for name, codes in groups.items()
        if codes
    }
