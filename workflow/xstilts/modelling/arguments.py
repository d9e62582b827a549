"""The arguments of a step's Trainer, from the step's settings."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from xstilts.config.settings import Train
from xstilts.config.training import TrainingOptions
from xstilts.modelling import distributed, saves, trackers
from xstilts.modelling.batches import Batches


def training_arguments(
    batches: Batches, folder: Path, model: nn.Module, options: TrainingOptions
) -> TrainingArguments:
    """Return the library's arguments; `folder` holds the saves."""
    step, settings, save_every = batches.step, batches.step.settings, options.save_every
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=batches.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=batches.per_step // distributed.count(),
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_epsilon=settings.adam_epsilon,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),  # otherwise the library refuses bf16 there
        fp16=settings.precision == "fp16",
        seed=step.seed,
        # "no": at the times of SaveByTime only, and not once more after the last step
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or 1,
        save_total_limit=saves.KEPT,
        logging_steps=max(1, batches.steps // 50),
        logging_nan_inf_filter=False,
        report_to=list(options.trackers),
        run_name=step.id,
        project=trackers.PROJECT,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        **_schedule(settings, batches.steps),
        **_validation(settings, batches.steps),
        **distributed.sharding(model),
    )
    distributed.shard_on_cpu()
    arguments._n_gpu = min(arguments.n_gpu, 1)  # else DataParallel would split micro-batches
    return arguments


def _schedule(settings: Train, steps: int) -> dict[str, Any]:
    """Return the schedule of the learning rate by the library's names, with its warmup."""
    warmup = settings.warmup_steps
    if warmup is None:
        warmup = round(settings.warmup * steps)
    name, options = settings.schedule, {}
    if name == "constant":
        name = "constant_with_warmup"
    if name == "warmup_stable_decay":
        options = {"num_decay_steps": steps // 2, "decay_type": "linear"}
    return {"lr_scheduler_type": name, "lr_scheduler_kwargs": options, "warmup_steps": warmup}


def _validation(settings: Train, steps: int) -> dict[str, Any]:
    """Return when to validate.

    A training that is shorter validates at its end: otherwise no weights would be the best.
    """
    if not settings.evaluate_every:
        return {}
    return {"eval_strategy": "steps", "eval_steps": min(settings.evaluate_every, steps)}
