"""Costs of the existing artefacts, from Snakemake's benchmark files."""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
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

    Files of this project have two columns more. `cells_per_gpu` is the number of processes that
    shared a GPU, of whose time `seconds` is a share. `after_training` is 1 for predictions of a
    training's job, whose own file has the time of both.
    """

    seconds: float
    cells: int = 1
    after_training: bool = False

    def write(self, path: Path) -> None:
        """Write the file, if that is possible: only the result of a job counts."""
        names = "s\tcells_per_gpu\tafter_training"
        line = f"{self.seconds:.4f}\t{self.cells}\t{self.after_training:d}"
        with suppress(OSError):
            store.write_text(path, f"{names}\n{line}\n")

    @classmethod
    def read(cls, path: Path) -> "Benchmark | None":
        """Return the sum of a file's lines; None without a file. Raise InputError if damaged."""
        try:
            with open(path, encoding="utf-8", newline="") as file:
                lines = list(csv.DictReader(file, delimiter="\t"))
                seconds = [float(line["s"]) for line in lines]
                cells = max((int(line.get("cells_per_gpu") or 1) for line in lines), default=1)
                after = any(line.get("after_training") == "1" for line in lines)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):  # a decoding error is a ValueError, too
            seconds, cells, after = [], 1, False
        if cells < 1 or not seconds or not all(0 <= number < math.inf for number in seconds):
            raise InputError(
                f"{path}: damaged, not a benchmark file of Snakemake; delete it to ignore its job"
            )
        return cls(sum(seconds), cells, after)


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
    benchmarks = {path: Benchmark.read(path) for path in by_file}
    predicting = _predicting(by_file, benchmarks)
    for path, together in by_file.items():
        benchmark = benchmarks[path]
        for artefact in together:
            if isinstance(artefact, Dataset) and _is_complete(artefact):
                rows[artefact.id] = store.DatasetManifest.read(Path(artefact.path)).rows
            if benchmark:
                seconds = (benchmark.seconds - predicting[artefact.id]) / len(together)
                costs[artefact.id] = Cost(
                    max(seconds, _all_attempts(artefact, benchmark), 0),
                    gpus_of(artefact, project),
                    size(artefact),
                    cells=benchmark.cells,
                )
    return Evidence(costs, rows)


def _predicting(
    by_file: Mapping[Path, Sequence[Artefact]], benchmarks: Mapping[Path, Benchmark | None]
) -> Counter[str]:
    """Return the seconds of predictions in the jobs of trainings, by the training's id."""
    seconds: Counter[str] = Counter()
    for path, benchmark in benchmarks.items():
        if benchmark and benchmark.after_training:
            seconds[by_file[path][0].checkpoint.id] += benchmark.seconds
    return seconds


def _is_complete(artefact: Artefact) -> bool:
    """Whether a folder artefact has its manifest; also a released checkpoint."""
    return store.record_of(Path(artefact.path)).exists()


def _all_attempts(artefact: Artefact, benchmark: Benchmark) -> float:
    """Return the seconds in a training's manifest, which include interrupted attempts; else 0."""
    if not (isinstance(artefact, Checkpoint) and artefact.parts and _is_complete(artefact)):
        return 0
    return store.Manifest.recorded(Path(artefact.path)).seconds / benchmark.cells


def size(artefact: Artefact) -> int:
    """Return the number of bytes of an artefact's files."""
    is_score = isinstance(artefact, Score)
    return store.disk_bytes(
        map(Path, artefact.files) if is_score else Path(artefact.path).iterdir()
    )
