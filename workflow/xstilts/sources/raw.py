"""The raw files of a study: which there are, and their content's hashes.

The content of raw files identifies the data, wherever they lie and whenever they were touched.
Hashes are remembered by size and modification time, so an unchanged file is read once only.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from xstilts.config import Project, StudyTask
from xstilts.errors import InputError
from xstilts.identity import file_sha256
from xstilts.origins import FilesSplit
from xstilts.sources.files import locate
from xstilts.store import write_text
from xstilts.study import raw_key


def fingerprint(project: Project, memory: Path) -> tuple[Project, list[str]]:
    """The project with the hashes of its raw files, and a notice for each thing that is missing.

    With `languages: available`, targets keep the languages whose test files are there. `memory`
    is the file that remembers hashes. Raises InputError if a target has no language left.
    """
    splits = [
        (split, [*([] if name == "test" else [task.source_language]), *task.languages])
        for task in project.tasks.values()
        for name, split in task.splits.items()
        if isinstance(split, FilesSplit)
    ]
    if not splits:
        return project, []
    root = project.data_folder()
    known = _remembered(memory)
    found: dict[str, list[str]] = {}
    for split, languages in splits:
        for language in dict.fromkeys(languages):
            paths = locate(split.path, root, language)
            if paths:
                found[raw_key(split, language)] = [_sha256(path, known) for path in paths]
    _remember(memory, known)
    project = project.model_copy(update={"raw": found})
    if project.study.languages == "all":
        return project, []
    return _with_available_languages(project)


def _with_available_languages(project: Project) -> tuple[Project, list[str]]:
    notices, entries = [], dict(project.study.tasks)
    for target in project.study.targets:
        task, entry = project.tasks[target], entries.get(target, StudyTask())
        wanted = entry.languages or task.languages
        split = task.splits["test"]
        if not isinstance(split, FilesSplit):
            continue
        available = [code for code in wanted if raw_key(split, code) in project.raw]
        missing = [code for code in wanted if code not in available]
        if not available:
            raise InputError(
                f"target {target!r}: no file {split.path} below {project.data_folder()} "
                f"in any of its {len(wanted)} languages"
            )
        if missing:
            notices.append(f"{target}: no files for {', '.join(missing)}: left out")
        entries[target] = entry.model_copy(update={"languages": available})
    study = project.study.model_copy(update={"tasks": entries})
    return project.model_copy(update={"study": study}), notices


def _remembered(memory: Path) -> dict[str, list]:
    try:
        return json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}  # only a memory: what it lacks is read again


def _remember(memory: Path, known: dict[str, list]) -> None:
    text = json.dumps(known, sort_keys=True)
    try:
        if not memory.exists() or memory.read_text(encoding="utf-8") != text:
            write_text(memory, text)
    except OSError:
        return  # a read-only folder: the next run hashes again


def _sha256(path: Path, known: dict[str, list]) -> str:
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    entry = known.get(str(path))
    if entry is None or entry[:2] != stamp:
        entry = known[str(path)] = [*stamp, file_sha256(path)]
    return entry[2]


def check_unchanged(paths: Iterable[Path], expected: Iterable[str]) -> None:
    """Raise InputError if raw files are not those that the study was planned with."""
    if [file_sha256(path) for path in paths] != list(expected):
        raise InputError(
            f"{', '.join(map(str, paths))}: changed since the study was planned; run again"
        )
