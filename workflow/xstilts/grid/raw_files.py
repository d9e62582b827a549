"""The raw files of a study: which exist, and the hashes of their content.

Their content identifies the data; their place and modification times do not. An unchanged file is
read only once (see `store.verified`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from xstilts.config.origins import FilesSplit
from xstilts.config.project import Project
from xstilts.config.schema import Model, StudyTask, Task
from xstilts.errors import InputError
from xstilts.grid.artefacts import Dataset
from xstilts.grid.data import Data, raw_key
from xstilts.recipe import Part, parse
from xstilts.sources import archives, hub
from xstilts.sources import models as pretrained
from xstilts.sources.files import locate
from xstilts.store.files import stamp
from xstilts.store.paths import RAW_MEMORY
from xstilts.store.verified import remember, remembered


def fingerprint(project: Project, memory: Path) -> tuple[Project, list[str]]:
    """Return the project with the hashes of its raw files, and notices.

    With `languages: available`, languages, targets and recipes whose files are missing are left
    out, with a notice for each. `memory` is the file that remembers hashes. Raise InputError if no
    target is left, or a subset's list of ids is missing.
    """
    lists = {name: s.ids for name, s in project.study.subsets.items() if s.ids}
    splits = project.file_splits()
    local = {name: model for name, model in project.models.items() if model.local}
    if not (splits or lists or local):
        return project, []
    root = project.data_folder()
    known = remembered(memory)
    models = {name: _local_model(name, model, known) for name, model in local.items()}
    found: dict[str, list[str]] = {}
    notices = []
    for (own, name), split in splits.items():
        task, place = project.tasks[own], f"task {own!r}, splits.{name}"
        trained = [] if name == "test" else [task.source_language]
        files: dict[str, list[Path]] = {}
        for language in dict.fromkeys([*trained, *task.languages]):
            if paths := _located(split, root, language, place):
                found[raw_key(split, language)] = [_sha256(path, known) for path in paths]
                files[language] = paths
        notices += _copies(place, files, known)
    notices += [notice for entry in project.tasks.items() for notice in _leaks(*entry, found)]
    for name, path in lists.items():
        if not (root / path).is_file():
            raise InputError(f"subsets.{name}: no file {root / path}")
        found[path] = [_sha256(root / path, known)]
    remember(memory, known)
    changes = {"raw": found, "weights": {name: hashes for name, (_, hashes) in models.items()}}
    changes["models"] = project.models | {name: model for name, (model, _) in models.items()}
    project = project.model_copy(update=changes)
    if project.study.languages == "all":
        return project, notices
    project, left_out = _available(project)
    return project, [*notices, *left_out]


def _copies(
    place: str, files: Mapping[str, list[Path]], known: Mapping[str, list]
) -> Iterator[str]:
    """Yield a notice for each file of a language with the content of another language's file."""
    first: dict[str, tuple[str, Path]] = {}
    for language, paths in files.items():
        for path in paths:
            other, original = first.setdefault(known[str(path)][-1], (language, path))
            if other != language and original != path:
                yield (
                    f"{place}: {path} ({language}) has the content of {original} ({other}); "
                    "is one of them a copy by mistake?"
                )


def _leaks(name: str, task: Task, found: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield a notice if a task is trained on the rows that it is tested on."""
    train, test = task.splits.get("train"), task.splits.get("test")
    if not (isinstance(train, FilesSplit) and isinstance(test, FilesSplit)):
        return
    if train.model_copy(update={"path": test.path}) != test:
        return  # other rows of the same file, perhaps
    for language in dict.fromkeys([task.source_language, *task.languages]):
        hashes = [found.get(raw_key(split, language)) for split in (train, test)]
        if hashes[0] and hashes[0] == hashes[1]:
            yield (
                f"task {name!r}: splits train and test have the same rows in {language}; scores "
                "of examples that were trained on say nothing about others"
            )
            return


def _available(project: Project) -> tuple[Project, list[str]]:
    """Return the project without languages, targets and recipes whose files are missing.

    Also return a notice for each of them. Raise InputError if no target is left.
    """
    notices, entries = [], dict(project.study.tasks)
    targets, recipes = [], []
    for target in project.study.targets:
        languages, lacking = _available_languages(project, target)
        if lacking:
            what = "left out" if languages else "target left out"
            notices.append(f"{target}: no files {lacking}: {what}")
        if languages:
            targets.append(target)
            entry = entries.get(target, StudyTask())
            entries[target] = entry.model_copy(update={"languages": languages})
    if not targets:
        raise InputError(
            f"no target has its files below {project.data_folder()}: {'; '.join(notices)}"
        )
    entries_by_name = [{r: r} if isinstance(r, str) else r for r in project.study.recipes]
    for name, text in chain.from_iterable(entry.items() for entry in entries_by_name):
        found = (_missing_training_data(project, part) for part in parse(text).parts)
        if lacking := next(filter(None, found), None):
            notices.append(f"recipe {text}: no files {lacking}: left out")
        else:
            recipes.append(text if name == text else {name: text})
    orders = project.study.orders
    for part in [part for text in orders.tasks for part in parse(text).parts] if orders else []:
        if lacking := _missing_training_data(project, part):
            notices.append(f"orders: no files {lacking}: all orders left out")
            orders = None
    changes = {"tasks": entries, "targets": targets, "recipes": recipes, "orders": orders}
    study = project.study.model_copy(update=changes)
    return project.model_copy(update={"study": study}), notices


def _available_languages(project: Project, target: str) -> tuple[list[str], str | None]:
    """Return the languages that a target can be scored in, and which files are missing, if any."""
    splits = project.tasks[target].splits
    if "train" in splits and (lacking := _missing_training_data(project, Part(target))):
        return [], lacking
    names = (*project.tasks[target].predicted_splits(), "candidates")
    specs = [splits[name] for name in names if name in splits]
    wanted = Data(project).languages(target)
    missing = [c for c in wanted if not all(_has_files(project, spec, c) for spec in specs)]
    available = [code for code in wanted if code not in missing]
    return available, f"for {', '.join(missing)}" if missing else None


def _missing_training_data(project: Project, part: Part) -> str | None:
    """Path and language of the first of a part's training files that are missing."""
    task = project.tasks[part.task]
    for other in task.references("train") or [part.task]:
        spec = project.tasks[other].splits["train"]
        for language in task.languages_of(part):
            if not _has_files(project, spec, language):
                first = spec.path if isinstance(spec.path, str) else spec.path[0]
                return f"{first} for {language}"
    return None


def _local_model(name: str, model: Model, known: dict[str, list]) -> tuple[Model, dict[str, str]]:
    """Return a model with its numbers of weights, and the hashes of the files in its folder.

    Raise InputError for a folder that is no usable model.
    """
    try:
        folder = model.local.path
        where = f"local.folder {folder}"
        files = pretrained.local_files(folder, where)
        hashes = {file: _sha256(folder / file, known) for file in files}
        parameters, embeddings = pretrained.parameters(folder, files)
    except InputError as error:
        raise InputError(f"model {name!r}, {error}") from None
    stated = {
        "parameters": model.parameters or parameters,
        "embedding_parameters": model.embedding_parameters or embeddings,
    }
    return model.model_copy(update=stated), hashes


def _located(split: FilesSplit, root: Path, language: str, place: str) -> list[Path]:
    """Return the files of a split in a language.

    Raise InputError for a path that is not allowed, a damaged archive, and if the first row of a
    user's own file lacks a column of the split.
    """
    try:
        paths = locate(split.path, root, split.code(language))
        for path in paths if split.columns else ():
            hub.check_columns(split, path, language)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return paths


def check_present(datasets: Iterable[Dataset], root: Path) -> None:
    """Raise InputError if a user's own file, which the study needs, is missing."""
    for data in datasets:
        if isinstance(data.spec, FilesSplit) and data.spec.columns and not data.raw:
            raise InputError(
                f"task {data.task!r}, splits.{data.split}.path: no file {data.spec.path!r} for "
                f"language {data.language!r} below {root}; expected a path below the study's "
                "`data` folder"
            )


def _has_files(project: Project, spec: Any, language: str) -> bool:
    return not isinstance(spec, FilesSplit) or raw_key(spec, language) in project.raw


def _sha256(path: Path, known: dict[str, list]) -> str:
    """Return the hash of a raw file, which is read unless it is known."""
    now = stamp(archives.status(path))
    match known.get(str(path)):
        case [*before, str(sha256)] if before == now:
            return sha256
    known[str(path)] = [*now, archives.sha256(path)]
    return known[str(path)][-1]


def check_unchanged(paths: Collection[Path], expected: Iterable[str]) -> None:
    """Raise InputError if raw files are not those that the study was planned with.

    Their remembered hashes are then forgotten, so the next run reads the files again.
    """
    if [archives.sha256(path) for path in paths] != list(expected):
        names = [str(path) for path in paths]
        known = remembered(RAW_MEMORY)
        remember(RAW_MEMORY, {name: known[name] for name in known.keys() - {*names}})
        raise InputError(f"{', '.join(names)}: changed since the study was planned; run again")
