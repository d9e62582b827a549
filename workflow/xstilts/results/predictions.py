"""The predictions of a cell, checked against their hashes and the gold data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from xstilts import store
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid.artefacts import Dataset, Predictions
from xstilts.identity import file_sha256
from xstilts.sources.records import known
from xstilts.store.about import About


def read_language(
    predictions: Predictions, dataset: Dataset
) -> tuple[list[dict], list[dict], float | None]:
    """Return a language's rows, its predictions and, for bitext mining, the tuned threshold.

    Predictions below the threshold are empty. Raise InputError for damaged or missing inputs.
    """
    rows, answers = _read(predictions, dataset)
    tuning = predictions.tuning(dataset)
    if tuning is None:
        return rows, answers, None
    module = family(predictions.family)
    threshold = module.threshold(*_read(predictions, tuning))
    return rows, module.above(answers, threshold), threshold


def _read(predictions: Predictions, dataset: Dataset) -> tuple[list[dict], list[dict]]:
    rows = store.read_rows(Path(dataset.path))
    path = Path(predictions.file(dataset))
    labels = _check_file(path)
    answers = store.read_lines(path, ("id", "prediction"))
    asked = family(predictions.family).asked(rows, predictions.settings)
    expected, given = {row["id"] for row in asked}, {answer["id"] for answer in answers}
    if expected != given or len(given) != len(answers):
        example = sorted(expected ^ given)[:1] or ["a repeated id"]
        raise InputError(
            f"{path}: its examples are not those of {dataset.path}: {example[0]}; delete it and "
            "run again"
        )
    if labels:
        _check_labels(path, answers, labels)
        golds = map(family(predictions.family).gold, rows)
        _check_golds(dataset, list(golds), labels)
    return rows, answers


def _check_file(path: Path) -> list[str]:
    """Return the labels of the model. Raise InputError if its predictions were changed."""
    about = About.read(path.parent)
    stated = about.files.get(path.name)
    if not path.exists():
        raise InputError(f"{path}: no such file; run again to predict it")
    if not stated or not path.is_file() or stated.sha256 != file_sha256(path):
        raise InputError(
            f"{path}: damaged: its sha256 differs from {path.with_name(store.ABOUT)}; delete it "
            "and run again"
        )
    return about.labels


def _check_labels(path: Path, answers: Sequence[Mapping], labels: Sequence[str]) -> None:
    """Raise InputError for a predicted label that the model does not have."""
    for number, answer in enumerate(answers, 1):
        for label in _labels_of(answer["prediction"]):
            known(label, labels, f"{path}:{number}")


def _check_golds(dataset: Dataset, golds: Sequence, labels: Sequence[str]) -> None:
    """Raise InputError for gold labels that the model cannot predict.

    Single tags may be missing in the training data, but not all.
    """
    unknown = {label for gold in golds for label in _labels_of(gold)} - set(labels)
    every = all(unknown.issuperset(_labels_of(gold)) for gold in golds)
    if unknown and (every or isinstance(golds[0], str)):
        raise InputError(
            f"{dataset.path}: the model has no label {min(unknown)!r}; valid: {', '.join(labels)}"
        )


def _labels_of(answer: str | Sequence[str]) -> Sequence[str]:
    return [answer] if isinstance(answer, str) else answer
