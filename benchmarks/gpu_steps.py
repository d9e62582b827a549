"""The steps that are measured: XLM-R large with random weights, texts with the lengths of data.

Needs this repository, torch and transformers.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
from xstilts.families import IGNORED, mask
from xstilts.modelling.compact import shrink
from xstilts.modelling.determinism import make_deterministic
from xstilts.modelling.graphs import GraphedGradients, rounded
from xstilts.modelling.packing import layout_of, packed

PAD = 1  # id of padding
OCCUR = 30_000  # different pieces in the texts
NAMES = "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size".split()
SIZES = dict(zip(NAMES, (250002, 1024, 24, 16, 4096), strict=True))  # XLM-R large
TINY = dict(zip(NAMES, (2000, 64, 2, 4, 128), strict=True))
TARGETS = ("mnli", "ud", "squad")
BATCH = {"mnli": 32, "ud": 32, "squad": 16, "mlm": 32}
MASKED = 0.15  # of the tokens of `mlm`
SCRIPT = {"mnli": 128, "ud": 128, "squad": 384}  # length to which usual scripts pad
# Tokens of an example at 21 evenly spaced quantiles: MNLI, English UD, SQuAD with XLM-R's pieces;
# paragraphs in windows of 128 are an assumption.
LENGTHS = {
    "mnli": "9 19 23 27 30 33 36 39 41 44 48 51 53 56 59 63 67 73 80 94 206",
    "ud": "3 4 6 8 9 10 11 13 14 16 18 20 22 24 27 30 34 40 48 66 117",
    "squad": "67 106 122 136 153 170 182 193 201 209 218 229 240 260 273 286 304 323 352 384 384",
    "mlm": "8 20 32 44 56 68 80 92 104 116 128 128 128 128 128 128 128 128 128 128 128",
}


@dataclass(frozen=True)
class Setup:
    """A configuration of training or prediction."""

    phase: str  # train or predict
    task: str
    batches: str = "grouped"  # fixed, random, grouped (similar lengths) or packed
    precision: str = "bf16"
    micro: int = 1  # micro-batches of a step
    compact: bool = False  # train only the embeddings that occur
    processes: int = 1  # trainings that share the GPU
    mps: bool = False  # at the same time, by NVIDIA's MPS, instead of in turns
    deterministic: bool = True  # kernels with the same result each time, as the product has
    graphs: bool = False  # steps are recorded and replayed, as the product does

    @property
    def name(self) -> str:
        """The configuration in words."""
        extra = [f"{self.micro} micro-batches"] * (self.micro > 1)
        extra += ["compact embeddings"] * self.compact
        extra += [f"{self.processes} processes"] * (self.processes > 1) + ["MPS"] * self.mps
        extra += ["any kernels"] * (not self.deterministic) + ["graphs"] * self.graphs
        return ", ".join([self.phase, self.task, self.batches, self.precision, *extra])


def lengths(task: str, count: int) -> np.ndarray:
    """Return token counts drawn from a task's quantiles."""
    quantiles = np.array(LENGTHS[task].split(), float)
    drawn = np.random.default_rng(1).random(count) * (len(quantiles) - 1)
    return np.interp(drawn, np.arange(len(quantiles)), quantiles).round().astype(int)


def batches_of(setup: Setup, size: np.ndarray) -> list[np.ndarray]:
    """Return the examples of each batch, as the product or a usual script would form them."""
    random, count = np.random.default_rng(2), BATCH[setup.task]
    if setup.phase == "predict" and setup.batches == "grouped":
        batches = by_tokens(size, 16384)
    else:
        order = random.permutation(len(size))
        if setup.batches in ("grouped", "packed"):
            pools = np.split(order, range(50 * count, len(order), 50 * count))
            order = np.concatenate([pool[np.argsort(size[pool])] for pool in pools])
        batches = np.split(order, range(count, len(order), count))
    return [batches[number] for number in random.permutation(len(batches))]


def by_tokens(size: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Return batches of similar lengths with at most `tokens` tokens, padding included."""
    batches: list[list[int]] = [[]]
    for number in np.argsort(size, kind="stable"):
        last, longest = batches[-1], size[number]
        if last and (longest * (len(last) + 1) > tokens or size[last[0]] < 0.8 * longest):
            batches.append([])
        batches[-1].append(number)
    return [np.array(batch) for batch in batches]


class Texts:
    """Random token ids of given lengths, as tensors on a device."""

    def __init__(self, size: np.ndarray, vocabulary: int, device: torch.device):
        random = np.random.default_rng(3)
        pieces = random.permutation(np.arange(5, vocabulary))[:OCCUR]
        self.ids = [random.choice(pieces, length) for length in size]
        chosen = [random.random(length) < MASKED for length in size]
        pairs = zip(self.ids, chosen, strict=True)
        self.labels = [np.where(where, ids, IGNORED) for ids, where in pairs]
        self.device = device

    def masked(self, numbers: np.ndarray) -> dict:
        """Return a batch of masked language modelling."""
        texts = [{"input_ids": self.ids[n], "labels": self.labels[n]} for n in numbers]
        return self._moved(mask.collate(texts, PAD))

    def padded(self, numbers: np.ndarray, longest: int = 0, is_packed: bool = False) -> dict:
        """Return a batch with padding to `longest` tokens or the longest text, or its layout."""
        longest = longest or max(len(self.ids[number]) for number in numbers)
        ids = np.full((len(numbers), longest), PAD)
        for row, number in zip(ids, numbers, strict=True):
            row[: len(self.ids[number])] = self.ids[number][:longest]
        batch = {"input_ids": ids, "attention_mask": (ids != PAD).astype(int)}
        layout = layout_of(torch.from_numpy(batch["attention_mask"])) if is_packed else None
        moved = self._moved(batch | {"labels": numbers % 3})
        return moved | ({"layout": self._moved(layout)} if layout else {})

    def _moved(self, batch: dict) -> dict:
        return {key: self._on_device(value) for key, value in batch.items()}

    def _on_device(self, value: Any) -> Any:
        if isinstance(value, list):  # sizes, which the CPU needs
            return value
        tensor = torch.as_tensor(value)
        tensor = tensor.pin_memory() if self.device.type == "cuda" else tensor
        return tensor.to(self.device, non_blocking=True)


def make_model(sizes: dict, device: torch.device, task: str = "mnli") -> torch.nn.Module:
    """Return a model of masked language modelling, or for three classes.

    The heads of the other families take as little time as three classes.
    """
    config = transformers.XLMRobertaConfig(
        **sizes, max_position_embeddings=514, type_vocab_size=1, pad_token_id=PAD, num_labels=3
    )
    torch.manual_seed(1)
    with device:
        if task == "mlm":
            return transformers.XLMRobertaForMaskedLM(config)
        return transformers.XLMRobertaForSequenceClassification(config)


def loss_of(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """Return the loss of a padded or packed batch."""
    inputs = {key: value for key, value in batch.items() if key != "layout"}
    with packed(model.base_model, batch.get("layout")):
        compute = mask.forward if "chosen" in inputs else type(model).__call__
        return compute(model, **inputs).loss


class Run:
    """A model, its batches and its optimiser."""

    def __init__(self, setup: Setup, tiny: bool, device: torch.device, sizes: dict | None = None):
        self.setup, self.device = setup, device
        sizes = sizes or (TINY if tiny else SIZES)
        self.size = lengths(setup.task, 200 if tiny else 6400)
        self.texts = Texts(self.size, sizes["vocab_size"], device)
        self.model = make_model(sizes, device, setup.task)
        self.batches = batches_of(setup, self.size)
        table = self.model.get_input_embeddings().weight.numel()
        head = MASKED * table if setup.task == "mlm" else 0
        self.weights = self.model.base_model.num_parameters() - table + head
        features = ({"input_ids": ids} for ids in self.texts.ids)
        self.compact = None
        if setup.compact:
            self.compact = shrink(self.model.base_model, features, PAD).to(device)
        torch.set_float32_matmul_precision("high" if setup.precision == "tf32" else "highest")
        make_deterministic(setup.deterministic)
        self.training = setup.phase == "train"
        self.model.train(self.training)
        on_gpu = device.type == "cuda"
        self.adam = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=on_gpu)
        self.gradients = self._gradients
        if setup.graphs and on_gpu:
            self.gradients = GraphedGradients(self.model.parameters(), self._gradients)

    def step(self, number: int) -> int:
        """Compute a batch and return its real tokens."""
        chosen = self.batches[number % len(self.batches)]
        for part in range(self.setup.micro):
            self._compute(chosen[part :: self.setup.micro])
        if self.training:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            if self.compact:
                self.compact.decay *= 1 - 1e-8  # as `Decay` does
            self.adam.step()
            self.adam.zero_grad()
        return int(self.size[chosen].sum())

    def _compute(self, numbers: np.ndarray) -> None:
        batch = self.batch(numbers)
        if self.training:
            self.gradients(batch)
        else:
            with torch.inference_mode(), self._mixed():
                loss_of(self.model, batch)

    def batch(self, numbers: np.ndarray) -> dict:
        """Return the texts with these numbers as the configuration forms a batch."""
        setup = self.setup
        if setup.task == "mlm":
            batch = self.texts.masked(numbers)
        else:
            longest = SCRIPT[setup.task] * (setup.batches == "fixed")
            batch = self.texts.padded(numbers, longest, setup.batches == "packed")
        return rounded(batch, PAD) if setup.graphs else batch

    def _gradients(self, batch: dict) -> torch.Tensor:
        with self._mixed():
            loss = loss_of(self.model, batch) / self.setup.micro
        loss.backward()
        return loss.detach()

    def _mixed(self) -> torch.autocast:
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.setup.precision)
        return torch.autocast(self.device.type, half, enabled=half is not None)

    def each_shape(self) -> list[int]:
        """Return the numbers of two batches of each shape: the second one is recorded."""
        found: dict[tuple, list[int]] = {}
        for number, batch in enumerate(self.batches):
            shapes = tuple(value.shape for value in self.batch(batch).values())
            found.setdefault(shapes, []).append(number)
        return [number for numbers in found.values() for number in numbers[:2]]

    def measure(self, seconds: float) -> dict:
        """Return the speed over `seconds`, after a warm-up."""
        together = 5 if self.device.type == "cuda" else 1  # an empty queue would slow the GPU
        for number in self.each_shape() if self.setup.graphs else range(together):
            self.step(number)
        wait_for(self.device)
        tokens, number, started = 0, together, time.monotonic()
        while time.monotonic() - started < seconds:
            for _ in range(together):
                tokens += self.step(number)
                number += 1
            wait_for(self.device)
        took = time.monotonic() - started
        flops = (6 if self.training else 2) * self.weights * tokens / took
        speed = {"tokens_per_second": tokens / took, "flops_per_second": flops}
        return speed | {"seconds_per_step": took / (number - together)}


def wait_for(device: torch.device) -> None:
    """Return when the device has computed everything."""
    if device.type == "cuda":
        torch.cuda.synchronize()
