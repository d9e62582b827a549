"""predict: a checkpoint's predictions for one target task, a JSON-lines file per language.

Only missing files are written, so a language added later costs one language. Candidates that all
languages rank are embedded once for all missing files.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedModel

from xstilts import store
from xstilts.errors import Diverged, InputError
from xstilts.families import Row, family
from xstilts.grid.artefacts import Dataset, Predictions
from xstilts.identity import text_sha256
from xstilts.modelling.checkpoints import check_finite, check_length, load_tokenizer, load_trained
from xstilts.modelling.encodings import source_of
from xstilts.modelling.inference import predict_rows
from xstilts.modelling.precision import prepare
from xstilts.store.about import About, PredictionFile
from xstilts.store.provenance import computation

log = logging.getLogger("xstilts")


def run(predictions: Predictions) -> None:
    """Predict every language whose file is missing. Raise InputError for damaged inputs."""
    missing = [
        dataset for dataset in predictions.predicted if not Path(predictions.file(dataset)).exists()
    ]
    if not missing:
        return
    prepare(predictions.settings.precision, predictions.id)
    started = time.monotonic()
    folder, module = Path(predictions.checkpoint.path), family(predictions.family)
    model, labels = _loaded(predictions)
    tokenizer = load_tokenizer(folder)
    check_length(folder, tokenizer, predictions.encode.max_length, predictions.id)
    for datasets in _together(predictions, missing):
        rows_of = [store.read_rows(Path(dataset.path)) for dataset in datasets]
        if predictions.candidates in datasets:
            _check_candidates(datasets, rows_of)
        try:
            predicted = predict_rows(
                model,
                tokenizer,
                module,
                [row for rows in rows_of for row in rows],
                labels,
                predictions.encode,
                predictions.settings,
                source_of(folder, [Path(dataset.path) for dataset in datasets]),
            )
        except Diverged as error:
            raise Diverged(f"{predictions.id}: checkpoint {folder}: {error}") from None
        remaining = iter(predicted)
        for dataset, rows in zip(datasets, rows_of, strict=True):
            if dataset is predictions.candidates:
                continue
            asked = module.asked(rows, predictions.settings)
            content = store.json_lines(islice(remaining, len(asked)))
            _publish(predictions, predictions.file(dataset), content, labels, started)
            name = predictions.identity.name
            log.info(f"{name}: {dataset.language} {dataset.split}, {len(rows)} examples")


def _loaded(predictions: Predictions) -> tuple[PreTrainedModel, list[str]]:
    """Return the model on its device, and the labels of its head."""
    folder = Path(predictions.checkpoint.path)
    manifest = store.CheckpointManifest.verify(folder)
    head = Path(predictions.head.path) if predictions.head else None
    labels = (store.CheckpointManifest.verify(head) if head else manifest).labels
    model = load_trained(folder, predictions.family, manifest.pretrained_pooler, head)
    check_finite(model.state_dict(), f"{predictions.id}: checkpoint {folder}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device), labels_of(labels, predictions)


def labels_of(by_task: Mapping[str, list[str]], predictions: Predictions) -> list[str]:
    """Return the labels of the target's head; [] if the target was not trained.

    A training that several targets share has its labels under the name of one of them.
    """
    trained = [part.task for part in (predictions.head or predictions.checkpoint).parts]
    if trained == [predictions.target]:
        [labels] = by_task.values()
        return labels
    return by_task.get(predictions.target, [])


def _publish(
    predictions: Predictions, file: str, content: str, labels: Sequence[str], started: float
) -> None:
    """Write a file of predictions, after its hash and provenance, so that it is never without."""
    folder = Path(predictions.path)
    about = About.read(folder) if (folder / store.ABOUT).exists() else None
    computed = computation(started, None, predictions.settings.precision)
    entry = PredictionFile(sha256=text_sha256(content), provenance=computed)
    About(
        id=predictions.id,
        content=dict(predictions.identity.content),
        labels=list(labels),
        files={**(about.files if about else {}), Path(file).name: entry},
    ).write(folder)
    store.write_text(Path(file), content)


def _together(predictions: Predictions, missing: Sequence[Dataset]) -> list[list[Dataset]]:
    """Return groups of datasets to predict together: those that rank the same candidates."""
    if predictions.candidates is None:
        return [[dataset] for dataset in missing]
    tests = [dataset for dataset in missing if dataset in predictions.scored]
    alone = [[dataset] for dataset in missing if dataset not in tests]
    return [*alone, [*tests, predictions.candidates]] if tests else alone


def _check_candidates(datasets: Sequence[Dataset], rows_of: Sequence[Sequence[Row]]) -> None:
    """Raise InputError if a question's right candidate is not in the last dataset."""
    known = {row["id"] for row in rows_of[-1]}
    for dataset, rows in zip(datasets, rows_of, strict=True):
        for row in rows:
            if unknown := set(row["matches"]) - known:
                raise InputError(
                    f"{dataset.path}: example {row['id']!r} has the right candidate "
                    f"{min(unknown)!r}, which is not in {datasets[-1].path}; expected files of "
                    "one release"
                )
