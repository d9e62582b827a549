"""prepare: canonical Parquet per (task, language, split) with a manifest of counts and hashes.

This stage removes all peculiarities of the sources; later stages do not depend on them.
"""

import logging
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from xstilts import lab, store
from xstilts.config.origins import FilesSplit, Release
from xstilts.config.project import Project
from xstilts.config.schema import Task
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid import raw_files
from xstilts.grid.artefacts import Dataset
from xstilts.languages.codes import fill
from xstilts.sources import files, hub
from xstilts.sources.records import Table
from xstilts.store.provenance import provenance

log = logging.getLogger("xstilts")


def run(datasets: Sequence[Dataset], project: Project) -> None:
    """Prepare every missing dataset. Raise InputError for unusable data."""
    for dataset in datasets:
        if not (Path(dataset.path) / store.MANIFEST).exists():
            _prepare(dataset, project)


def _prepare(dataset: Dataset, project: Project) -> None:
    started = time.monotonic()
    task = project.tasks[dataset.task]
    module = family(task.family)
    table = read(dataset, project)
    labels = module.labels(table.rows)
    _check_labels(labels, task, dataset.identity.name)
    excluded = sum(table.excluded.values())
    _check_counts(dataset, project, table)
    folder = store.scratch(dataset.id)
    store.write_rows(folder / "data.parquet", table.rows, module.COLUMNS)
    store.DatasetManifest.publish(
        folder,
        Path(dataset.path),
        content=dataset.identity.content,
        rows=len(table.rows),
        excluded=table.excluded,
        gaps=list(table.gaps),
        labels=labels,
        provenance=provenance(started),
    )
    note = f", {excluded} excluded" if excluded else ""
    log.info(f"{dataset.identity.name}: {len(table.rows)} rows{note}")


def _check_labels(labels: Sequence[str], task: Task, name: str) -> None:
    """Raise InputError for labels that the task lacks, that look alike or that no metric reads."""
    unknown = sorted(set(labels) - set(task.labels))
    if task.labels and unknown:
        raise InputError(
            f"{name}: labels {', '.join(unknown)} are not among the task's: "
            f"{', '.join(task.labels)}"
        )
    seen: dict[str, str] = {}
    for label in () if task.labels else labels:
        other = seen.setdefault(_plain(label), label)
        if other != label:
            raise InputError(
                f"{name}: labels {other!a} and {label!a} look alike but count as two; map both to "
                "one (`labels` of the split), or state the `labels` of the task"
            )
    try:
        family(task.family).check_labels(labels, task.metrics)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _plain(label: str) -> str:
    """Return a label without case, marks that nobody sees, and variants of Unicode."""
    composed = unicodedata.normalize("NFKC", label).casefold()
    seen = "".join(c for c in composed if unicodedata.category(c) != "Cf")
    return " ".join(seen.split())


def _check_counts(dataset: Dataset, project: Project, table: Table) -> None:
    """Raise InputError if the numbers of rows and pairs differ from those that the task states."""
    spec = dataset.spec
    if project.study.rows == "any" or not isinstance(spec, Release) or spec.limit:
        return
    rows = len(table.rows)
    pairs = sum(bool(row["match"]) for row in table.rows if row.get("side") == "foreign")
    for what, counts in (
        ("rows", {rows, rows + sum(table.excluded.values())}),
        ("pairs", {pairs}),
    ):
        expected = dataset.spec.expected(what, dataset.language)
        if expected is not None and expected not in counts:
            raise InputError(
                f"{dataset.identity.name}: {max(counts)} {what}, but the release has {expected}; "
                "is a file truncated, or of another release? `rows: any` in the study accepts it"
            )


def read(dataset: Dataset, project: Project) -> Table:
    """Return the canonical rows of a data set from its source. Raise InputError."""
    spec = dataset.spec
    if dataset.download:
        folder = Path(dataset.download.path)
        if not folder.exists():
            raise InputError(
                f"{folder}: not downloaded yet; run `make fetch STUDY=…` where there is a network"
            )
        paths = [folder / name for name in store.Manifest.verify(folder).files]
        items = family(project.tasks[dataset.task].family).hub_items
        return hub.read(spec, items, paths, dataset.language)
    if isinstance(spec, FilesSplit):
        paths = files.locate(spec.path, project.data_folder(), spec.code(dataset.language))
        if not paths:
            raise InputError(_missing(dataset, project, spec))
        raw_files.check_unchanged(paths, dataset.raw)
        if spec.columns:
            items = family(project.tasks[dataset.task].family).hub_items
            return hub.read(spec, items, paths, dataset.language)
        return files.read(spec.format, paths, dataset.language, limit=spec.limit, **spec.options)
    rows = lab.rows(spec.kind, dataset.language, dataset.split, spec.size, spec.seed, spec.portion)
    return Table(rows, {})


def _missing(dataset: Dataset, project: Project, spec: FilesSplit) -> str:
    """Return a message that states which release is missing, and where to unpack it."""
    task = project.tasks[dataset.task]
    templates = [spec.path] if isinstance(spec.path, str) else spec.path
    paths = [fill(template, spec.code(dataset.language)) for template in templates]
    release = f"; unpack the release there, it is at {task.homepage}" if task.homepage else ""
    licence = f", licence: {task.licence}" if release and task.licence else ""
    return (
        f"{dataset.identity.name}: no file {', '.join(paths)} for language {dataset.language!r} "
        f"below {project.data_folder()}{release}{licence}"
    )
