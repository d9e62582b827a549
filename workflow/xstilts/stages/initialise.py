"""initialise: a model with random weights and its own tokenizer, or a model of a local folder."""

import shutil
import time
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint
from xstilts.identity import file_sha256
from xstilts.modelling import checkpoints
from xstilts.modelling.steps import longest_sequence
from xstilts.sources import models
from xstilts.store.provenance import provenance


def run(root: Checkpoint) -> None:
    """Make and publish the model. Raise InputError for unusable texts, or an unusable folder."""
    started = time.monotonic()
    folder = store.scratch(root.id)
    details = _taken(root, folder) if root.raw else _drawn(root, folder)
    store.CheckpointManifest.publish(
        folder,
        Path(root.path),
        content=root.identity.content,
        lineage=[root.id],
        labels={},
        provenance=provenance(started),
        **details,
    )


def _drawn(root: Checkpoint, folder: Path) -> dict[str, Any]:
    """Train the tokenizer and draw the weights; return fields of the manifest."""
    rows = [row for dataset in root.texts for row in store.read_rows(Path(dataset.path))]
    origin = root.origin
    tokenizer = checkpoints.train_tokenizer(
        [row["text"] for row in rows],
        origin.tokenizer.vocabulary,
        folder,
        longest_sequence(origin.architecture),
    )
    model = checkpoints.initialise(origin.architecture, tokenizer, origin.seed)
    model.save_pretrained(folder)
    return {
        "pretrained_pooler": False,
        "vocabulary": len(tokenizer),
        "parameters": model.num_parameters(),
    }


def _taken(root: Checkpoint, folder: Path) -> dict[str, Any]:
    """Take the files of a local folder; return fields of the manifest.

    Raise InputError for a folder that changed since the study was planned, and for a model that
    transformers cannot read completely.
    """
    source, where = root.origin.path, f"model {root.model!r}, local.folder {root.origin.path}"
    for name, expected in root.raw.items():
        path = source / name
        if not path.is_file() or file_sha256(path) != expected:
            raise InputError(f"{path}: changed since the study was planned; run again")
        # the tokenizer is written again below, so only weights may be the folder's own file
        take = store.link_or_copy if name.endswith(".safetensors") else shutil.copyfile
        take(path, folder / name)
    pieces = models.complete_tokenizer(folder, where, root.origin.tokenizer_class)
    return {
        "pretrained_pooler": models.has_pooler(folder),
        "vocabulary": pieces,
        "parameters": checkpoints.check_encoder(folder, where),
    }
