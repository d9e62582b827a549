"""Experiment trackers: the Trainer's own integrations, without a network unless the user asks.

A compute node often has none, so each tracker writes to `results/trackers/` by default. Variables
that are set in the environment take precedence.
"""

import os
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path("results/trackers")
PROJECT = "xstilts"  # that trackers show the runs in


def prepare(names: Sequence[str], run: str) -> None:
    """Set the environment that the trackers of a training read. The name of the run is its id."""
    if not names:
        return
    folder = FOLDER.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {
        "WANDB_MODE": "offline",  # `wandb sync results/trackers/wandb/*` uploads the runs
        "WANDB_DIR": str(folder),
        "WANDB_PROJECT": PROJECT,
        "MLFLOW_TRACKING_URI": (folder / "mlflow").as_uri(),
        "MLFLOW_EXPERIMENT_NAME": PROJECT,
        "TRACKIO_DIR": str(folder / "trackio"),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard" / run)
