"""Cost, curves, settings, failures and provenance of a study's steps, from the results folder.

Values are in columns, and repeated values are stored once: ten thousand cells stay small. Missing
values are None. An unreadable file is named in `notices` and counts as missing, because a report of
partial results is better than none.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.costs import measured
from xstilts.errors import InputError
from xstilts.grid.artefacts import Artefacts, Checkpoint, Predictions
from xstilts.grid.base import Artefact
from xstilts.grid.grid import Grid
from xstilts.grid.state import failure, is_done, is_released
from xstilts.identity import canonical

LOG_LINES, LOG_BUDGET = 8, 1_000_000  # characters of all logs together
CURVE_POINTS = 40


class Pool:
    """Values that many rows share: each is stored once, and rows refer to its number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int | None:
        """Return the number of a JSON value; None has none."""
        if value is None:
            return None
        key = canonical(value)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


@dataclass
class Record:
    """Reader of the results folder for one study; the page shows its columns and pools."""

    grid: Grid
    settings: Pool = field(default_factory=Pool)
    environments: Pool = field(default_factory=Pool)
    axes: Pool = field(default_factory=Pool)  # the optimiser steps of curves
    notices: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)  # id -> row of `nodes`, which fills it
    _log_room: int = LOG_BUDGET

    @cached_property
    def artefacts(self) -> Artefacts:
        """All artefacts of the study."""
        return self.grid.artefacts()

    @cached_property
    def costs(self) -> dict[str, measured.Cost]:
        """Costs of the existing artefacts by id, without those of damaged files."""
        costs: dict[str, measured.Cost] = {}
        by_file: dict[Path, list[Artefact]] = {}
        for artefact in self.artefacts.all():
            by_file.setdefault(artefact.job.benchmark, []).append(artefact)
        for some in by_file.values():
            try:
                costs |= measured.read(self.grid.project, some).costs
            except InputError as error:
                self.notices.append(str(error))
        return costs

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of every artefact by id; 0 if it is missing."""
        return {a.id: measured.size(a) if is_done(a) else 0 for a in self.artefacts.all()}

    def phases(self) -> list[dict]:
        """Return per phase: time, disk space, numbers of done and of measured artefacts."""
        rows: dict[str, dict] = {}
        empty = {"wanted": 0, "done": 0, "measured": 0, "seconds": 0.0, "gpu_hours": 0.0}
        for artefact in self.artefacts.all():
            phase = artefact.identity.phase
            row = rows.setdefault(phase, {"phase": phase, **empty, "bytes": 0})
            done, cost = is_done(artefact), self.costs.get(artefact.id)
            row["wanted"] += 1
            row["done"] += done
            row["bytes"] += self.sizes[artefact.id]
            if cost:
                row["measured"] += 1
                row["seconds"] += cost.seconds
                row["gpu_hours"] += cost.gpu_hours
        return sorted(rows.values(), key=lambda row: measured.PHASES.index(row["phase"]))

    def nodes(self) -> dict[str, list]:
        """Return the columns of checkpoints and predictions, parents first.

        `parent` is a row number, `merged` those of the trainings that a merge combines.
        """
        rows: list[dict] = []
        numbers = self.numbers
        for step in self.artefacts.checkpoints.values():
            numbers[step.id] = len(rows)
            above = {"parent": step.parent and numbers[step.parent.id]}
            if step.merged:
                above["merged"] = [numbers[node.id] for node in step.merged]
            rows.append({**above, **self._step(step)})
        for predictions in self.artefacts.predictions.values():
            numbers[predictions.id] = len(rows)
            above = {"parent": numbers[predictions.checkpoint.id], "chain": predictions.target}
            rows.append({**above, **self._common(predictions, predictions.checkpoint)})
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: [row.get(key) for row in rows] for key in keys}

    def datasets(self) -> list[dict]:
        """Return per prepared data set: rows, exclusions by reason, hash of its content."""
        rows = []
        for data in self.artefacts.datasets.values():
            manifest = self._manifest(store.DatasetManifest, Path(data.path))
            rows.append(
                {
                    "id": data.id,
                    "rows": manifest.get("rows"),
                    "excluded": manifest.get("excluded", {}),
                    "sha256": manifest.get("files", {}).get("data.parquet", ""),
                    "environment": self.environments.number(_environment(manifest)),
                }
            )
        return rows

    def _step(self, step: Checkpoint) -> dict:
        manifest = self._manifest(store.CheckpointManifest, Path(step.path))
        return {
            "chain": step.chain,
            **self._common(step, step),
            "environment": self.environments.number(_environment(manifest)),
            "steps": manifest.get("steps"),
            "examples": sum(manifest.get("examples", {}).values()) or None,
            "sha256": manifest.get("files", {}).get("model.safetensors", "")[:12] or None,
            "curve": self._curve(Path(step.path) / "training.jsonl"),
        }

    def _common(self, artefact: Checkpoint | Predictions, step: Checkpoint) -> dict:
        """Return what a row has of a step, or of the predictions with it."""
        failed = failure(artefact)
        log, cost = artefact.job.log, self.costs.get(artefact.id)
        return {
            "id": artefact.id,
            "phase": artefact.identity.phase,
            "model": step.model,
            "seed": step.seed,
            "state": _state(artefact, failed),
            "failure": failed and _anonymous(failed),
            "log": self._tail(log),
            "seconds": round(cost.seconds) if cost else None,
            "gpus": cost.gpus if cost else 0,
            "bytes": self.sizes[artefact.id],
            "settings": self.settings.number(_settings(artefact)),
        }

    def _tail(self, path: Path) -> str | None:
        if self._log_room <= 0 or not path.exists():
            return None
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 4000))
            lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        text = _anonymous("\n".join(line[:300] for line in lines))
        self._log_room -= len(text)
        return text

    def _curve(self, path: Path) -> dict | None:
        """Return loss and validation scores: `{name: [number of the steps' axis, values]}`."""
        if not path.exists():
            return None
        try:
            entries = store.read_lines(path)
            series: dict[str, list[tuple[int, float]]] = {}
            for entry in entries:
                for key, value in entry.items():
                    if key == "loss" or key.startswith("eval_"):
                        series.setdefault(key, []).append((entry["step"], value))
        except (InputError, KeyError, AttributeError):
            self.notices.append(f"{path}: damaged training log; its curve is not shown")
            return None
        if len(series) == 2 + ("loss" in series):  # one task: its score is the mean
            series.pop("eval_score", None)
        return {name: self._points(points) for name, points in series.items()}

    def _points(self, points: list[tuple[int, float]]) -> list:
        points = points[:: math.ceil(len(points) / CURVE_POINTS)]
        steps, values = zip(*points, strict=True)
        return [self.axes.number(list(steps)), [float(f"{value:.3g}") for value in values]]

    def _manifest(self, kind: type[store.Manifest], folder: Path) -> dict:
        """Return a folder's manifest; empty without one, or if it is damaged."""
        if not store.record_of(folder).exists():
            return {}
        try:
            return kind.recorded(folder).model_dump()
        except InputError as error:
            self.notices.append(str(error))
            return {}


def _state(artefact: Artefact, failed: str | None) -> str:
    if is_released(artefact) and not failed:
        return "released"
    return "done" if is_done(artefact) else "failed" if failed else "missing"


def _values(model: Any) -> dict:
    return model.model_dump(exclude_none=True)


def _settings(step: Checkpoint | Predictions) -> dict:
    """Return the settings of a step, defaults included, and the data of each of its parts."""
    if isinstance(step, Predictions):
        return {"encode": _values(step.encode), "predict": _values(step.settings)}
    if step.parent is None:
        return {"origin": _values(step.origin), "data": [data.id for data in step.texts]}
    if step.merged:
        names = [node.chain for node in step.merged]
        return {"merge": {"trainings": names, "scale": step.scale or "mean"}}
    return {
        "train": _values(step.settings),
        "parts": [
            {
                "task": part.name,
                "data": [data.id for data in part.train],
                "encode": _values(part.encode),
                "train": {key: getattr(part.settings, key) for key in ("epochs", "examples_cap")},
            }
            for part in step.parts
        ],
    }


def _environment(manifest: dict) -> dict | None:
    """Return libraries, Python, commit and machine of the run that created an artefact."""
    provenance = manifest.get("provenance")
    keys = ("libraries", "python", "commit", "machine")
    return provenance and {key: provenance.get(key) for key in keys}


def _anonymous(text: str) -> str:
    """Return a message without the paths of the working directory and the home folder."""
    return text.replace(str(Path.cwd()), ".").replace(str(Path.home()), "~")
