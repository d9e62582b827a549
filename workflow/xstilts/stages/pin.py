"""pin: write the current commits of the repositories that a study needs to the lock file.

Commit the lock file to your Git repository: with it, a study uses the same data and models on
every machine and day. Commits in the lock file are kept unless `update` is set.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.hf_api import DatasetInfo, ModelInfo

from xstilts import store
from xstilts.config.origins import Hub, HubSplit
from xstilts.config.project import (
    LOCK,
    Project,
    assemble,
    folders,
    read_definitions,
    read_lock,
    read_study,
    used,
)
from xstilts.config.schema import Lock
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.sources import models
from xstilts.stages import fetch

log = logging.getLogger("xstilts")

_HEAD = (
    "# Written by `xstilts pin`: the commits of repositories for which no `revision` is stated.\n"
)


def run(study: Path, update: bool = False, changes: Mapping[str, Any] | None = None) -> Path:
    """Write the lock file next to the definitions of a study, and return its path.

    Raise InputError for unusable repositories, after the commits of all others are written.
    """
    if study.suffix == ".json":
        raise InputError(f"{study}: a run's copy of its study; expected the YAML file of the study")
    places = folders(study)
    folder = places[0]
    project = assemble(
        read_study([study], changes), read_definitions(places), str(study), locked=False
    )
    project = used(project, Grid(project).tasks())
    lock = read_lock(folder)
    problems = []
    for of, known, needed in (
        ("dataset", lock.datasets, _data(project)),
        ("model", lock.models, _models(project)),
    ):
        for name, origin in sorted(needed.items()):
            if name in known and not update:
                log.info(f"{of} {name}: {known[name]}, kept")
                continue
            with fetch.explained(of, origin.repository, origin.branch):
                commit, problem = _present(of, origin)
            if problem:
                problems.append(f"{of} {name}: {problem}")
                continue
            was = f", was {known[name]}" if known.get(name, commit) != commit else ""
            known[name] = commit
            log.info(f"{of} {name}: {commit}{was}")
    path = folder / LOCK
    store.write_text(path, _text(lock))
    if problems:
        raise InputError("\n".join(problems))
    return path


def _data(project: Project) -> dict[str, HubSplit]:
    splits = [split for task in project.tasks.values() for split in task.splits.values()]
    unstated = [split for split in splits if isinstance(split, HubSplit) and not split.revision]
    return {split.locked_name: split for split in unstated}


def _models(project: Project) -> dict[str, Hub]:
    origins = [model.hub for model in project.models.values() if model.hub]
    return {origin.locked_name: origin for origin in origins if not origin.revision}


def _present(of: str, origin: Hub) -> tuple[str, str]:
    """Return the commit of a branch, and the reason why it cannot be used, if there is one."""
    info = HfApi().repo_info(origin.repository, revision=origin.branch, repo_type=of)
    files = _files(info)
    usable = models.has_weights(files)
    if of == "model" and not usable and not (origin.convert and models.can_convert(files)):
        return "", f"{origin.branch} has no safetensors weights; {_converted(origin.repository)}"
    script = f"{origin.repository.rpartition('/')[2]}.py"
    if isinstance(origin, HubSplit) and not origin.files and script in files:
        return "", fetch.SCRIPT
    return info.sha, ""


def _files(info: DatasetInfo | ModelInfo) -> set[str]:
    return {sibling.rfilename for sibling in info.siblings or ()}


def _converted(repository: str) -> str:
    """Return advice: the pull request with converted weights, or how to convert them."""
    api = HfApi()
    refs = api.list_repo_refs(repository, include_pull_requests=True).pull_requests or []
    for ref in refs:
        if models.has_weights(_files(api.model_info(repository, revision=ref.ref))):
            return f"{ref.ref} has them: write `branch: {ref.ref}` in its entry"
    return f"nor does a pull request. {models.CONVERT_KEY}"


def _text(lock: Lock) -> str:
    """Return the lock file's text, sorted; quoted, since YAML reads some commits as numbers."""
    lines = [_HEAD]
    for key, commits in (("datasets", lock.datasets), ("models", lock.models)):
        if commits:
            lines.append(f"{key}:\n")
            lines += [f'  {name}: "{commit}"\n' for name, commit in sorted(commits.items())]
    return "".join(lines) if len(lines) > 1 else f"{_HEAD}{{}}\n"
