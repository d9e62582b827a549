"""Compare ways to train on a CPU: padded, packed, with compact embeddings, and both.

    python benchmarks/training.py --rounds 3 --layers 3

The model has layers of 384 and XLM-R's 250,002 embeddings, as multilingual E5 small, which has 12
layers; texts have the lengths of MNLI, in batches of 32 of similar lengths. The ways take turns on
the same batches. Prints the median processor seconds of a step on one thread, and the ratio to
padded batches of the same round.
"""

import argparse
import statistics
import time

import gpu_steps as gpu
import torch

SMALL = {"vocab_size": 250002, "hidden_size": 384, "num_attention_heads": 12}
WAYS = {
    "padded": gpu.Setup("train", "mnli", "grouped", "fp32"),
    "packed": gpu.Setup("train", "mnli", "packed", "fp32"),
    "compact": gpu.Setup("train", "mnli", "grouped", "fp32", compact=True),
    "packed, compact": gpu.Setup("train", "mnli", "packed", "fp32", compact=True),
}


def seconds(setup: gpu.Setup, sizes: dict, steps: int, first: int) -> float:
    """Return the processor seconds of a step, after one step that fills the optimiser's state."""
    run = gpu.Run(setup, False, torch.device("cpu"), sizes)
    run.step(0)
    started = time.process_time()
    for number in range(first, first + steps):
        run.step(number)
    return (time.process_time() - started) / steps


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="of each way in a round")
    parser.add_argument("--layers", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = SMALL | {"num_hidden_layers": options.layers, "intermediate_size": 1536}
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(options.rounds):
        for way, setup in WAYS.items():
            taken[way].append(seconds(setup, sizes, options.steps, 1 + turn * options.steps))
    for way, times in taken.items():
        ratios = [own / other for own, other in zip(taken["padded"], times, strict=True)]
        print(
            f"{way:16} {statistics.median(times):7.2f} s   {statistics.median(ratios):5.2f} times"
        )


if __name__ == "__main__":
    main()
