"""initialise: create a model with random weights and a tokenizer trained on a task's text."""

import time
from pathlib import Path

from xstilts import store
from xstilts.grid.artefacts import Checkpoint
from xstilts.modelling import checkpoints
from xstilts.store.provenance import provenance


def run(root: Checkpoint) -> None:
    """Train the tokenizer, draw the weights, publish both. Raise InputError for unusable texts."""
    started = time.monotonic()
    rows = [row for dataset in root.texts for row in store.read_rows(Path(dataset.path))]
    folder = store.scratch(root.id)
    origin = root.origin
    tokenizer = checkpoints.train_tokenizer(
        [row["text"] for row in rows],
        origin.tokenizer.vocabulary,
        folder,
        checkpoints.longest_sequence(origin.architecture),
    )
    model = checkpoints.initialise(origin.architecture, tokenizer, origin.seed)
    model.save_pretrained(folder)
    store.publish(
        folder,
        Path(root.path),
        {
            "id": root.id,
            "content": root.identity.content,
            "lineage": [root.id],
            "pretrained_pooler": False,
            "labels": {},
            "vocabulary": len(tokenizer),
            "parameters": model.num_parameters(),
            "provenance": provenance(started),
        },
    )
