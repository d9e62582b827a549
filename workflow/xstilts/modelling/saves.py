"""Saves: states from which an interrupted training resumes.

A save ends with a manifest, as a published artefact does. One that a crash or a power cut left
incomplete or damaged is discarded, and the one before it is used: a training never resumes with
weights of one step and a fresh optimiser. The weights that are best on validation are beside the
saves, alone: they are a third of a save, and are written only when they are better.
"""

import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from xstilts import store
from xstilts.errors import InputError
from xstilts.modelling import distributed

log = logging.getLogger("xstilts")

KEPT = 2  # the last save, and the one before it in case that is damaged
_NAME = "checkpoint-"  # of the Trainer
_WEIGHTS = "model.safetensors"


class SealSaves(TrainerCallback):
    """Write the manifest of each save, when all processes have written their parts."""

    def on_save(self, args, state, control, **kwargs):  # noqa: D102
        distributed.wait()
        if state.is_world_process_zero:
            store.Manifest.seal(save_of(Path(args.output_dir), state.global_step), content={})
        distributed.wait()


class SaveByTime(TrainerCallback):
    """Save the state every `minutes`, at the end of a step."""

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes

    def on_train_begin(self, args, state, control, **kwargs):  # noqa: D102
        self.last = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):  # noqa: D102
        is_due = time.monotonic() - self.last >= self.seconds
        if distributed.agree(int(is_due) or None) and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args, state, control, **kwargs):  # noqa: D102
        self.last = time.monotonic()


def save_of(folder: Path, step: int) -> Path:
    """Return the folder of the save of an optimiser step."""
    return folder / f"{_NAME}{step}"


def last_step(folder: Path) -> int | None:
    """Return the optimiser step of the last complete save, and discard damaged ones."""
    found = [int(path.name.removeprefix(_NAME)) for path in folder.glob(f"{_NAME}*")]
    complete = [step for step in sorted(found) if _is_complete(save_of(folder, step))]
    for step in reversed(complete):
        save = save_of(folder, step)
        best = _best(save)
        if best is None or _is_complete(_best_of(folder, best)):
            return step
        _discard(save, f"the best weights so far, of step {best}, are missing")
    return None


def write_best(folder: Path, step: int, weights: Mapping[str, torch.Tensor]) -> None:
    """Write the weights that are best on validation so far; delete those that no save needs."""
    best = _best_of(folder, step)
    steps = map(_best, folder.glob(f"{_NAME}*"))
    needed = {best, *(_best_of(folder, step) for step in steps if step is not None)}
    for old in {*folder.glob("best-*")} - needed:
        shutil.rmtree(old)
    shutil.rmtree(best, ignore_errors=True)  # of an attempt that was interrupted later
    best.mkdir(parents=True)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, best / _WEIGHTS)
    store.Manifest.seal(best, content={})


def read_best(folder: Path, step: int) -> dict[str, torch.Tensor]:
    """Return the weights that `write_best` wrote at a step. Raise InputError if damaged."""
    best = _best_of(folder, step)
    store.Manifest.verify(best)
    return load_file(best / _WEIGHTS)


def _best_of(folder: Path, step: int) -> Path:
    return folder / f"best-{step}"


def _is_complete(save: Path) -> bool:
    try:
        store.Manifest.verify(save)
    except InputError as error:
        _discard(save, str(error).partition("; ")[0])  # without the remedy
        return False
    return True


def _best(save: Path) -> int | None:
    """Return the step of the weights that were best when a save was written."""
    return store.read_object(save / "trainer_state.json").get("best_global_step")


def _discard(save: Path, reason: str) -> None:
    log.warning(f"{save.name}: this save is discarded: {reason}")
    shutil.rmtree(save, ignore_errors=True)
