"""Mistakes that a job would fail with, found while the study is planned."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts import lab, store
from xstilts.config.origins import FilesSplit, Init, LabSplit, Local
from xstilts.config.settings import SETTINGS
from xstilts.errors import InputError
from xstilts.families import check_metrics
from xstilts.grid.artefacts import PART_SETTINGS, Checkpoint, Dataset, Predictions
from xstilts.grid.grid import Grid
from xstilts.grid.state import is_done
from xstilts.modelling.steps import check_packing, longest_sequence
from xstilts.units import count

_LISTED = 3
_DEPTH = ("num_hidden_layers", "num_layers", "n_layers")


def problems(grid: Grid) -> list[str]:
    """Return a message for each mistake of a study that would make a job fail."""
    return [*settings_problems(grid), *_missing(grid)]


def settings_problems(grid: Grid) -> list[str]:
    """Return a message for each setting that would make a job fail."""
    return list(dict.fromkeys([*_splits(grid), *_metrics(grid), *_models(grid)]))


def _splits(grid: Grid) -> Iterator[str]:
    for data in grid.shared().datasets.values():
        place = f"task {data.task!r}, splits.{data.split}"
        try:
            if isinstance(data.spec, LabSplit):
                lab.rows(data.spec.kind, data.language, data.split, 1, portion=data.spec.portion)
        except InputError as error:
            yield f"{place}: {error}"


def _missing(grid: Grid) -> Iterator[str]:
    """Yield the tasks that have data sets without their original files."""
    by_task: dict[str, list[Dataset]] = defaultdict(list)
    for data in grid.shared().datasets.values():
        if isinstance(data.spec, FilesSplit) and not data.raw and not is_done(data):
            by_task[data.task].append(data)
    for task, datasets in list(by_task.items())[:_LISTED]:
        names = ", ".join(data.identity.name for data in datasets[:_LISTED])
        rest = f" and {len(datasets) - _LISTED} more" if len(datasets) > _LISTED else ""
        paths = datasets[0].spec.path
        path = paths if isinstance(paths, str) else paths[0]
        home = grid.project.tasks[task].homepage
        release = f"; the release is at {home}" if home else ""
        yield (
            f"task {task!r}: {count(len(datasets), 'data set')} without files: {names}{rest}; "
            f"expected {path} below {grid.project.data_folder()}{release}"
        )
    if len(by_task) > _LISTED:
        others = ", ".join(list(by_task)[_LISTED:])
        yield f"no files for {count(len(by_task) - _LISTED, 'more task')}: {others}"


def _metrics(grid: Grid) -> Iterator[str]:
    for target in grid.study.targets:
        entry = grid.project.tasks[target]
        try:
            check_metrics(entry.family, entry.metrics, target)
        except InputError as error:
            yield str(error)


def _models(grid: Grid) -> Iterator[str]:
    """Yield settings that the positions and layers of a model do not allow, if these are known."""
    shared = grid.shared()
    for node in (*shared.checkpoints.values(), *shared.predictions.values()):
        checkpoint = node.checkpoint if isinstance(node, Predictions) else node
        shape = _shape(checkpoint.lineage()[0])
        name = f"model {checkpoint.model!r}"
        limit = longest_sequence(shape) if "max_position_embeddings" in shape else None
        yield from _packing(node, name, shape)
        for task, encode in _encodings(node):
            if limit and encode.max_length > limit:
                yield (
                    f"{name}, task {task!r}: encode.max_length is {encode.max_length}, but the "
                    f"model accepts at most {limit} tokens"
                )
        layers = next((shape[key] for key in _DEPTH if isinstance(shape.get(key), int)), None)
        if isinstance(node, Predictions) and node.family == "mine" and layers is not None:
            layer = node.settings.layer
            if not -layers - 1 <= layer <= layers:
                yield (
                    f"{name}, task {node.target!r}: predict.layer is {layer}, but the model has "
                    f"layers 0 to {layers} (or −{layers + 1} to −1)"
                )


def _packing(node: Checkpoint | Predictions, name: str, shape: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reason if a step packs its batches and the model, if it is known, cannot."""
    packs = isinstance(node, Checkpoint) and node.settings and node.settings.packing
    if packs and "model_type" in shape:
        try:
            check_packing(shape["model_type"], name)
        except InputError as error:
            yield str(error)


def _encodings(node: Checkpoint | Predictions) -> list[tuple[str, Any]]:
    if isinstance(node, Predictions):
        return [(node.target, node.encode)]
    return [(part.task, part.encode) for part in node.parts]


def _shape(root: Checkpoint) -> Mapping[str, Any]:
    """Return the keys of a model's configuration; none if it is not known yet, or damaged."""
    if isinstance(root.origin, Init):
        shape = {"max_position_embeddings": 512} | root.origin.architecture
    else:
        folder = root.origin.path if isinstance(root.origin, Local) else Path(root.path)
        file = folder / "config.json"
        try:
            shape = store.read_json(file) if file.is_file() else {}
        except InputError:
            return {}
    kinds = {"max_position_embeddings": int, "model_type": str}
    if not isinstance(shape, dict):
        return {}
    return {key: value for key, value in shape.items() if isinstance(value, kinds.get(key, object))}


def notes(grid: Grid) -> list[str]:
    """Return notes on a study's settings without effect, and on subsamples larger than a task."""
    found = list(_idle_settings(grid))
    for name, recipe in grid.recipes.items():
        for part in recipe.parts:
            total = grid.project.stated_examples(part)
            if part.size and not part.size.percent and total and part.size.number > total:
                found.append(
                    f"recipe {name}: {part} asks for {part.size.number:,} examples, but "
                    f"{part.task} has {total:,}"
                )
    return found


def _idle_settings(grid: Grid) -> Iterator[str]:
    """Yield a note for each setting of the whole study that no step and no task uses."""
    used = list(_settings_in_use(grid))
    for group, model in SETTINGS.items():
        for key, value in getattr(grid.study, group).items():
            try:
                stated = getattr(model.model_validate({key: value}), key)
            except ValidationError:  # settings that need each other; both are checked elsewhere
                continue
            if (key, stated) not in used:
                yield (
                    f"{group}.{key}: {value} of the study has no effect: no task reads it, or "
                    "other settings take precedence"
                )


def _settings_in_use(grid: Grid) -> Iterator[tuple[str, Any]]:
    """Yield the settings of steps, parts and predictions; those without effect are defaults."""
    shared = grid.shared()
    for predictions in shared.predictions.values():
        yield from predictions.encode
        yield from predictions.settings
    for step in [node for node in shared.checkpoints.values() if node.settings]:
        yield from [pair for pair in step.settings if pair[0] not in PART_SETTINGS]
        for part in step.parts:
            yield from part.encode
            yield from [pair for pair in part.settings if pair[0] in PART_SETTINGS]
