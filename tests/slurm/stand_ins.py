"""Phases of no cost, for tests of the order of jobs: the real ones take seconds to import torch.

A training copies its parent and sleeps a little; predictions are the gold data. Each writes a line
of when and on which GPU it ran.
"""

import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

from xstilts import store
from xstilts.grid.artefacts import Checkpoint, Predictions
from xstilts.identity import text_sha256
from xstilts.store.about import About, PredictionFile


@contextmanager
def printed(id: str, needs: list[str]):
    """Write a line to `trace.jsonl` about what runs within; its inputs must be there, whole."""
    for path in needs:
        store.Manifest.verify(Path(path))
    start = time.time()
    yield
    line = {"id": id, "start": start, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
    line |= {"node": os.environ.get("SLURMD_NODENAME"), "job": os.environ.get("SLURM_JOB_ID")}
    line["end"] = time.time()
    with open("trace.jsonl", "a") as file:  # one write, at the end: atomic
        file.write(json.dumps(line) + "\n")


def train(step: Checkpoint, *_, **__) -> None:
    """Copy the parent."""
    parent = Path(step.parent.path)
    with printed(step.id, [step.parent.path, *(data.path for data in step.datasets)]):
        time.sleep(0.5)
        made = store.scratch(step.id)
        manifest = store.CheckpointManifest.read(parent)
        for name in manifest.files:
            shutil.copy(parent / name, made / name)
        fields = manifest.model_dump(exclude={"id", "files"})
        store.CheckpointManifest.publish(made, Path(step.path), **fields)


def predict(predictions: Predictions) -> None:
    """Predict the gold labels."""
    with printed(predictions.id, [predictions.checkpoint.path]):
        files = {}
        for dataset in predictions.datasets:
            rows = store.read_rows(Path(dataset.path))
            found = [_gold(row) for row in rows if row.get("side") != "foreign"]
            path, content = Path(predictions.file(dataset)), store.json_lines(found)
            files[path.name] = PredictionFile(sha256=text_sha256(content), provenance={})
            store.write_text(path, content)
        About(id=predictions.id, content={}, labels=[], files=files).write(path.parent)


def _gold(row: dict) -> dict:
    """The right answer to a row of a classify or mine task."""
    return {"id": row["id"], "prediction": row["label"] if "label" in row else row["match"]}
