"""Costs of the existing artefacts, from Snakemake's benchmark files."""

import csv
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xstilts import store
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint, Dataset, Score, gpus_of
from xstilts.grid.base import Artefact

PHASES = ("fetch", "prepare", "initialise", "train", "merge", "predict", "score")
MEASURED = "measured"


@dataclass(frozen=True)
class Cost:
    """Cost of one artefact, and how it is known."""

    seconds: float
    gpus: int = 0
    disk: float = 0  # bytes of its files
    download: float = 0  # bytes
    source: str = MEASURED
    cells: int = 1  # processes that shared its GPU; `seconds` is then its share of their time

    @property
    def gpu_hours(self) -> float:
        """GPU hours; 0 if the model's `resources` need no GPU."""
        return self.seconds * self.gpus / 3600


@dataclass(frozen=True)
class Evidence:
    """Measurements in the results folder."""

    costs: Mapping[str, Cost] = field(default_factory=dict)  # by id of the artefact
    rows: Mapping[str, float] = field(default_factory=dict)  # by id of the prepared data set


@dataclass(frozen=True)
class Benchmark:
    """A benchmark file of Snakemake: the wall time of a job's last attempt.

    A job that shared its GPU has a column more: the number of processes, of whose time `seconds` is
    its share.
    """

    seconds: float
    cells: int = 1

    def text(self) -> str:
        """Return the content of the file."""
        return f"s\tcells_per_gpu\n{self.seconds:.4f}\t{self.cells}\n"

    @classmethod
    def read(cls, path: Path) -> "Benchmark | None":
        """Return the sum of a file's lines; None without a file. Raise InputError if damaged."""
        try:
            with open(path, encoding="utf-8", newline="") as file:
                lines = list(csv.DictReader(file, delimiter="\t"))
                seconds = [float(line["s"]) for line in lines]
                cells = max((int(line.get("cells_per_gpu") or 1) for line in lines), default=1)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):  # a decoding error is a ValueError, too
            seconds, cells = [], 1
        if cells < 1 or not seconds or not all(0 <= number < math.inf for number in seconds):
            raise InputError(
                f"{path}: damaged, not a benchmark file of Snakemake; delete it to ignore its job"
            )
        return cls(sum(seconds), cells)


def read(project: Project, artefacts: Iterable[Artefact]) -> Evidence:
    """Return the measured costs of the existing artefacts, and the rows of prepared data.

    The time of a job that makes several artefacts is divided evenly among them. A benchmark file
    has the last attempt only; a training's manifest has all. Raise InputError for a damaged file.
    """
    by_file: dict[Path, list[Artefact]] = defaultdict(list)
    for artefact in artefacts:
        if Path(artefact.path).exists():
            by_file[artefact.job.benchmark].append(artefact)
    costs, rows = {}, {}
    for path, together in by_file.items():
        benchmark = Benchmark.read(path)
        for artefact in together:
            if isinstance(artefact, Dataset) and is_complete(artefact):
                rows[artefact.id] = store.DatasetManifest.read(Path(artefact.path)).rows
            if benchmark:
                costs[artefact.id] = Cost(
                    max(benchmark.seconds / len(together), _all_attempts(artefact, benchmark)),
                    gpus_of(artefact, project),
                    size(artefact),
                    cells=benchmark.cells,
                )
    return Evidence(costs, rows)


def is_complete(artefact: Artefact) -> bool:
    """Whether a folder artefact has its manifest; also a released checkpoint."""
    return store.record_of(Path(artefact.path)).exists()


def _all_attempts(artefact: Artefact, benchmark: Benchmark) -> float:
    """Return the seconds in a training's manifest, which include interrupted attempts; else 0."""
    if not (isinstance(artefact, Checkpoint) and artefact.parts and is_complete(artefact)):
        return 0
    return store.Manifest.recorded(Path(artefact.path)).seconds / benchmark.cells


def size(artefact: Artefact) -> int:
    """Return the number of bytes of an artefact's files."""
    if isinstance(artefact, Score):
        return sum(os.stat(path).st_size for path in artefact.files if os.path.exists(path))
    return store.disk_bytes(Path(artefact.path).iterdir())
