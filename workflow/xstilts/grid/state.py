"""Opening a study, and which of its artefacts exist.

The Snakefile and the commands all start here.
"""

import fcntl
import os
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.config import DEFAULT_STUDY
from xstilts.config.origins import HubSplit
from xstilts.config.project import (
    LOCK,
    Project,
    assemble,
    folders,
    load,
    places,
    read_definitions,
    read_study,
    used,
)
from xstilts.errors import InputError
from xstilts.grid import raw_files
from xstilts.grid.artefacts import Checkpoint, Dataset, Predictions, Score
from xstilts.grid.base import Artefact
from xstilts.grid.grid import Grid
from xstilts.store import paths
from xstilts.store.records import Made

# the Hub's libraries read these when they are imported
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
_kept: dict[Path, Grid] = {}  # grids of snapshots, in the process that forks for each job


def open_study(path: Path, changes: Mapping[str, Any] | None = None) -> tuple[Grid, list[str]]:
    """Return a study's grid and notices, from its YAML file or a run's snapshot.

    `changes` override keys of a YAML file. Raise InputError for a mistake in the configuration.
    """
    if path.suffix == ".json":
        if changes:
            raise InputError(f"{path}: a run's snapshot cannot be changed; name the study's file")
        return _kept.get(path) or Grid(load(path)), []
    return open_values(read_study([path], changes), path)


def keep_snapshot(name: str) -> None:
    """Read a run's snapshot once for all forks of this process; a fork reports a mistake in it."""
    path = Path(name)
    if path.suffix == ".json" and path not in _kept:
        with suppress(InputError):
            _kept[path] = open_study(path)[0]
            _kept[path].shared()  # every job searches these artefacts first


def open_rules(
    files: Sequence[str], changes: Mapping[str, Any], module_config: Mapping[str, Any] | None
) -> tuple[Grid, list[str]]:
    """Return the grid and notices of the study that Snakemake runs.

    `files` are Snakemake's configuration files, `changes` the values of its option `--config`.
    A workflow that uses this one as a module passes the study's values as `module_config`.
    """
    paths = [Path(file) for file in files]
    # strictly: Snakemake itself accepts repeated keys
    values = read_study(paths, _with_nulls(changes))
    path = paths[-1] if paths else DEFAULT_STUDY
    return open_values(values if module_config is None else module_config, path)


def _with_nulls(value: Any) -> Any:
    """Return values of Snakemake's `--config`, which reads `null` as text."""
    if isinstance(value, Mapping):
        return {key: _with_nulls(entry) for key, entry in value.items()}
    return None if value in ("null", "~") else value


def open_values(study: Mapping[str, Any], path: Path) -> tuple[Grid, list[str]]:
    """Return a study's grid and notices, from the values of its file `path`."""
    definitions = read_definitions(folders(path))
    project = assemble(study, definitions, str(path))
    project.check_settings(places(study, definitions, str(path)))
    needed = used(project, Grid(project).tasks())
    needed, notices = raw_files.fingerprint(needed, paths.RAW_MEMORY)
    grid = Grid(needed)
    grid.check_rows_differ(places(study, definitions, str(path)))
    if any(split.columns for split in needed.file_splits().values()):
        raw_files.check_present(grid.shared().datasets.values(), needed.data_folder())
    return grid, [*definitions.notices(needed), *_hub_notices(needed), *notices]


def _hub_notices(project: Project) -> list[str]:
    """Return notices of repositories without a commit, and of tasks that are not on the Hub."""
    splits = [split for task in project.tasks.values() for split in task.splits.values()]
    origins = [split for split in splits if isinstance(split, HubSplit)]
    origins += [model.hub for model in project.models.values() if model.hub]
    unpinned = sorted({origin.locked_name for origin in origins if not origin.revision})
    notices = []
    if unpinned:
        notices.append(
            f"not pinned: {', '.join(unpinned)}; before `fetch`, `xstilts pin --study …` writes "
            f"their commits to {LOCK}"
        )
    local = dict.fromkeys(task for task, _ in project.file_splits())
    if project.study.source == "hub" and local:
        notices.append(
            f"not (completely) on the Hub: {', '.join(local)}; read from files below "
            f"{project.study.data}"
        )
    return notices


def use_this_installation() -> None:
    """Set the environment of jobs: this `python`, this package, and no network.

    Only `fetch` turns the network on again.
    """
    os.environ |= OFFLINE
    package = Path(__file__).parents[1]
    # Jobs of SLURM's plugin print their lines to this process's stderr, through /proc. If it is a
    # log file, both must append, or Snakemake's next line overwrites that of the other process.
    with suppress(OSError):
        fcntl.fcntl(2, fcntl.F_SETFL, fcntl.fcntl(2, fcntl.F_GETFL) | os.O_APPEND)
    os.environ["XSTILTS_TERMINAL"] = f"/proc/{os.getpid()}/fd/2"
    here = {"PATH": Path(sys.executable).parent, "PYTHONPATH": package.parent}
    for name, first in here.items():
        others = os.environ.get(name, "").split(os.pathsep)
        kept = [path for path in others if path and path != str(first)]
        os.environ[name] = os.pathsep.join([str(first), *kept])
    patient = str(package / "status" / "bin")  # stand-ins that wait where SLURM's commands fail
    if shutil.which("sbatch") and patient not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([patient, os.environ["PATH"]])


def missing(artefact: Artefact) -> str | None:
    """Return the last of an artefact's files that is missing; None if it is complete."""
    files = reversed(artefact.files)
    if not isinstance(artefact, Predictions):
        return next((path for path in files if not os.path.exists(path)), None)
    try:
        present = set(os.listdir(artefact.path))  # one call for all languages
    except (FileNotFoundError, NotADirectoryError):
        present = set()
    return next((path for path in files if os.path.basename(path) not in present), None)


def is_released(artefact: Artefact) -> bool:
    """Whether an artefact is a checkpoint whose weights were deleted on purpose."""
    return isinstance(artefact, Checkpoint) and store.is_released(Path(artefact.path))


def is_done(artefact: Artefact) -> bool:
    """Whether an artefact is complete, that is, its last file was published; or released."""
    return missing(artefact) is None or is_released(artefact)


def done(artefacts: Iterable[Artefact], known: Collection[str] = ()) -> set[str]:
    """Return the ids of the artefacts that no job has to make.

    A released checkpoint is not among them if a missing artefact needs its weights; the download of
    prepared data is. Artefacts whose ids are in `known` are not checked again.
    """
    artefacts = list(artefacts)
    complete = {a.id for a in artefacts if a.id in known or is_done(a)}
    for artefact in artefacts:
        if artefact.id not in complete:
            complete -= {node.id for node in _released_above(artefact)}
        elif isinstance(artefact, Dataset) and artefact.download:
            complete.add(artefact.download.id)
    return complete


def _released_above(artefact: Artefact) -> Iterator[Artefact]:
    """Yield the released checkpoints that must be trained again to make an artefact."""
    for node in artefact.inputs:
        if is_released(node):
            yield node
            yield from _released_above(node)


def mixed_versions(artefacts: Iterable[Artefact]) -> str:
    """Return a warning if different library versions trained or scored; empty if not.

    The version of xstilts does not count: a change of results gets a new identity.
    """
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for artefact in artefacts:
        if isinstance(artefact, Checkpoint | Score):
            path = Path(artefact.path)
            manifest = path if isinstance(artefact, Score) else store.record_of(path)
            for name, version in _libraries(manifest).items():
                used[name][version] += 1
    mixed = [
        f"{name} " + ", ".join(f"{version} ({count:,})" for version, count in counts.most_common())
        for name, counts in used.items()
        if len(counts) > 1 and name != "xstilts"
    ]
    if not mixed:
        return ""
    return (
        f"Library versions differ between the steps of this study: {'; '.join(mixed)}. Differences "
        "between its results may come from the versions."
    )


def _libraries(manifest: Path) -> Mapping[str, str]:
    """Return the library versions that made an artefact."""
    try:
        made = Made.load(manifest, "")
    except InputError:  # missing, or damaged: reported by whatever needs it
        return {}
    return made.provenance.get("libraries", {})


def loose_ends(artefacts: Iterable[Artefact]) -> list[Artefact]:
    """Return missing artefacts that no other missing one needs; requesting these is enough."""
    absent = [artefact for artefact in artefacts if not is_done(artefact)]
    asked_for = {artefact for other in absent for artefact in other.inputs}
    return [artefact for artefact in absent if artefact not in asked_for]


def failure(artefact: Artefact) -> str | None:
    """Return the message of an artefact's last failed run, if it is still missing."""
    path = store.failure_file(artefact.id)
    if missing(artefact) is None or not path.exists():
        return None
    return path.read_text(encoding="utf-8").strip()
