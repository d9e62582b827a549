"""predict: a checkpoint's predictions for one target task, a JSON-lines file per language.

Only files that are not there yet are made: a language added later costs one language. What all
languages rank is embedded once for those that are made.
"""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch

from xstilts import store
from xstilts.errors import InputError
from xstilts.families import Row, family
from xstilts.grid.artefacts import Dataset, Predictions
from xstilts.modelling.checkpoints import check_length, load_tokenizer, load_trained
from xstilts.modelling.inference import predict_rows

log = logging.getLogger("xstilts")

_AGAIN = "delete the folder and run again to train it anew"


def run(predictions: Predictions) -> None:
    """Predict every language whose file is missing. Raises InputError for damaged inputs."""
    missing = [
        dataset for dataset in predictions.predicted if not Path(predictions.file(dataset)).exists()
    ]
    if not missing:
        return
    folder = Path(predictions.checkpoint.path)
    manifest = store.verify(folder, _AGAIN)
    head = Path(predictions.head.path) if predictions.head else None
    labels = (store.verify(head, _AGAIN) if head else manifest)["labels"]
    module = family(predictions.family)
    tokenizer = load_tokenizer(folder)
    check_length(tokenizer, predictions.encode.max_length, predictions.id)
    model = load_trained(folder, predictions.family, manifest["pretrained_pooler"], head)
    if torch.cuda.is_available():
        model = model.cuda()
    about = {"id": predictions.id, "content": predictions.identity.content}
    store.write_json(Path(predictions.path) / store.ABOUT, about)
    for datasets in _together(predictions, missing):
        read = [store.read_rows(Path(dataset.path)) for dataset in datasets]
        if predictions.candidates in datasets:
            _check_candidates(datasets, read)
        found = predict_rows(
            model,
            tokenizer,
            module,
            [row for rows in read for row in rows],
            labels.get(predictions.target, []),
            predictions.encode,
            predictions.settings,
        )
        rest = iter(found)
        for dataset, rows in zip(datasets, read, strict=True):
            if dataset is predictions.candidates:
                continue
            asked = module.asked(rows, predictions.settings)
            found = [*islice(rest, len(asked))]
            store.write_lines(Path(predictions.file(dataset)), found)
            name = predictions.identity.name
            log.info(f"{name}: {dataset.language} {dataset.split}, {len(rows)} examples")


def _together(predictions: Predictions, missing: Sequence[Dataset]) -> list[list[Dataset]]:
    """What is predicted at once: a data set, or all that rank the same candidates, with these."""
    if predictions.candidates is None:
        return [[dataset] for dataset in missing]
    tests = [dataset for dataset in missing if dataset in predictions.scored]
    alone = [[dataset] for dataset in missing if dataset not in tests]
    return [*alone, [*tests, predictions.candidates]] if tests else alone


def _check_candidates(datasets: Sequence[Dataset], read: Sequence[Sequence[Row]]) -> None:
    """Raise InputError if a question's right candidate is not in the last data set."""
    known = {row["id"] for row in read[-1]}
    for dataset, rows in zip(datasets, read, strict=True):
        for row in rows:
            if unknown := set(row["matches"]) - known:
                raise InputError(
                    f"{dataset.path}: example {row['id']!r} has the right candidate "
                    f"{min(unknown)!r}, which is not in {datasets[-1].path}; are the files of one "
                    "release?"
                )
