"""prepare: canonical Parquet per (task, language, split) with a manifest of counts and hashes.

This stage removes all peculiarities of the sources; later stages do not depend on them.
"""

import logging
import re
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from xstilts import store
from xstilts.config.origins import Release
from xstilts.config.project import Project
from xstilts.config.schema import Task
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid.artefacts import Dataset
from xstilts.grid.rows import read_rows
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
    table = read_rows(dataset, project)
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
            f"{', '.join(task.labels)}; `labels` of the split renames labels"
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
    """Return a label without case, marks that nobody sees, variants of Unicode and of numbers."""
    if re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]*)?", label):
        return f"{float(label):g}"  # a column with a gap becomes 1.0, 2.0 in pandas
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
    for what, counts in (("rows", {rows, rows + sum(table.excluded.values())}), ("pairs", {pairs})):
        expected = dataset.spec.expected(what, dataset.language)
        if expected is not None and expected not in counts:
            raise InputError(
                f"{dataset.identity.name}: {max(counts)} {what}, but the release has {expected}; "
                "is a file truncated, or of another release? `rows: any` in the study accepts it"
            )
