"""Measure a GPU: XLM-R large with random weights, and texts with the lengths of real data.

    python benchmarks/gpu.py --out h100.json           at most 6 minutes
    python benchmarks/gpu.py --tiny --out tiny.json    a tiny model on the CPU: does it run?

Needs this repository, torch and transformers; nothing is installed. `xstilts plan --hardware
h100.json` reads the rates. A row states a configuration and its speed in real tokens a second,
without padding. `share` is the share of the card's bf16 peak: 6 FLOPs per weight and token in
training and 2 in prediction, as `plan` counts. `parity` has the differences of packed and padded
batches without dropout, `repeats` says whether two trainings have the same weights to the last bit,
`kernels` where the time of a step goes.
"""

import argparse
import gc
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from subprocess import PIPE

import numpy as np
import torch
import transformers
from gpu_steps import (
    SIZES,
    TARGETS,
    TINY,
    Run,
    Setup,
    Texts,
    lengths,
    loss_of,
    make_model,
    wait_for,
)
from torch.profiler import ProfilerActivity, profile

from xstilts.modelling.graphs import side_stream

STARTED = time.monotonic()
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16 FLOP/s, from data sheets
FAMILIES = {"mnli": "classify", "ud": "tag", "squad": "answer", "mlm": "mask"}
SETUPS = [
    *(Setup("train", task, compact=True, graphs=True) for task in TARGETS),
    Setup("train", "mlm", graphs=True),
    *(Setup("predict", task) for task in TARGETS),
    *(Setup("train", "mnli", precision=p, compact=True, graphs=True) for p in ("tf32", "fp16")),
    *(Setup("train", task, graphs=True) for task in TARGETS),
    *(Setup("train", task) for task in FAMILIES),
    Setup("train", "mnli", "fixed", "fp32"),
    *(Setup("train", "mnli", "grouped", precision) for precision in ("fp32", "tf32")),
    *(
        Setup("train", task, compact=True, graphs=True, processes=count, mps=mps)
        for task, count in (("mnli", 4), ("squad", 2))
        for mps in (True, False)
    ),
    Setup("train", "mnli", processes=4),
    *(
        Setup("train", task, "packed", compact=c)
        for task in ("mnli", "squad")
        for c in (False, True)
    ),
    Setup("train", "mnli", compact=True),
    Setup("train", "mnli", deterministic=False),
    *(Setup("train", task, "packed", deterministic=False) for task in ("mnli", "squad")),
    Setup("train", "mnli", "packed", compact=True, processes=4),
    Setup("train", "squad", processes=2),
    *(Setup("predict", "mnli", batches, "fp32") for batches in ("fixed", "grouped")),
    *(Setup("train", task, "fixed") for task in TARGETS),
    Setup("train", "mnli", micro=2),
    Setup("train", "ud", "packed"),
    *(Setup("train", task, "random") for task in ("mnli", "ud")),
    Setup("predict", "ud", "fixed"),
]
PROFILED = SETUPS[:3]
# names of kernels, and of operations on a CPU, by kind; the first kind whose pattern occurs
KINDS = {
    "attention": r"attention|flash|fmha|softmax",
    "optimiser and clipping": r"(?i)adam|multi_tensor|foreach|_norm_|linalg_vector_norm",
    "matrix products": r"gemm|gemv|nvjet|cutlass|xmma|::(add)?b?mm$|splitK",
    "layer normalisation": r"layer_?norm|LayerNorm|GammaBeta",
    "dropout": r"dropout|bernoulli|masked_scale",
    "copies and casts": r"(?i)copy|memcpy|memset|fill|zero_|CatArray",
    "sums": r"reduce|::sum$",
    "other element-wise": r"elementwise|::(add|mul|gelu|tanh)",
}
MPS = "nvidia-cuda-mps-control"
REPEATED = [
    *(Setup("train", "mnli", b, compact=c) for b in ("grouped", "packed") for c in (False, True)),
    Setup("train", "mnli", compact=True, graphs=True),
]


def parity(sizes: dict, device: torch.device) -> dict[str, dict[str, float]]:
    """Return the largest differences of packed and padded batches, without dropout."""
    model = make_model(sizes, device).eval()
    texts = Texts(lengths("mnli", 32), sizes["vocab_size"], device)
    differences = {}
    for precision in ("fp32", "bf16"):
        results = []
        for is_packed in (False, True):
            model.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                loss = loss_of(model, texts.padded(np.arange(32), is_packed=is_packed))
            loss.backward()
            query = model.base_model.encoder.layer[0].attention.self.query.weight.grad
            results.append((loss.item(), query.clone()))
        (loss, gradient), (other, other_gradient) = results
        relative = (other_gradient - gradient).norm() / gradient.norm()
        differences[precision] = {"loss": abs(other - loss), "gradient": relative.item()}
    return differences


def kernels(setup: Setup, tiny: bool, device: torch.device) -> dict:
    """Return the number of kernels of a step, and the milliseconds of each kind of kernel."""
    run = Run(setup, tiny, device)
    on_gpu = device.type == "cuda"
    for number in run.each_shape():
        run.step(number)
    wait_for(device)
    steps = range(3 if tiny else 20)
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
        for number in steps:
            run.step(number)
        wait_for(device)
    count, spent = 0, dict.fromkeys((*KINDS, "others"), 0.0)
    for event in seen.key_averages():
        time_us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        kind = next((k for k, names in KINDS.items() if re.search(names, event.key)), "others")
        spent[kind] += time_us / 1000 / len(steps)
        count += event.count
    return {"count": count / len(steps), "milliseconds": spent}


def repeats(tiny: bool, device: torch.device) -> dict[str, bool]:
    """Return for each configuration whether two trainings of ten steps have the same weights."""
    same = {}
    for setup in REPEATED:
        first, second = (_trained(setup, tiny, device) for _ in range(2))
        same[setup.name] = all(map(torch.equal, first, second))
    return same


def _trained(setup: Setup, tiny: bool, device: torch.device) -> list[torch.Tensor]:
    """Return the weights of a few layers of full width after ten steps, on the CPU."""
    run = Run(setup, tiny, device, (TINY if tiny else SIZES) | {"num_hidden_layers": 2})
    for number in range(10):
        run.step(number)
    return [weight.detach().cpu() for weight in run.model.parameters()]


def measure(setup: Setup, options, device: torch.device) -> dict:
    """Return the speed of a configuration; of several processes the sum."""
    if setup.processes == 1:
        return Run(setup, options.tiny, device).measure(options.seconds)
    alone = json.dumps(asdict(setup) | {"processes": 1, "mps": False})
    command = [sys.executable, __file__, "--one", alone, "--seconds", str(3 * options.seconds)]
    command += ["--tiny"] * options.tiny
    with shared_gpu() if setup.mps else nullcontext(dict(os.environ)) as environment:
        start = partial(subprocess.Popen, command, stdout=PIPE, text=True, env=environment)
        jobs = [start() for _ in range(setup.processes)]
        results = [json.loads(job.communicate()[0]) for job in jobs]
    total = {key: sum(r[key] for r in results) for key in ("tokens_per_second", "flops_per_second")}
    steps = sum(result["seconds_per_step"] for result in results) / len(results)
    return total | {"seconds_per_step": steps}


@contextmanager
def shared_gpu() -> Iterator[dict[str, str]]:
    """Run NVIDIA's MPS: kernels of several processes run at the same time, not in turns.

    Yields the environment of these processes.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
        environment = os.environ | dict.fromkeys(names, folder)
        control = partial(subprocess.run, env=environment, check=True, timeout=20)
        control([MPS, "-d"])
        try:
            yield environment
        finally:
            control([MPS], input=b"quit\n")


def measure_files(tiny: bool, device: torch.device) -> dict[str, float]:
    """Return the seconds of saving, loading and hashing the weights."""
    from safetensors.torch import load_file, save_file

    model = make_model(TINY if tiny else SIZES, device)
    weights, seconds = {k: w.contiguous() for k, w in model.state_dict().items()}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        for name, work in (
            ("save", lambda: save_file(weights, path)),
            ("load", lambda: load_file(path, device=str(device))),
            ("hash", lambda: hashlib.sha256(path.read_bytes())),
        ):
            started = time.monotonic()
            work()
            wait_for(device)
            seconds[name] = time.monotonic() - started
    return seconds


def rates(rows: list[dict], eager: bool = False) -> dict:
    """Return FLOP/s by phase, precision and family, of the batches that the product forms.

    `eager` is without CUDA graphs and compact embeddings.
    """
    table: dict = {}
    for row in rows:
        training = row["phase"] == "train" and not eager
        compact = training and row["task"] != "mlm"
        options = {"compact": compact, "graphs": training}
        plain = Setup(row["phase"], row["task"], precision=row["precision"], **options)
        if row.get("flops_per_second") and row["name"] == plain.name:
            by_precision = table.setdefault(row["phase"], {}).setdefault(row["precision"], {})
            by_precision[FAMILIES[row["task"]]] = row["flops_per_second"]
    return table


def main() -> None:
    """Measure one configuration, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="a tiny model on the CPU")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each configuration")
    parser.add_argument("--limit", type=float, default=330.0, help="seconds of the whole benchmark")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        sys.exit("gpu.py: torch sees no GPU; install a build for the driver, or use --tiny")
    device = torch.device("cpu" if options.tiny else "cuda")
    transformers.logging.set_verbosity_error()
    with side_stream():
        if options.one:
            run = Run(Setup(**json.loads(options.one)), options.tiny, device)
            print(json.dumps(run.measure(options.seconds)))
        else:
            measure_all(options, device)


def measure_all(options, device: torch.device) -> None:
    """Measure the configurations, most important first; write the file after each."""
    card = "CPU, tiny model" if options.tiny else torch.cuda.get_device_name()
    result = {"device": card, "torch": torch.__version__, "transformers": transformers.__version__}
    result |= {"files": measure_files(options.tiny, device)}
    result |= {"parity": parity(TINY if options.tiny else SIZES, device)}
    result |= {"repeats": repeats(options.tiny, device)}
    result |= {"kernels": {s.name: kernels(s, options.tiny, device) for s in PROFILED}}
    print(json.dumps(result, indent=1), flush=True)
    peak = next((value for name, value in PEAK.items() if name in card), None)
    rows: list[dict] = []
    for setup in SETUPS:
        rows.append(row_of(setup, options, device, peak))
        shown = {key: rows[-1].get(key) for key in ("tokens_per_second", "share", "error")}
        print(f"{setup.name:50}", shown, flush=True)
        known = {"rates": rates(rows), "eager": rates(rows, eager=True), "rows": rows}
        options.out.write_text(json.dumps(result | known, indent=1))


def row_of(setup: Setup, options, device: torch.device, peak: float | None) -> dict:
    """Return a configuration with its speed, or with the reason why it has none."""
    row = asdict(setup) | {"name": setup.name}
    if time.monotonic() - STARTED > options.limit - 10 * setup.processes:
        return row | {"error": "left out: no time"}
    try:
        row |= measure(setup, options, device)
    except Exception as error:  # one configuration must not end the others
        return row | {"error": f"{type(error).__name__}: {error}"}
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return row | ({"share": row["flops_per_second"] / peak} if peak else {})


if __name__ == "__main__":
    main()
