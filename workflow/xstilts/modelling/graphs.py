"""CUDA graphs: the kernels of a micro-batch are recorded once for each shape, then replayed.

A step of short texts waits for Python, which starts some 2,000 kernels one by one. A GPU replays
them without waiting (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs): kernels
and random numbers are the same, and so are the weights, to the last bit. `benchmarks/README.md`
has the speed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xstilts.errors import InputError
from xstilts.families import IGNORED
from xstilts.modelling import distributed

if TYPE_CHECKING:  # benchmarks/gpu.py needs this module without the package's dependencies
    from xstilts.config.settings import Train

Batch = Mapping[str, Any]
Compute = Callable[[dict], torch.Tensor]  # micro-batch -> loss; adds to the weights' gradients

# Model types whose training needs no value of the GPU on the CPU: `tests/modelling/test_graphs.py`
# looks at their operations, and compares weights on a GPU.
RECORDED_TYPES = ("bert", "eurobert", "modernbert", "rembert", "xlm-roberta", "xlm-roberta-xl")
MULTIPLE = 16  # of the tokens of a batch: fewer shapes, and aligned rows for attention
_MULTIPLE_CHOSEN = 64  # of its masked tokens, whose number varies within a shape
_MOST = 100  # shapes that are recorded


def reason_against(model: nn.Module, settings: "Train") -> str:
    """Return why a training on this machine is not recorded; "" if it is."""
    model_type = model.config.model_type
    if not torch.cuda.is_available():
        return "no GPU"
    if distributed.count() > 1:
        return "several processes share the weights"
    if settings.packing:
        return "the number of tokens differs between batches of one shape"
    if model_type not in RECORDED_TYPES:
        return f"not known to work for model_type {model_type!r}"
    return ""


@contextmanager
def side_stream() -> Iterator[None]:
    """Compute on another stream of the GPU than the default one, which cannot be recorded."""
    if not torch.cuda.is_available():
        yield
        return
    before, stream = torch.cuda.current_stream(), torch.cuda.Stream()
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        yield
    before.wait_stream(stream)


def rounded(batch: Batch, pad_id: int) -> dict[str, Any]:
    """Return a batch padded further: to a multiple of 16 tokens, and of 64 masked ones."""
    fill = {"input_ids": pad_id, "attention_mask": 0, "token_type_ids": 0, "labels": IGNORED}
    shape = batch["input_ids"].shape
    extra = -shape[-1] % MULTIPLE
    padded = {
        key: nn.functional.pad(value, (0, extra), value=fill[key])
        if key in fill and value.shape == shape
        else value
        for key, value in batch.items()
    }
    if "chosen" in batch:
        more = -batch["chosen"].shape[-1] % _MULTIPLE_CHOSEN
        padded["chosen"] = nn.functional.pad(batch["chosen"], (0, more), value=-1)
    return padded


class GraphedGradients:
    """Compute losses and gradients of micro-batches: as given at first, then by replayed kernels.

    `record` takes a computation and its inputs and returns a function that computes it again, with
    what the inputs then contain, and the loss which that changes.
    """

    def __init__(self, weights: Iterable[nn.Parameter], compute: Compute, record=None):
        self.weights = [weight for weight in weights if weight.requires_grad]
        self.compute, self.record = compute, record or _Recorder()
        # recorded kernels add to gradients at fixed places
        self.places: dict[nn.Parameter, torch.Tensor] = {}
        self.used: dict[tuple, list[nn.Parameter]] = {}  # shape -> weights with a gradient
        # shape -> replay, its loss and its inputs
        self.recorded: dict[tuple, tuple[Callable[[], None], torch.Tensor, dict]] = {}

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Add a micro-batch's gradients to those of the weights and return its loss.

        Raise InputError if it cannot be recorded.
        """
        shape = _shape(batch)
        is_full = len(self.recorded) >= _MOST and shape not in self.recorded
        if shape not in self.used or is_full:
            return self._plain(batch, shape)
        self._clear(self.used[shape])
        if shape not in self.recorded:
            self.recorded[shape] = self._recorded(batch)
        replay, loss, inputs = self.recorded[shape]
        for key, value in batch.items():
            if isinstance(value, torch.Tensor):
                inputs[key].copy_(value, non_blocking=True)
        replay()
        return loss.clone()

    def _recorded(self, batch: Batch) -> tuple[Callable[[], None], torch.Tensor, dict]:
        inputs = {
            key: value.clone() if isinstance(value, torch.Tensor) else value
            for key, value in batch.items()
        }
        try:
            return (*self.record(self.compute, inputs), inputs)
        except torch.OutOfMemoryError:
            raise  # a smaller micro-batch may fit
        except RuntimeError as error:  # afterwards this process cannot compute on the GPU
            raise InputError(
                f"cannot record a batch of {tuple(batch['input_ids'].shape)} tokens as a CUDA "
                f"graph: {str(error).splitlines()[0]}; state `eager: true` in the `resources` of "
                "the model: it is no part of a result's identity"
            ) from error

    def _plain(self, batch: Batch, shape: tuple) -> torch.Tensor:
        """Compute without a recording, and note which weights get a gradient.

        A weight of a head that a batch does not use must have none: AdamW would change it.
        """
        earlier = [weight.grad for weight in self.weights]
        for weight in self.weights:
            weight.grad = None
        loss = self.compute(dict(batch))
        self.used[shape] = [weight for weight in self.weights if weight.grad is not None]
        for weight, before in zip(self.weights, earlier, strict=True):
            if weight.grad is None:
                weight.grad = before
            elif before is None:
                weight.grad = self._place(weight).copy_(weight.grad)
            else:
                weight.grad = before.add_(weight.grad)
        return loss

    def _clear(self, weights: Sequence[nn.Parameter]) -> None:
        """Give weights without a gradient one of zeros, at its place."""
        empty = [weight for weight in weights if weight.grad is None]
        for weight in empty:
            weight.grad = self._place(weight)
        if empty:
            torch._foreach_zero_([weight.grad for weight in empty])

    def _place(self, weight: nn.Parameter) -> torch.Tensor:
        if weight not in self.places:
            self.places[weight] = torch.empty_like(weight)
        return self.places[weight]


class _Recorder:
    """Records computations as CUDA graphs; they share memory, since one runs at a time."""

    def __init__(self):
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Compute, inputs: dict) -> tuple[Callable[[], None], torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=torch.cuda.current_stream()):
            loss = compute(dict(inputs))
        return graph.replay, loss


def _shape(batch: Batch) -> tuple:
    """Return what must be equal for a replay: shapes, and values that are no tensors."""
    return tuple(
        (key, tuple(value.shape) if isinstance(value, torch.Tensor) else value)
        for key, value in batch.items()
    )
