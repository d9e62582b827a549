"""Compare a training of xstilts with one of transformers' Trainer alone.

    python benchmarks/trainer.py --model E5_FOLDER --data DATA_FOLDER

`--model` is a folder with a checkpoint and its tokenizer; `--data` holds MNLI's release at
`mnli/glue/MNLI`. The ways take turns: each trains the pretrained weights for one pass over the same
pairs, in batches of the same size. A real token is no padding. Encoding, start and the first two
steps are not counted. Prints medians over the rounds: real tokens per CPU second on one thread, and
their ratio, xstilts to this way, in the same round.

On a GPU, all ways train in bf16, and seconds are those of the clock; `--steps 500`, since xstilts
records the first batches of each shape.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
import transformers
from real_data import add_folders, prepared
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from xstilts.config.training import TrainingOptions
from xstilts.grid.artefacts import Checkpoint
from xstilts.modelling.batches import Batches, read_materials
from xstilts.modelling.checkpoints import load_tokenizer
from xstilts.modelling.determinism import make_deterministic
from xstilts.stages import train

TASK = {
    "family": "classify",
    "roles": ["target"],
    "languages": ["en"],
    "labels": ["entailment", "neutral", "contradiction"],
    "metrics": ["accuracy"],
    "encode": {"max_length": 128},
}
ON_GPU = torch.cuda.is_available()
UNCOUNTED = 2  # steps at the start, which allocate memory


class Clock(TrainerCallback):
    """Notes the time after the uncounted steps of a training, and after its last step."""

    times: list[float]

    def on_train_begin(self, *args, **kwargs):
        """Forget the training before."""
        Clock.times = []

    def on_step_end(self, args, state, *others, **kwargs):
        """Note the time: of the clock if there is a GPU, which must end its work, or else CPU."""
        if state.global_step not in (UNCOUNTED, state.max_steps):
            return
        if ON_GPU:
            torch.cuda.synchronize()
        Clock.times.append(time.perf_counter() if ON_GPU else time.process_time())


def _splits(pairs: int) -> dict[str, dict]:
    files = {"train": "train", "test": "dev_matched"}
    return {
        split: {
            "source": "files",
            "format": "glue-mnli",
            "path": f"mnli/glue/MNLI/{file}.tsv",
            "limit": pairs,
        }
        for split, file in files.items()
    }


def product(step: Checkpoint, compact: bool) -> list[int]:
    """Run the job of a training; return the real tokens of each step."""
    train.run(step, TrainingOptions(compact_embeddings=compact))
    (Path(step.path) / "manifest.json").unlink()  # the next round trains again
    return _planned_tokens(step)


@cache
def _planned_tokens(step: Checkpoint) -> list[int]:
    tokenizer = load_tokenizer(Path(step.parent.path))
    materials = read_materials(step, tokenizer)
    batches = Batches(step, materials, tokenizer, step.settings.batch_size)
    return [int(batches[number]["attention_mask"].sum()) for number in range(len(batches))]


def plain(step: Checkpoint, padding: str, sampling: str) -> list[int]:
    """Train with transformers alone; return the real tokens of each step."""
    folder = Path(step.parent.path)
    tokenizer = load_tokenizer(folder)
    (material,) = read_materials(step, tokenizer).values()
    pad = DataCollatorWithPadding(tokenizer, padding=padding, max_length=128)
    tokens = []

    def collate(features: list[dict]) -> dict:
        batch = pad(features)
        tokens.append(int(batch["attention_mask"].sum()))
        return batch

    settings = step.settings
    arguments = TrainingArguments(
        output_dir="plain",
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size,
        train_sampling_strategy=sampling,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup * settings.max_steps),
        weight_decay=settings.weight_decay,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not ON_GPU,
        bf16=ON_GPU,
        seed=step.seed,
    )
    make_deterministic(False)  # as usual scripts
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    model = load(folder, num_labels=len(material.labels))
    Trainer(model, arguments, collate, material.features).train()
    return tokens


PRODUCT = "xstilts"  # with compact embeddings, as in the entries of XLM-R and of E5
WAYS: dict[str, Callable[[Checkpoint], list[int]]] = {
    PRODUCT: partial(product, compact=True),
    "xstilts, all embeddings": partial(product, compact=False),
    "Trainer, grouped by length": partial(plain, padding="longest", sampling="group_by_length"),
    "Trainer, random order": partial(plain, padding="longest", sampling="random"),
    "Trainer, padded to 128": partial(plain, padding="max_length", sampling="random"),
}


def speed(way: Callable[[Checkpoint], list[int]], step: Checkpoint) -> float:
    """Return the real tokens per CPU second of a training."""
    tokens = way(step)[UNCOUNTED : step.settings.max_steps]
    first, last = Clock.times
    return sum(tokens) / (last - first)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_folders(parser)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=27, help="one pass over as many batches")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.trainer.DEFAULT_CALLBACKS.append(Clock)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        pairs = TASK | {"splits": _splits(options.batch * options.steps)}
        settings = {"max_steps": options.steps, "batch_size": options.batch}
        settings |= {"precision": "bf16" if ON_GPU else "fp32"}
        recipe = {"recipes": ["none"], "targets": ["pairs"], "train": settings}
        _, [step] = prepared(options.model, options.data, {"pairs": pairs}, recipe)
        for _ in range(options.rounds):
            for name, way in WAYS.items():
                found[name].append(speed(way, step))
        os.chdir("/")
    for name, speeds in found.items():
        ratios = [own / other for own, other in zip(found[PRODUCT], speeds, strict=True)]
        median = statistics.median
        print(f"{name:28} {median(speeds):7.1f} tokens/s   {median(ratios):5.2f}")


if __name__ == "__main__":
    main()
