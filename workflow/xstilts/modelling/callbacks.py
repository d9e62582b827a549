"""Trainer callbacks: progress reports, a clean stop on signals, early stopping."""

import logging
import signal
import time
from contextlib import suppress

from transformers import TrainerCallback

from xstilts.errors import Stopped
from xstilts.grid.artefacts import Checkpoint
from xstilts.modelling import distributed
from xstilts.processes import signals
from xstilts.store import progress
from xstilts.units import duration, rate

log = logging.getLogger("xstilts")

PROGRESS_SECONDS = 10


class Progress(TrainerCallback):
    """Report of step, loss, rate and time left every ten seconds: a line, a file for `status`."""

    def __init__(self, step: Checkpoint, started: float):
        self.step = step
        self.started = started
        self.loss: float | None = None

    def on_train_begin(self, args, state, control, **kwargs):  # noqa: D102
        self.start = self.last = time.monotonic()
        self.first_step = state.global_step

    def on_log(self, args, state, control, logs=None, **kwargs):  # noqa: D102
        self.loss = (logs or {}).get("loss", self.loss)

    def on_step_end(self, args, state, control, **kwargs):  # noqa: D102
        now = time.monotonic()
        if now - self.last < PROGRESS_SECONDS:
            return
        self.last = now
        speed = (state.global_step - self.first_step) / (now - self.start)
        left = (state.max_steps - state.global_step) / speed
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        log.info(
            f"{self.step.identity.name}: step {state.global_step}/{state.max_steps}{loss}, "
            f"{rate(speed, 'step')}, {duration(left)} left"
        )
        report = progress.Progress(
            step=state.global_step,
            steps=state.max_steps,
            loss=self.loss,
            examples_per_second=round(speed * self.step.settings.batch_size, 1),
            seconds_left=round(left),
            seconds_spent=round(now - self.started),
        )
        if state.is_world_process_zero:
            with suppress(OSError):  # a full disk here is no reason to end a training
                report.write(self.step.id)


class StopOnSignal(TrainerCallback):
    """Stop on SIGTERM (a scheduler's warning) or SIGINT: save at the end of the step, then stop."""

    def __init__(self, id: str):
        self.id = id
        self.signal: int | None = None
        self.agreed: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number, frame):
        self.signal = number
        signals.received.append(number)

    def on_step_end(self, args, state, control, **kwargs):  # noqa: D102
        self.agreed = distributed.agree(self.signal)
        if self.agreed is not None:
            control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        """Raise Stopped: a normal end would load the best weights and delete this save."""
        if self.agreed is not None and not control.should_training_stop:
            distributed.wait()  # for all saves: torchrun ends all processes when the first ends
            raise Stopped(
                self.agreed,
                f"{self.id}: stopped at step {state.global_step} of {state.max_steps}; the next "
                "run resumes there",
            )


class Patience(TrainerCallback):
    """Early stopping after `patience` validations without a gain.

    Validations are counted in the log, which a resumed training keeps.
    """

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args, state, control, **kwargs):  # noqa: D102
        scores = [entry["eval_score"] for entry in state.log_history if "eval_score" in entry]
        if len(scores) - 1 - scores.index(max(scores)) >= self.patience:
            control.should_training_stop = True


def spent_before(id: str) -> int:
    """Return the seconds spent in earlier, interrupted attempts, from the progress file."""
    report = progress.Progress.read(id)
    return report.seconds_spent if report else 0
