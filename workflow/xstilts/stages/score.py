"""score: a cell's predictions against the gold data, as one JSON file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from xstilts import store
from xstilts.artefacts import Dataset, Predictions, Score
from xstilts.errors import InputError
from xstilts.families import check_metrics, family
from xstilts.identity import VERSIONS
from xstilts.metrics import majority
from xstilts.provenance import provenance


def run(score: Score) -> None:
    """Score every language and their averages. Raises InputError for damaged or missing inputs."""
    started = time.monotonic()
    predictions = score.predictions
    check_metrics(predictions.family, score.metrics, score.cell.target)
    languages = {
        dataset.language: _score_language(score, dataset) for dataset in predictions.scored
    }
    cell = score.cell
    store.write_json(
        Path(score.path),
        {
            "schema": 1,
            "cell": str(cell),
            "model": cell.model,
            "recipe": cell.recipe,
            "target": cell.target,
            "seed": cell.seed,
            "source_language": score.source_language,
            "main_metric": score.metrics[0],
            "languages": languages,
            "averages": _averages(languages, score.source_language),
            "degenerate": _degenerate(languages, score),
            "provenance": {
                "id": score.id,
                "content": score.identity.content,
                "predictions": predictions.id,
                "lineage": [node.id for node in predictions.checkpoint.lineage()],
                "data": {dataset.language: dataset.id for dataset in predictions.scored},
                "versions": VERSIONS,
                **provenance(started),
            },
        },
    )


def _score_language(score: Score, dataset: Dataset) -> dict:
    module = family(score.predictions.family)
    rows, predictions, threshold = read_language(score.predictions, dataset)
    return {
        "n": len(predictions),
        "metrics": {
            metric: module.METRICS[metric](rows, predictions, dataset.language)
            for metric in score.metrics
        },
        "majority": _majority(rows, score.metrics[0]),
        **({} if threshold is None else {"threshold": threshold}),
    }


def read_language(
    predictions: Predictions, dataset: Dataset
) -> tuple[list[dict], list[dict], float | None]:
    """A language's rows, its predictions, and the threshold that was tuned for them, if any.

    Predictions below the threshold are empty. Raises InputError for damaged or missing inputs.
    """
    rows, found = _read(predictions, dataset)
    tuning = predictions.tuning(dataset)
    if tuning is None:
        return rows, found, None
    module = family(predictions.family)
    threshold = module.threshold(*_read(predictions, tuning))
    return rows, module.above(found, threshold), threshold


def _read(predictions: Predictions, dataset: Dataset) -> tuple[list[dict], list[dict]]:
    rows = store.read_rows(Path(dataset.path))
    path = Path(predictions.file(dataset))
    found = store.read_lines(path)
    module = family(predictions.family)
    asked = module.asked(rows, predictions.settings) if hasattr(module, "asked") else rows
    expected, given = {row["id"] for row in asked}, {prediction["id"] for prediction in found}
    if expected != given or len(given) != len(found):
        example = sorted(expected ^ given)[:1] or ["a repeated id"]
        raise InputError(f"{path}: its examples are not those of {dataset.path}: {example[0]}")
    return rows, found


def _majority(rows: Sequence[Mapping], metric: str) -> dict[str, float] | None:
    """What the most frequent label would score; None where the metric has no such floor."""
    if metric != "accuracy" or "label" not in rows[0]:
        return None
    return {metric: majority([row["label"] for row in rows])}


def _averages(languages: Mapping[str, dict], source: str) -> dict[str, dict[str, float]]:
    """Unweighted means: over all languages as XTREME averages, and without the source language."""
    groups = {"avg": list(languages), "zero_shot": [code for code in languages if code != source]}
    return {
        name: {
            metric: sum(languages[code]["metrics"][metric] for code in codes) / len(codes)
            for metric in languages[codes[0]]["metrics"]
        }
        for name, codes in groups.items()
        if codes
    }


def _degenerate(languages: Mapping[str, dict], score: Score) -> bool:
    """Whether the run learnt nothing: in the source language it does not beat the majority."""
    source = languages.get(score.source_language)
    if source is None or source["majority"] is None:
        return False
    main = score.metrics[0]
    return source["metrics"][main] <= source["majority"][main]
