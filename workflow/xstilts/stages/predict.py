"""predict: a checkpoint's predictions for one target task, a JSON-lines file per language.

Only files that are not there yet are made: a language added later costs one language.
"""

import logging
from pathlib import Path

import torch

from xstilts import store
from xstilts.artefacts import Predictions
from xstilts.families import family
from xstilts.inference import predict_rows
from xstilts.models import check_length, load_tokenizer, load_trained

log = logging.getLogger("xstilts")

_AGAIN = "delete the folder and run again to train it anew"


def run(predictions: Predictions) -> None:
    """Predict every language whose file is missing. Raises InputError for damaged inputs."""
    missing = [
        dataset for dataset in predictions.datasets if not Path(predictions.file(dataset)).exists()
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
    for dataset in missing:
        rows = store.read_rows(Path(dataset.path))
        found = predict_rows(
            model,
            tokenizer,
            module,
            rows,
            labels.get(predictions.target, []),
            predictions.encode,
            predictions.settings,
        )
        store.write_lines(Path(predictions.file(dataset)), found)
        log.info(
            f"{predictions.identity.name}: {dataset.language} {dataset.split}, {len(rows)} examples"
        )
