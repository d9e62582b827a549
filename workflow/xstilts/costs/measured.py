"""What the artefacts that are there have cost, by Snakemake's benchmark files."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xstilts import store
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.grid.artefacts import Artefact, Checkpoint, Dataset, Score, gpus_of

PHASES = ("fetch", "prepare", "initialise", "train", "predict", "score")
MEASURED = "measured"


@dataclass(frozen=True)
class Cost:
    """What one artefact costs, and how that is known."""

    seconds: float
    gpus: int = 0
    disk: float = 0  # bytes that it keeps
    download: float = 0  # bytes
    source: str = MEASURED

    @property
    def gpu_hours(self) -> float:
        """Hours of GPUs; none where the model's `resources` ask for none."""
        return self.seconds * self.gpus / 3600


@dataclass(frozen=True)
class Evidence:
    """What the results folder says about costs."""

    costs: Mapping[str, Cost] = field(default_factory=dict)  # of artefacts that have been made
    rows: Mapping[str, float] = field(default_factory=dict)  # of prepared data sets


def read(project: Project, artefacts: Iterable[Artefact]) -> Evidence:
    """The measured costs of the artefacts that are there, by id, and the rows of prepared data.

    A benchmark file of several artefacts, as of a task's data sets, is shared out evenly among
    those given. It tells of the last attempt only; a training's manifest tells of all.
    Raises InputError naming a damaged file.
    """
    by_file: dict[Path, list[Artefact]] = defaultdict(list)
    for artefact in artefacts:
        if Path(artefact.path).exists():
            by_file[artefact.job.benchmark].append(artefact)
    costs, rows = {}, {}
    for path, found in by_file.items():
        seconds = _seconds(path)
        for artefact in found:
            manifest = Path(artefact.path) / store.MANIFEST
            if isinstance(artefact, Dataset) and manifest.exists():
                rows[artefact.id] = store.read_json(manifest)["rows"]
            if seconds is not None:
                costs[artefact.id] = Cost(
                    max(seconds / len(found), _all_attempts(artefact, manifest)),
                    gpus_of(artefact, project),
                    size(artefact),
                )
    return Evidence(costs, rows)


def _seconds(path: Path) -> float | None:
    """Wall seconds in a benchmark file, the sum of its lines; None if there is no such file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            found = [float(line["s"]) for line in csv.DictReader(file, delimiter="\t")]
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError):  # a decoding error is a ValueError, too
        found = []
    if not found or not all(0 <= seconds < float("inf") for seconds in found):
        raise InputError(
            f"{path}: damaged, not a benchmark file of Snakemake; delete it to go without"
        )
    return sum(found)


def _all_attempts(artefact: Artefact, manifest: Path) -> float:
    """Seconds that a training states, with those before it was interrupted; else none."""
    if not (isinstance(artefact, Checkpoint) and artefact.parent and manifest.exists()):
        return 0
    return store.read_json(manifest).get("provenance", {}).get("seconds", 0)


def size(artefact: Artefact) -> int:
    """Bytes of an artefact's files."""
    if isinstance(artefact, Score):
        return sum(os.stat(path).st_size for path in artefact.files if os.path.exists(path))
    with os.scandir(artefact.path) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())
