"""Results of a study for a notebook or a command: scores and gains as data frames."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from xstilts import store
from xstilts.analyses.facts import examples_of
from xstilts.config.project import study_files
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError, nearest
from xstilts.grid.artefacts import Score
from xstilts.grid.grid import Grid
from xstilts.grid.state import open_study
from xstilts.identity import shortened
from xstilts.report.view import labels
from xstilts.results.samples import Samples, read_examples
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import CSV_COLUMNS, Context, Results, collect
from xstilts.store import paths
from xstilts.store.manifest import again
from xstilts.store.records import Made


@dataclass(frozen=True)
class StudyResults:
    """The results of a study in a project's folder, complete or not.

    Example:
        >>> study("lab").scores.groupby(["recipe", "target"]).value.mean()
    """

    name: str
    grid: Grid = field(repr=False)
    folder: Path  # contains `results`
    other_versions: bool = False  # whether scores of other settings and versions count, too

    @cached_property
    def scores(self) -> pd.DataFrame:
        """All scores, a row per cell, language or average, and metric: as in scores.csv."""
        return self.results.frame[CSV_COLUMNS]

    @cached_property
    def gains(self) -> pd.DataFrame:
        """All gains over the baseline, with their CIs and verdicts: as in gains.csv."""
        with contextlib.chdir(self.folder):
            return Samples(self.results, examples_of(self.grid)).gains

    @cached_property
    def results(self) -> Results:
        """The scores with labels and notations of the study."""
        cells = tuple(self.grid.cells())
        names = {name: str(recipe) for name, recipe in self.grid.recipes.items()}
        context = Context(self.grid.study.study, cells, labels(self.grid), names)
        with contextlib.chdir(self.folder):
            return collect(map(self.score_path, self.grid.scores()), context)

    def score_path(self, score: Score) -> Path:
        """Return the path of a score file; the newest of its cell, if other versions count."""
        path = Path(score.path)
        if self.other_versions and not path.exists():
            pattern = Path(paths.SCORE.format(id=f"{shortened(str(score.cell))}.*"))
            others = sorted(path.parent.glob(pattern.name), key=lambda file: file.stat().st_mtime)
            path = others[-1] if others else path
        return path

    def examples(self, score: Score) -> pd.DataFrame | None:
        """Return the terms of a cell's main metric, one row per example; None without any."""
        with contextlib.chdir(self.folder):
            return read_examples(self.score_path(score).with_suffix(".parquet"))

    def read(self, score: Score) -> ScoreFile | None:
        """Return a cell's score file; None if it is missing."""
        with contextlib.chdir(self.folder):
            path = self.score_path(score)
            return ScoreFile.read(path) if path.exists() else None

    def provenance(self, artefact) -> dict:
        """Return the provenance of a folder artefact; empty if it is missing."""
        with contextlib.chdir(self.folder):
            folder = Path(artefact.path)
            manifest = folder / store.MANIFEST
            return Made.load(manifest, again(folder)).provenance if manifest.exists() else {}


def open_results(name: str | Path, folder: str | Path = ".") -> StudyResults:
    """Return a study's results: by its name, its file, a run's snapshot, or its results folder.

    A name means the last run of that study in `folder`, else its file in the configuration. The
    results of a file are in the nearest folder above it that has `results`. Raise InputError for an
    unknown study.
    """
    path, project = _place(Path(name), Path(folder))
    with contextlib.chdir(project):
        grid, _ = open_study(path)
    return StudyResults(str(name), grid, project)


def _place(name: Path, folder: Path) -> tuple[Path, Path]:
    """Return the absolute path of a study or snapshot, and of the folder that has its results."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if name.suffix in (".yaml", ".yml", ".json"):
        if not name.is_file():
            raise InputError(f"{name}: no such file; expected a study or a run's snapshot")
        return name.resolve(), _project(name.resolve(), folder.resolve())
    if name.is_dir() and (found := _snapshots(name)):
        return found[-1].resolve(), _project(found[-1].resolve(), folder.resolve())
    if found := _snapshots(folder / paths.study_folder(str(name))):
        return found[-1].resolve(), folder.resolve()
    with contextlib.chdir(folder):
        known = dict(_named_studies())
    if str(name) not in known:
        hint = nearest(str(name), known)
        raise InputError(f"{folder.resolve().name}: no results of study {str(name)!r}; {hint}")
    return known[str(name)], folder.resolve()


def _snapshots(folder: Path) -> list[Path]:
    """Return the snapshots in a study's folder, whatever its name, the newest last."""
    return sorted(folder.glob("study.*.json"), key=lambda path: path.stat().st_mtime)


def _project(path: Path, otherwise: Path) -> Path:
    """Return the nearest folder above a path that has `results`."""
    return next((above for above in path.parents if (above / paths.RESULTS).is_dir()), otherwise)


def _named_studies() -> Iterator[tuple[str, Path]]:
    """Yield the studies that have results in the working directory, or a file there."""
    for path in paths.snapshots():
        yield path.parent.name, path.resolve()
    for path in study_files():
        with contextlib.suppress(InputError):
            if name := read_yaml(path).get("study"):
                yield str(name), path.resolve()
