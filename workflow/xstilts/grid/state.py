"""Which artefacts of a study exist, and which are still missing.

The Snakefile, `status`, `why` and `gc` all start here.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.config.origins import FilesSplit, HubSplit
from xstilts.config.project import LOCK, Project, assemble, load, used
from xstilts.grid import raw_files
from xstilts.grid.artefacts import Artefact, Cell, Dataset, Predictions
from xstilts.grid.grid import Grid
from xstilts.store import locks

RESULTS = Path("results")
RAW_MEMORY = RESULTS / "scratch" / "raw.json"
# read when the libraries are imported
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def open_study(path: Path) -> tuple[Grid, list[str]]:
    """A study's grid, from its YAML file or a run's `study.json`, and notices of missing files."""
    project = load(path)
    return (Grid(project), []) if path.suffix == ".json" else _with_raw_files(project)


def open_values(study: Mapping[str, Any], definitions: Path) -> tuple[Grid, list[str]]:
    """As `open_study`, from a study's values (Snakemake has read and merged the files)."""
    return _with_raw_files(assemble(study, definitions))


def _with_raw_files(project: Project) -> tuple[Grid, list[str]]:
    needed = used(project, Grid(project).tasks())
    needed, notices = raw_files.fingerprint(needed, RAW_MEMORY)
    return Grid(needed), [*_hub_notices(needed), *notices]


def _hub_notices(project: Project) -> list[str]:
    """What of the Hub is not pinned, and what a study with `source: hub` reads from files."""
    splits = [(name, s) for name, task in project.tasks.items() for s in task.splits.values()]
    origins = [split for _, split in splits if isinstance(split, HubSplit)]
    origins += [model.hub for model in project.models.values() if model.hub]
    unpinned = sorted({origin.locked_name for origin in origins if not origin.revision})
    notices = []
    if unpinned:
        notices.append(
            f"not pinned: {', '.join(unpinned)}; before `fetch`, `xstilts pin --study …` writes "
            f"their commits to {LOCK}"
        )
    if project.study.source == "hub":
        local = dict.fromkeys(name for name, split in splits if isinstance(split, FilesSplit))
        if local:
            notices.append(
                f"not, or not whole, on the Hub: {', '.join(local)}; read from files below "
                f"{project.study.data}"
            )
    return notices


def use_this_installation(folder: Path) -> None:
    """Let jobs run the `python` that runs Snakemake, and the package that lies in `folder`.

    Without a network: `fetch` alone turns it on again.
    """
    os.environ |= OFFLINE
    here = {"PATH": Path(sys.executable).parent, "PYTHONPATH": folder / "workflow"}
    for name, first in here.items():
        others = os.environ.get(name, "").split(os.pathsep)
        kept = [path for path in others if path and path != str(first)]
        os.environ[name] = os.pathsep.join([str(first), *kept])


def missing(artefact: Artefact) -> str | None:
    """The last of an artefact's files that is not there; None if it is whole."""
    files = reversed(artefact.files)
    if not isinstance(artefact, Predictions):
        return next((path for path in files if not os.path.exists(path)), None)
    try:
        present = set(os.listdir(artefact.path))  # one look, however many languages
    except FileNotFoundError:
        present = set()
    return next((path for path in files if os.path.basename(path) not in present), None)


def is_done(artefact: Artefact) -> bool:
    """Whether an artefact is there, whole: its last file has been published."""
    return missing(artefact) is None


def loose_ends(artefacts: Iterable[Artefact]) -> list[Artefact]:
    """What is missing and is no input of another that is missing: to ask for these is enough."""
    absent = [artefact for artefact in artefacts if not is_done(artefact)]
    asked_for = {artefact for other in absent for artefact in other.inputs}
    return [artefact for artefact in absent if artefact not in asked_for]


def chain(grid: Grid, cell: Cell) -> list[Artefact]:
    """Everything that a cell needs, in the order in which it is made."""
    score = grid.score(cell)
    lineage = score.predictions.checkpoint.lineage()
    data: dict[str, Dataset] = {}
    for dataset in (*score.predictions.datasets, *(d for node in lineage for d in node.datasets)):
        data[dataset.id] = dataset
    downloads = {d.download.id: d.download for d in data.values() if d.download and not is_done(d)}
    return [*downloads.values(), *data.values(), *lineage, score.predictions, score]


def failure(artefact: Artefact) -> str | None:
    """The message of an artefact's last failed run, if no run has succeeded since."""
    path = store.failure_file(artefact.id)
    if is_done(artefact) or not path.exists():
        return None
    return path.read_text(encoding="utf-8").strip()


def unreferenced(grids: list[Grid]) -> list[Path]:
    """Files and folders of the store that none of the studies refers to."""
    wanted: set[Path] = {RAW_MEMORY}
    for grid in grids:
        found = grid.artefacts()
        for artefact in found.all():
            wanted |= {Path(artefact.path), store.SCRATCH / artefact.id}
            wanted |= {store.failure_file(artefact.id), locks.lock_file(artefact.id)}
        wanted |= {Path(path) for score in found.scores.values() for path in score.files}
        for predictions in found.predictions.values():
            wanted |= {Path(file) for file in predictions.files}
            wanted.add(Path(predictions.path) / store.ABOUT)
    folders = [RESULTS / name for name in ("hub", "data", "checkpoints", "predictions", "scores")]
    present = [path for folder in [*folders, store.SCRATCH] for path in folder.glob("*")]
    present += (RESULTS / "predictions").glob("*/*")
    stray = sorted(set(present) - wanted)
    return [path for path in stray if path.parent not in stray]
