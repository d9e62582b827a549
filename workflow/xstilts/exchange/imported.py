"""Scores of other systems, computed from their predictions in XTREME's layout.

The files `imported/SYSTEM.TARGET.json` of the study's folder hold them. Tables show them next to
the study's own rows, without CIs, since they have no seeds.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path

from xstilts import store, xtreme
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid.artefacts import Cell, Dataset
from xstilts.grid.grid import Grid
from xstilts.identity import file_sha256
from xstilts.results.score_file import Language, ScoreFile, averages
from xstilts.results.scores import IMPORTED
from xstilts.store import paths
from xstilts.store.provenance import provenance

_NAME = re.compile(r"[A-Za-z0-9][\w+-]{0,59}", re.ASCII)
_XTREME_NAMES = {  # metric -> evaluate.py's name
    "pos_f1": "f1",
    "mlqa_f1": "f1",
    "mlqa_exact_match": "exact_match",
    "map_at_20": "map@20",
}


def folder(study: str) -> Path:
    """Return the folder of a study's imported scores."""
    return paths.study_folder(study) / IMPORTED


def read(study: str) -> tuple[ScoreFile, ...]:
    """Return the imported scores of a study, by system and target."""
    return tuple(map(ScoreFile.read, sorted(folder(study).glob("*.json"))))


def run(grid: Grid, system: str, predictions: Path) -> list[Path]:
    """Score a system's files for the study's targets, and return the paths of its scores.

    Files are `TARGET/test-LANGUAGE.EXTENSION`, as `export-xtreme` writes them. A target without any
    file is left out. Raise InputError for a missing language, a damaged file, and data that are not
    prepared.
    """
    if not _NAME.fullmatch(system):
        raise InputError(
            f"--system {system!r} is not allowed; expected letters, digits, _, + and -"
        )
    if not predictions.is_dir():
        raise InputError(f"--predictions {predictions}: no such folder")
    targets = [t for t in grid.study.targets if t in xtreme.FORMATS]
    found = {t: _files(grid, t, predictions) for t in targets if (predictions / t).is_dir()}
    if not found:
        expected = ", ".join(f"{t}/" for t in targets) or "targets of XTREME in the study"
        raise InputError(f"--predictions {predictions}: no folder of a target; expected {expected}")
    scores = {
        folder(grid.study.study) / f"{system}.{target}.json": _score(grid, system, target, files)
        for target, files in found.items()
    }
    for path, score in scores.items():
        score.write(path)
    return list(scores)


def _files(grid: Grid, target: str, predictions: Path) -> dict[Dataset, Path]:
    """Return the file of each language of a target."""
    files = {}
    for dataset in [data for data in grid.data.examined(target) if data.split == "test"]:
        name = f"test-{dataset.language}.{xtreme.FORMATS[target].extension}"
        files[dataset] = predictions / target / name
        if not files[dataset].is_file():
            raise InputError(f"{files[dataset]}: no such file; expected one for each language")
    return files


def _score(grid: Grid, system: str, target: str, files: dict[Dataset, Path]) -> ScoreFile:
    started = time.monotonic()
    task = grid.project.tasks[target]
    languages = {d.language: _language(grid, target, d, path) for d, path in files.items()}
    hashes = {path.name: file_sha256(path) for path in files.values()}
    return ScoreFile(
        version=1,
        name=str(Cell(system, IMPORTED, target, 0)),
        model=system,
        recipe=IMPORTED,
        target=target,
        seed=0,
        source_language=task.source_language,
        main_metric=task.metrics[0],
        languages=languages,
        averages=averages(languages, task.source_language),
        degenerate=False,
        provenance={"files": hashes, **provenance(started)},
    )


def _language(grid: Grid, target: str, dataset: Dataset, path: Path) -> Language:
    """Return the scores of a file against the prepared data."""
    if not (Path(dataset.path) / store.MANIFEST).exists():
        raise InputError(f"{dataset.path}: not prepared yet; run `snakemake prepare_all` first")
    task, form = grid.project.tasks[target], xtreme.FORMATS[target]
    rows = store.read_rows(Path(dataset.path))
    gaps = store.DatasetManifest.read(Path(dataset.path)).gaps
    golds = _golds(grid, target, rows, gaps)
    answers = form.read(path, form.labels)
    if isinstance(golds, list) and gaps and len(answers) == len(golds):
        golds, answers = ([x for n, x in enumerate(y) if n not in gaps] for y in (golds, answers))
    try:
        found = form.score(golds, answers, dataset.language)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    named = {metric: _XTREME_NAMES.get(metric, metric) for metric in task.metrics}
    metrics = {metric: found[name] for metric, name in named.items() if name in found}
    return Language(n=len(rows), metrics=metrics)


def _golds(grid: Grid, target: str, rows: Sequence[dict], gaps: Sequence[int]):
    """Return the right answers as XTREME's readers return them."""
    form, module = xtreme.FORMATS[target], family(grid.project.tasks[target].family)
    if form.read_golds:
        return {row["id"]: row["answers"] for row in rows}
    asked = module.asked(rows, grid.project.settings("predict", target, grid.study.models[0]))
    answers = [{"id": row["id"], "prediction": module.gold(row)} for row in asked]
    return xtreme.read_back(form.write(rows, answers, gaps), form, f"the test data of {target}")
