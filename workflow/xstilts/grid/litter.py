"""Files of the results folder that nothing needs any more, and their removal."""

import shutil
import time
from pathlib import Path

from xstilts import store
from xstilts.config.project import load, study_files
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.grid.state import open_study
from xstilts.store import locks, paths

_DAY = 86400  # seconds
_WEEK = 7 * _DAY


def studies_in_use() -> tuple[list[Grid], list[str]]:
    """Return the studies whose results are kept, and notices of those that cannot be read.

    They are the YAML files in `config/`, and the snapshots of runs. Raise InputError for a damaged
    snapshot.
    """
    grids, notices = [Grid(load(path)) for path in paths.snapshots() if _is_in_use(path)], []
    for path in study_files():
        try:
            if "study" in read_yaml(path):
                grids.append(open_study(path)[0])
        except InputError as error:
            notices.append(f"{path} cannot be read, so its results may be listed: {error}")
    return grids, notices


def _is_in_use(snapshot: Path) -> bool:
    """Whether a run may still read a snapshot: the newest of its study, or one used today."""
    newest = paths.snapshots(snapshot.parent.name)[-1]
    return snapshot == newest or _age(snapshot) < _DAY


def remove_old_snapshots(current: Path) -> None:
    """Remove the snapshots of a study that no run uses any more, except `current`."""
    for path in paths.snapshots(current.parent.name):
        if path != current and not _is_in_use(path):
            path.unlink(missing_ok=True)
    for path in paths.shared_files():
        if _age(path) > _DAY:
            path.unlink(missing_ok=True)


def remove_litter() -> None:
    """Remove what killed jobs left behind.

    These are temporary files, resume states of complete artefacts, and weights whose release was
    interrupted.
    """
    for folder in (paths.SCRATCH, paths.ENCODINGS, *paths.FOLDERS):
        store.remove_temporaries(folder)
    for path in paths.SCRATCH.glob("*.queue.json"):  # of status/bin/squeue
        path.unlink(missing_ok=True)
    for folder in [path for path in paths.SCRATCH.glob("*") if path.is_dir()]:
        made = (place.format(id=folder.name) for place in (paths.HUB, paths.DATA, paths.CHECKPOINT))
        is_complete = any(Path(path, store.MANIFEST).exists() for path in made)
        if is_complete and not locks.is_live(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
    for record in Path(paths.CHECKPOINT.format(id="")).glob(f"*/{paths.RELEASED}"):
        if store.is_released(record.parent) and not locks.is_live(record.parent.name):
            store.CheckpointManifest.remove_weights(record.parent)


def unused(grids: list[Grid]) -> list[Path]:
    """Return files and folders of the results that may be deleted.

    None of the studies refers to them, no running job makes them, and they are older than a day.
    No job has read these token ids for a week.
    """
    snapshots = [path for path in paths.snapshots() if not _is_in_use(path)]
    found = [path for path in [*_unreferenced(grids), *snapshots] if not _is_needed(path)]
    return [*found, *(path for path in sorted(paths.ENCODINGS.glob("*.ids")) if _age(path) > _WEEK)]


def _age(path: Path) -> float:
    """Return the seconds since a file was last written or, if it holds token ids, read."""
    return time.time() - path.stat().st_mtime


def _is_needed(path: Path) -> bool:
    id = path.parent.name if path.suffix == ".jsonl" else path.name
    for ending in (".json", ".parquet", ".lock", ".failed", ".verified"):
        id = id.removesuffix(ending)
    newest = max(p.lstat().st_mtime for p in [path, *path.rglob("*")])
    return time.time() - newest < _DAY or locks.is_live(id)


def _unreferenced(grids: list[Grid]) -> list[Path]:
    """Return files and folders of the results that none of the studies refers to."""
    wanted: set[Path] = {paths.RAW_MEMORY}
    for grid in grids:
        found = grid.artefacts()
        for artefact in found.all():
            wanted |= {Path(artefact.path), store.SCRATCH / artefact.id}
            wanted |= {store.failure_file(artefact.id), store.lock_file(artefact.id)}
            wanted.add(paths.verified_file(artefact.id))
        wanted |= {Path(path) for score in found.scores.values() for path in score.files}
        for predictions in found.predictions.values():
            wanted |= {Path(file) for file in predictions.files}
            wanted.add(Path(predictions.path) / store.ABOUT)
    present = [path for folder in [*paths.FOLDERS, paths.SCRATCH] for path in folder.glob("*")]
    present += (paths.RESULTS / "predictions").glob("*/*")
    stray = sorted(set(present) - wanted)
    return [path for path in stray if path.parent not in stray]
