"""train: fine-tune a parent checkpoint on the tasks of one step.

Reads the parent checkpoint and the prepared data; writes a checkpoint folder with `manifest.json`
and `training.jsonl` (the log). The state to resume from is stored in `results/scratch/<id>`: an
interrupted training resumes from its last save and ends with the weights of an uninterrupted one.
"""

import gc
import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from xstilts import store
from xstilts.config.settings import Predict
from xstilts.config.training import TrainingOptions
from xstilts.errors import Diverged, InputError
from xstilts.families import family
from xstilts.grid.artefacts import Checkpoint
from xstilts.modelling import distributed, graphs, lora, saves, trackers
from xstilts.modelling.arguments import training_arguments
from xstilts.modelling.batches import Batches, Material, read_materials
from xstilts.modelling.callbacks import Patience, Progress, StopOnSignal, spent_before
from xstilts.modelling.checkpoints import (
    Multitask,
    check_finite,
    encoder_of,
    fresh_head,
    load_tokenizer,
)
from xstilts.modelling.compact import CompactEmbedding, Decay, reason_against, restore, shrink
from xstilts.modelling.determinism import allow_other_kernels, make_deterministic
from xstilts.modelling.inference import predict_rows
from xstilts.modelling.packing import packed
from xstilts.modelling.precision import prepare
from xstilts.modelling.steps import ceil_div, check_packing, head_seed
from xstilts.sources.models import share_tokenizer
from xstilts.store import paths
from xstilts.store.provenance import computation
from xstilts.units import count

log = logging.getLogger("xstilts")
_DEFAULT = TrainingOptions()


class StepTrainer(Trainer):
    """The library's Trainer with this project's validation and a check of every loss."""

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        batches: Batches,
        callbacks: list[TrainerCallback],
        graphed: bool,
    ):
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=batches,
            eval_dataset=[material.validation for material in batches.materials.values()],
            data_collator=itemgetter(0),  # an item is a micro-batch
            processing_class=batches.tokenizer,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)  # Progress reports the same in fewer words
        self.step, self.materials = batches.step, batches.materials
        self.gradients: graphs.GraphedGradients | None = None
        self.graphed = graphed
        self.model_accepts_loss_kwargs = False  # `weight` of a micro-batch does this
        self.unchecked: list[tuple[int, torch.Tensor]] = []

    def compute_loss(self, model, inputs, *args, **kwargs):
        """Return the loss of a micro-batch, weighted by its share of the step's terms."""
        weight, layout = inputs.pop("weight"), inputs.pop("layout", None)
        with packed(encoder_of(self.model), layout):
            return super().compute_loss(model, inputs) * weight

    def training_step(self, model, inputs, *args, **kwargs):
        """Run the library's step, or replay it; remember its loss for `check_losses`."""
        if self.graphed:
            if self.gradients is None:
                compute = partial(super().training_step, model)
                self.gradients = graphs.GraphedGradients(model.parameters(), compute)
            batch = graphs.rounded(inputs, self.processing_class.pad_token_id)
            loss = self.gradients(self._prepare_inputs(batch))
        else:
            loss = super().training_step(model, inputs, *args, **kwargs)
        self.unchecked.append((self.state.global_step + 1, loss.detach()))
        return loss

    def check_losses(self) -> None:
        """Raise Diverged, naming the first step, if a loss since the last check is not finite.

        A look at a loss waits for the GPU. So losses are looked at together: when they are logged,
        and before weights are saved, validated or published.
        """
        if not self.unchecked:
            return
        steps, losses = zip(*self.unchecked, strict=True)
        self.unchecked = []
        values = torch.stack(losses)
        finite = torch.isfinite(values).tolist()
        if not all(finite):
            first = finite.index(False)
            loss = values[first].item()
            raise Diverged(f"{self.step.id}: the loss is {loss} at step {steps[first]}")

    def log(self, *args, **kwargs):
        """Log as the library does, after a check of the losses."""
        self.check_losses()
        super().log(*args, **kwargs)

    def save_model(self, *args, **kwargs):
        """Save as the library does, after a check of the losses."""
        self.check_losses()
        super().save_model(*args, **kwargs)

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """Return the main metric of each task on its validation data, and their mean."""
        self.check_losses()
        with distributed.gathered(self.model):
            scores = {
                material.part.task: self._validate(material)
                for material in self.materials.values()
                if material.validation
            }
        metrics = {f"eval_{name}": score for name, score in scores.items()}
        metrics["eval_score"] = sum(scores.values()) / len(scores)
        self.log(dict(metrics))
        if self.step.settings.select == "best":
            self._save_if_best(metrics["eval_score"])
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_if_best(self, score: float) -> None:
        """Save the weights if no validation before had this score."""
        state = self.state
        if state.best_metric is not None and score <= state.best_metric:
            return
        state.best_metric, state.best_global_step = score, state.global_step
        weights = distributed.distinct_state(self)
        if distributed.is_main():
            saves.write_best(Path(self.args.output_dir), state.global_step, weights)
        distributed.wait()

    def _validate(self, material: Material) -> float:
        part = material.part
        module = family(part.family)
        model = self.model
        if isinstance(model, Multitask):
            model = model.models[part.task]
        predictions = predict_rows(
            model,
            self.processing_class,
            module,
            material.validation,
            material.labels,
            part.encode,
            Predict(precision=self.step.settings.precision),
            material.source,
        )
        language = part.validation.language
        return module.METRICS[part.metrics[0]](material.validation, predictions, language)


def run(step: Checkpoint, options: TrainingOptions = _DEFAULT) -> None:
    """Train one step and publish its checkpoint.

    A GPU with too little memory for a micro-batch gets half of it. Raise InputError for damaged or
    unsuitable inputs, Diverged for a loss that is not finite, Stopped after a signal.
    """
    started = time.monotonic() - spent_before(step.id)
    saving = [saves.SealSaves(), saves.SaveByTime(options.save_minutes)]
    callbacks = [Progress(step, started), *saving, StopOnSignal(step.id)]
    trackers.prepare(options.trackers, step.id)
    prepare(step.settings.precision, step.id)
    make_deterministic()
    parent = Path(step.parent.path)
    inherited = store.CheckpointManifest.verify(parent)
    tokenizer = load_tokenizer(parent)
    materials = read_materials(step, tokenizer)
    options = replace(options, micro_batch=options.micro_batch or step.settings.batch_size)
    while True:
        batches = Batches(step, materials, tokenizer, options.micro_batch)
        if trainer := _trained(batches, options, inherited.pretrained_pooler, callbacks):
            break
        options = replace(options, micro_batch=ceil_div(options.micro_batch, 2))
        log.warning(
            f"{step.id}: too little memory on the GPU: {options.micro_batch} examples at a time"
        )
        gc.collect()
        torch.cuda.empty_cache()
    weights = _selected(trainer)
    if distributed.is_main():
        computed = computation(started, options.micro_batch, step.settings.precision)
        table = encoder_of(trainer.model).get_input_embeddings()
        computed["embeddings"] = len(table.weight) if isinstance(table, CompactEmbedding) else None
        computed["cuda_graphs"] = trainer.graphed
        restore(encoder_of(trainer.model))
        publish(trainer, weights, inherited, computed)
    distributed.wait()


def _trained(
    batches: Batches, options: TrainingOptions, pooler: bool, callbacks: list[TrainerCallback]
) -> StepTrainer | None:
    """Train a step and return its Trainer; return None if the GPU's memory is too small.

    Several processes and single examples raise InputError then.
    """
    model = _new_model(batches, pooler)
    compact = _compacted(batches, model) if options.compact_embeddings else None
    # one process cannot read the saves of several, nor those of another table of embeddings
    kind = "sharded" if distributed.count() > 1 else "compact" if compact else "trainer"
    state = store.scratch(batches.step.id, keep=True) / kind
    arguments = training_arguments(batches, state, model, options)
    callbacks = [*callbacks]
    if patience := batches.step.settings.patience:
        callbacks.append(Patience(patience))
    if compact:
        callbacks.append(Decay(compact))
    graphed = not options.eager and _can_be_graphed(batches, model)
    trainer = StepTrainer(model, arguments, batches, callbacks, graphed)
    with graphs.side_stream():
        return trainer if _train(trainer, options.micro_batch) else None


def _can_be_graphed(batches: Batches, model: nn.Module) -> bool:
    """Whether the kernels of a training are recorded; say why not, if there is a GPU."""
    reason = graphs.reason_against(model, batches.step.settings)
    if reason and torch.cuda.is_available():
        log.info(f"{batches.step.identity.name}: no CUDA graphs: {reason}")
    return not reason


def _train(trainer: StepTrainer, micro_batch: int) -> bool:
    """Train to the end, from the last save if there is one; return False if memory is short."""
    try:
        trainer.train(resume_from_checkpoint=_resume_point(Path(trainer.args.output_dir)))
        return True
    except torch.OutOfMemoryError:
        if micro_batch > 1 and distributed.count() == 1:  # others would wait for this process
            return False
        step = trainer.step
        raise InputError(
            f"{step.id}: too little memory on the GPU for {count(micro_batch, 'example')} at a "
            f"time; state a smaller `micro_batch`, or more GPUs (`gpu`), in the `resources` of "
            f"model {step.model!r}: they are not part of a result's identity"
        ) from None
    except RuntimeError as error:  # in the first step, before the weights change
        if not allow_other_kernels(error, trainer.step.id):
            raise
        trainer.gradients = None
        return _train(trainer, micro_batch)


def _selected(trainer: StepTrainer) -> dict[str, torch.Tensor] | None:
    """Return the weights to publish, in the main process; None if they are those of the model."""
    best, is_alone = trainer.state.best_global_step, distributed.count() == 1
    if best is None and is_alone:
        return None
    if best is None:
        found = distributed.distinct_state(trainer)  # from all processes
    else:
        folder = Path(trainer.args.output_dir)
        found = saves.read_best(folder, best) if distributed.is_main() else {}
    weights = distributed.with_all_names(trainer.model, found)
    if not is_alone:
        return weights
    trainer.model.load_state_dict(weights)
    return None


def _new_model(batches: Batches, pooler: bool) -> nn.Module:
    """Return the model of a step, before its first update: the parent's encoder with new heads."""
    step = batches.step
    by_task = {material.part.task: material for material in batches.materials.values()}
    heads = {
        task: fresh_head(
            Path(step.parent.path),
            material.part.family,
            material.labels,
            pooler,
            head_seed(step.seed, number),
        )
        for number, (task, material) in enumerate(by_task.items())
    }
    model = Multitask(heads) if len(heads) > 1 else next(iter(heads.values()))
    if step.settings.packing:
        check_packing(model.config.model_type, step.id)
    if step.settings.lora:
        lora.adapt(model, step.settings.lora, pooler, step.seed)
    return model


def _compacted(batches: Batches, model: nn.Module) -> CompactEmbedding | None:
    """Replace the table of a model's encoder by a compact one; None if that is not possible."""
    step, materials = batches.step, batches.materials
    reason = reason_against(step.settings, batches.families, model)
    if reason:
        log.info(f"{step.identity.name}: compact_embeddings has no effect: {reason}")
        return None
    features = (feature for material in materials.values() for feature in material.features)
    compact = shrink(encoder_of(model), features, batches.tokenizer.pad_token_id)
    log.info(
        f"{step.identity.name}: {len(compact.weight):,} of {len(compact.place):,} embeddings occur"
    )
    return compact


def _resume_point(folder: Path) -> str | None:
    """Return the last complete save; the main process discards damaged ones."""
    step = distributed.agree(saves.last_step(folder) if distributed.is_main() else None)
    if step is None:
        return None
    log.info(f"resuming from step {step}")
    return str(saves.save_of(folder, step))


def publish(
    trainer: StepTrainer,
    weights: Mapping[str, torch.Tensor] | None,
    inherited: store.CheckpointManifest,
    computed: Mapping[str, Any],
) -> None:
    """Publish the encoder or model of a finished training, and delete its resume state.

    `weights` are None if they are those of the trainer's model. `inherited` is the manifest of the
    parent, `computed` the provenance.
    """
    step, materials = trainer.step, trainer.materials
    folder = store.scratch(step.id, keep=True)
    made = folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    model = trainer.model
    if isinstance(model, Multitask):
        weights = weights and model.encoder_weights(weights)
        model = model.encoder
    if step.settings.lora:
        weights = lora.merged(weights or model.state_dict(), step.settings.lora)
    check_finite(weights or model.state_dict(), f"{step.id}: after the last step")
    if step.settings.save_precision == "bf16":
        model, weights = _halved(model, weights)
    model.save_pretrained(made, state_dict=weights)
    share_tokenizer(Path(step.parent.path), made)
    state = trainer.state
    store.write_lines(made / paths.LOG, _log(state.log_history))
    store.CheckpointManifest.publish(
        made,
        Path(step.path),
        content=step.identity.content,
        lineage=[checkpoint.id for checkpoint in step.lineage()],
        pretrained_pooler=inherited.pretrained_pooler,
        labels={material.part.task: material.labels for material in materials.values()},
        examples={name: len(material.features) for name, material in materials.items()},
        steps=state.global_step,
        best_step=state.best_global_step,
        parameters=sum(weight.numel() for weight in trainer.model.parameters()),
        provenance=computed,
    )
    shutil.rmtree(folder)


def _halved(model, weights):
    """Return a model and its gathered weights, if there are any, in bf16."""
    if weights is None:
        return model.bfloat16(), None
    floats = {name: weight.is_floating_point() for name, weight in weights.items()}
    return model, {name: w.bfloat16() if floats[name] else w for name, w in weights.items()}


def _log(history: Sequence[Mapping]) -> list[dict]:
    """Return the entries of a training's log without times; null for an infinite norm."""
    return [
        {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in sorted(entry.items())  # a resume reads them in another order
            if not key.endswith(("_runtime", "_second"))
        }
        for entry in history
        if "train_runtime" not in entry
    ]
