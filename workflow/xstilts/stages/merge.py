"""merge: combine trainings from one checkpoint without training.

With the weights p of their parent and t of each training, the result is p + scale · Σ (t − p): task
arithmetic (Ilharco et al. 2023). By default the scale is one by their number, which gives the mean
of the trainings (Wortsman et al. 2022), whatever their parent is. Heads belong to their tasks and
are left out; of text-to-text models, which have none, all weights are merged.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig

from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint
from xstilts.modelling.checkpoints import (
    POOLER,
    check_finite,
    encoder_weights,
    head_config,
    load_tokenizer,
    model_class,
    opened_weights,
)
from xstilts.sources.models import share_tokenizer
from xstilts.store.provenance import provenance

Weights = Mapping[str, Callable[[], torch.Tensor]]  # read when they are needed


def run(step: Checkpoint) -> None:
    """Merge and publish the checkpoint.

    Raise InputError for damaged checkpoints, and for those that cannot be merged.
    """
    started = time.monotonic()
    manifests = [store.CheckpointManifest.verify(Path(node.path)) for node in step.merged]
    check_parents(step.id, manifests)
    nodes = [*step.merged, *([] if step.scale is None else [step.parent])]
    folders = [Path(node.path) for node in nodes]
    config = AutoConfig.from_pretrained(folders[0], **head_config())
    made = model_class(config, step.merged[0].parts[0].family)
    pooler = all(manifest.pretrained_pooler for manifest in manifests)
    weights = [encoder_weights(opened_weights(folder), made, pooler) for folder in folders]
    check_architectures(step.id, folders, weights)
    merged = combined(weights, len(manifests), step.scale)
    check_finite(merged, step.id)
    kind = made if made.can_generate() else model_class(config, "mine")
    config.architectures = [kind.__name__]
    folder = store.scratch(step.id)
    save_file(merged, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    share_tokenizer(folders[0], folder)
    store.CheckpointManifest.publish(
        folder,
        Path(step.path),
        content=step.identity.content,
        lineage=[checkpoint.id for checkpoint in step.lineage()],
        pretrained_pooler=any(name.startswith(POOLER) for name in merged),
        labels={},
        parameters=sum(weight.numel() for weight in merged.values()),
        provenance=provenance(started),
    )


def check_parents(name: str, manifests: Sequence[store.CheckpointManifest]) -> None:
    """Raise InputError if trainings began with different checkpoints."""
    parents = [manifest.lineage[:-1] for manifest in manifests]
    for manifest, parent in zip(manifests, parents, strict=True):
        if parent != parents[0]:
            raise InputError(
                f"{name}: {manifest.id} was trained from {parent[-1:]}, but {manifests[0].id} from "
                f"{parents[0][-1:]}; only trainings from one checkpoint can be merged"
            )


def check_architectures(name: str, folders: Sequence[Path], weights: Sequence[Weights]) -> None:
    """Raise InputError for other vocabularies, or weights of other names and shapes.

    A pooler may be missing: the heads of some families have none.
    """
    vocabularies = [load_tokenizer(folder).get_vocab() for folder in folders]
    shapes = [
        {key: tuple(read().shape) for key, read in some.items() if not key.startswith(POOLER)}
        for some in weights
    ]
    for folder, vocabulary, shape in zip(folders, vocabularies, shapes, strict=True):
        what = "the vocabulary" if vocabulary != vocabularies[0] else ""
        differing = sorted(dict(shape.items() ^ shapes[0].items()))
        if differing:
            what = f"the architecture ({differing[0]})"
        if what:
            raise InputError(
                f"{name}: {what} of {folder} differs from that of {folders[0]}; only checkpoints "
                "of one model can be merged"
            )


def combined(
    weights: Sequence[Weights], number: int, scale: float | None
) -> dict[str, torch.Tensor]:
    """Return the merge of the first `number` weights; with a scale, their parent's are the last.

    A name that some lack, of a pooler, is left out. Sums are in double precision.
    """
    factors = [1 / number if scale is None else scale] * number
    factors += [1 - sum(factors)] * (len(weights) - number)
    shared = set(weights[0]).intersection(*weights[1:])
    merged = {}
    for name in sorted(shared):
        tensors = [some[name]() for some in weights]
        pairs = zip(factors, tensors, strict=True)
        total = sum(factor * tensor.double() for factor, tensor in pairs)
        merged[name] = total.to(tensors[0].dtype).contiguous()
    return merged
