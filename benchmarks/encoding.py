"""Compare encoding examples with reading their kept token ids: CPU microseconds an example.

    TOKENIZERS_PARALLELISM=false python benchmarks/encoding.py --model E5_FOLDER --data DATA_FOLDER

`--model` is a folder with a checkpoint and its tokenizer, `--data` one with the releases of MNLI,
SQuAD and Universal Dependencies. One thread; medians over rounds, which encode and read in turn.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from real_data import add_folders, prepared

from xstilts import store
from xstilts.families import family
from xstilts.grid.artefacts import TrainPart
from xstilts.modelling.checkpoints import load_tokenizer
from xstilts.modelling.encodings import encoded, source_of
from xstilts.store import paths


def seconds(root: Path, part: TrainPart, rounds: int) -> tuple[int, float, float]:
    """Return the number of examples, and the CPU seconds of encoding and of reading them."""
    tokenizer, module = load_tokenizer(root), family(part.family)
    folders = [Path(data.path) for data in part.train]
    rows = [row for folder in folders for row in store.read_rows(folder)]
    labels, source = list(part.labels) or module.labels(rows), source_of(root, folders)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds + 1):  # the first round is not counted
        shutil.rmtree(paths.ENCODINGS, ignore_errors=True)
        for is_kept in times:
            started = time.process_time()
            encoded(rows, tokenizer, module, part.encode, labels, True, source)
            times[is_kept].append(time.process_time() - started)
    return len(rows), *(statistics.median(taken[1:]) for taken in times.values())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_folders(parser)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        english = {"recipes": ["squad", "mnli"], "targets": ["udpos"]}
        english |= {"tasks": {"udpos": {"languages": ["en"]}}}
        root, steps = prepared(options.model, options.data, {}, study=english)
        for part in {part.task: part for step in steps for part in step.parts}.values():
            count, encoding, reading = seconds(Path(root.path), part, options.rounds)
            each = [f"{1e6 * taken / count:6.1f}" for taken in (encoding, reading)]
            print(f"{part.task:8} {count:6} {' '.join(each)} {encoding / reading:5.1f} times")
        os.chdir("/")


if __name__ == "__main__":
    main()
