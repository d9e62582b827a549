"""Time and memory of the search for nearest neighbours, against the flat index of faiss.

    python benchmarks/mining.py --faiss PYTHON     compare; PYTHON has NumPy and faiss-cpu
    python benchmarks/mining.py --memory           peak memory of the search of two pools

faiss is no dependency: its part runs in another environment. Times are CPU seconds.
"""

import argparse
import resource
import subprocess
import sys
import time

DIMENSIONS, NEIGHBOURS = 1024, 4
FAISS = f"""
import time, sys, faiss, numpy as np
faiss.omp_set_num_threads(1)
random = np.random.default_rng(1)
left, right = (random.standard_normal((int(n), {DIMENSIONS}), np.float32) for n in sys.argv[1:3])
for queries, vectors in ((left, right), (right, left)):
    started = time.process_time()
    index = faiss.IndexFlatIP({DIMENSIONS})
    index.add(vectors)
    index.search(queries, {NEIGHBOURS})
    print(time.process_time() - started)
"""


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=(10_000, 50_000))
    parser.add_argument("--faiss", metavar="PYTHON")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.memory:
        return memory(*options.sizes)
    for _ in range(options.rounds):
        one, both = product(*options.sizes)
        print(f"product: one direction {one:.1f}, both directions {both:.1f} CPU s", flush=True)
        if options.faiss:
            command = [options.faiss, "-c", FAISS, *map(str, options.sizes)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            there, back = map(float, output.split())
            print(f"faiss: one direction {there:.1f}, both directions {there + back:.1f} CPU s")


def product(*sizes: int) -> list[float]:
    """Return the CPU seconds of the search in one direction, and in both."""
    import numpy as np
    import torch

    from xstilts.families.mine import nearest, nearest_both

    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    left, right = (random.standard_normal((size, DIMENSIONS), np.float32) for size in sizes)
    seconds = []
    for search in (nearest, nearest_both):
        started = time.process_time()
        search(left, right, NEIGHBOURS)
        seconds.append(time.process_time() - started)
    return seconds


def memory(foreign: int, english: int) -> None:
    """Print the peak memory before and after the mining of two pools."""
    from types import SimpleNamespace

    import numpy as np

    from xstilts.families import mine

    settings = SimpleNamespace(retrieval="margin", neighbours=NEIGHBOURS)
    sides = ["foreign"] * foreign + ["english"] * english
    rows = [{"id": f"s{n}", "side": side, "text": f"sentence {n}"} for n, side in enumerate(sides)]
    vectors = np.random.default_rng(1).random((len(rows), DIMENSIONS), np.float32)
    print(
        f"{foreign} x {english}: vectors {vectors.nbytes / 1e9:.2f} GB, with rows {peak():.2f} GB"
    )
    mine.decode(rows, [], vectors, [], settings)
    print(f"peak of the search {peak():.2f} GB")


def peak() -> float:
    """Return the largest memory of this process so far, in GB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e9


if __name__ == "__main__":
    sys.exit(main())
