"""The commands that the workflow calls, one per phase: each makes artefacts, given by their ids."""

import os
import shlex
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts import store
from xstilts.commands import THEN, Command, log, number, open_grid, whole
from xstilts.config.resources import Demand, Needs, Site
from xstilts.config.training import SAVE_MINUTES, TrainingOptions
from xstilts.errors import InputError
from xstilts.modelling import distributed
from xstilts.processes import devices, signals
from xstilts.store import locks, paths

if TYPE_CHECKING:
    from xstilts.grid.base import Artefact
    from xstilts.grid.grid import Grid

NVIDIA_DRIVER = Path("/proc/driver/nvidia")  # exists where the driver is loaded

Work = Callable[[Sequence["Artefact"], "Grid", Namespace], None]


def shell_command(stage: str, study: Path) -> str:
    """Return the command of a stage's rules; `exec`: a scheduler's signals reach Python."""
    return f"exec python -m xstilts {stage} --study {study} --log {{log:q}} "


def predict_in_process(ids: Sequence[str], study: Path, options: str) -> list[str]:
    """Return the commands that predict in the process of a training, after it."""
    return [
        f"{THEN} predict {shlex.quote(id)} --study {study} {options} --measure "
        f"--log {shlex.quote(str(paths.log_file('predict', id)))}"
        for id in ids
    ]


def fetch(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Download the artefacts."""
    go_online()
    from xstilts.stages import fetch

    fetch.run(artefacts)


def prepare(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Prepare the data sets."""
    from xstilts.stages import prepare

    prepare.run(artefacts, grid.project)


def initialise(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Create the initial model."""
    _prepare_torch()
    from xstilts.stages import initialise

    initialise.run(artefacts[0])


def train(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Train the step, in several processes if the options ask for them."""
    if options.processes > 1 and not distributed.started():
        with devices.taken(options.processes):
            distributed.launch(options.processes, options.nodes, options.arguments)
        return
    with devices.taken(_gpus(artefacts[0], grid)):
        _prepare_torch(options.threads)
        _require_gpu(artefacts[0], grid)
        from xstilts.stages import train

        train.run(artefacts[0], TrainingOptions.of(options))


def merge(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Merge the checkpoints."""
    _prepare_torch()
    from xstilts.stages import merge

    merge.run(artefacts[0])


def predict(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Predict the target task in all languages."""
    started = time.monotonic()
    with devices.taken(_gpus(artefacts[0], grid)):
        _prepare_torch(options.threads)
        _require_gpu(artefacts[0], grid)
        from xstilts.stages import predict

        predict.run(artefacts[0])
    if options.measure:
        from xstilts.costs.measured import Benchmark

        taken = time.monotonic() - started
        Benchmark(taken, after_training=True).write(artefacts[0].job.benchmark)


def score(artefacts: Sequence["Artefact"], grid: "Grid", options: Namespace) -> None:
    """Score the predictions, then release the weights that nothing needs any more."""
    from xstilts.grid import retention
    from xstilts.stages import score

    score.run(artefacts[0])
    retention.release(grid, artefacts[0])


def add_id(parser: ArgumentParser) -> None:
    """Add the id of one artefact."""
    parser.add_argument("id", nargs=1, metavar="ID", help="name.digest, as in its path")


def add_ids(parser: ArgumentParser) -> None:
    """Add the ids of several artefacts."""
    parser.add_argument("id", nargs="+", metavar="ID", help="name.digest, as in its path")


def add_training(parser: ArgumentParser) -> None:
    """Add the options of `train`."""
    add_ids(parser)
    _add_threads(parser)
    add = partial(parser.add_argument, type=whole, metavar="N")
    add("--micro-batch", help="examples in memory at a time (default: the whole batch)")
    add("--processes", default=1, help="processes, each with its own GPU (default: 1)")
    add("--nodes", default=1, help="SLURM nodes of these processes (default: 1)")
    add("--save-every", help="also save the state every N steps")
    parser.add_argument(
        "--compact-embeddings",
        action="store_true",
        help="train only the embeddings of tokens that occur in the data",
    )
    parser.add_argument(
        "--eager",
        action="store_true",
        help="start each kernel of a GPU from Python, instead of CUDA graphs",
    )
    parser.add_argument(
        "--save-minutes",
        type=number(0.01),
        default=SAVE_MINUTES,
        metavar="N",
        help=f"minutes between two saves of the state (default: {SAVE_MINUTES:g})",
    )
    parser.add_argument(
        "--trackers",
        type=lambda text: tuple(filter(None, text.split(","))),
        default=(),
        metavar="LIST",
        help="trackers, such as tensorboard,wandb",
    )


def add_prediction(parser: ArgumentParser) -> None:
    """Add the options of `predict`."""
    add_ids(parser)
    parser.add_argument(
        "--measure",
        action="store_true",
        help="write the benchmark file, which Snakemake does not write if the job also trains",
    )
    _add_threads(parser)


def _add_threads(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=whole,
        default=1,
        metavar="N",
        help="processor threads; results are bit-identical only with 1 (default: 1)",
    )


def make_each(group: str, work: Work, options: Namespace) -> None:
    """Make an artefact, or several at the same time on one GPU, with a process for each."""
    if len(options.id) == 1:
        make(group, work, options)
        return
    from xstilts.commands import together

    grid = open_grid(options)
    artefacts = _artefacts(grid, group, options)
    with devices.taken(_gpus(artefacts[0], grid)):
        together.run(artefacts, options.arguments)


def make(group: str, work: Work, options: Namespace) -> None:
    """Run `work` on those of the given artefacts that are missing, while holding their locks.

    The message of a failure is kept for `status`.
    """
    from xstilts.grid.state import missing as missing_file

    grid = open_grid(options)
    artefacts = _artefacts(grid, group, options)
    for folder in (store.SCRATCH, Path(artefacts[0].path).parent):
        store.check_writable(folder)
    launched = distributed.started()  # then the launching process holds the locks
    with nullcontext() if launched else locks.held(options.id):
        for id in [] if launched else options.id:
            store.failure_file(id).unlink(missing_ok=True)
        missing = [artefact for artefact in artefacts if missing_file(artefact)]
        for artefact in artefacts:
            if artefact not in missing and (Path(artefact.path) / store.MANIFEST).exists():
                store.Manifest.read(Path(artefact.path))  # raises InputError if it is damaged
        if not missing:
            log.info(f"{options.id[0]}: already complete")
            return
        with _failure_kept(missing):
            work(missing, grid, options)


def _artefacts(grid: "Grid", group: str, options: Namespace) -> list["Artefact"]:
    try:
        return [grid.find(group, id) for id in options.id]
    except InputError as error:
        raise InputError(f"{options.study}: {error}") from None


@contextmanager
def _failure_kept(artefacts: Sequence["Artefact"]) -> Iterator[None]:
    """Write the message of an error to the artefacts' failure files, and raise the error."""
    try:
        yield
    except Exception as error:
        if signals.received:  # not a failure: the next run resumes
            raise
        cause = _cause(error)
        message = str(cause) if isinstance(cause, InputError) else repr(cause)
        with suppress(OSError):
            for file in [store.failure_file(artefact.id) for artefact in artefacts]:
                if not file.exists():  # the first of several processes to fail knows the cause
                    store.write_text(file, message + "\n")
        if cause is error:
            raise
        raise cause from None


def _cause(error: Exception) -> Exception:
    """Return the error of a full or read-only folder if that is why a phase failed, else `error`.

    The libraries describe a full disk in different words, and some do not name it.
    """
    if not isinstance(error, InputError):
        try:
            store.check_writable(store.SCRATCH)
        except InputError as unwritable:
            return unwritable
        if message := store.machine_error(error):
            return InputError(message)
    return error


def go_online() -> None:
    """Let the Hub's clients use the network, without progress bars and telemetry."""
    from xstilts.grid.state import OFFLINE

    for name in OFFLINE:
        os.environ.pop(name, None)
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"


def _prepare_torch(threads: int = 1) -> None:
    """Set the number of threads, and silence the progress bars and hints of transformers."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    store.check_addresses()
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _gpus(artefact: "Artefact", grid: "Grid") -> int:
    """Return the GPUs that a job takes on a machine without SLURM; 1 if its model states none."""
    default = Site(phases={"train": Needs(gpu=1), "predict": Needs(gpu=1)})
    needs = grid.project.models[artefact.model].resources
    return Demand(artefact.identity.phase, needs, default).amount("gpu")


def _require_gpu(artefact: "Artefact", grid: "Grid") -> None:
    """Raise InputError if torch cannot use this node's GPU: on the CPU, a job may take weeks."""
    import torch

    from xstilts.grid.artefacts import gpus_of

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    if hidden or not gpus_of(artefact, grid.project) or torch.cuda.is_available():
        return
    if NVIDIA_DRIVER.exists():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        raise InputError(
            f"{artefact.id}: torch {torch.__version__}, built {built}, cannot use this node's "
            "GPU; install a build for the node's driver (`nvidia-smi` prints its version), or "
            "hide the GPU (CUDA_VISIBLE_DEVICES=)"
        )
    log.warning(f"{artefact.id}: requests a GPU, but this node has none; using the processor")


_INITIALISE = "create a model with random weights and its tokenizer, or take one from a folder"
_PHASES = (  # work, kind of artefact, help, function that adds the options
    (fetch, "downloads", "download data sets and models at their pinned commits", add_ids),
    (
        prepare,
        "datasets",
        "convert data sets to Parquet files with the columns of their family",
        add_ids,
    ),
    (initialise, "checkpoints", _INITIALISE, add_id),
    (train, "checkpoints", "fine-tune a checkpoint on the tasks of one step", add_training),
    (merge, "checkpoints", "merge the encoders of checkpoints with the same parent", add_id),
    (predict, "predictions", "predict a target task in all its languages", add_prediction),
    (score, "scores", "score the predictions of a cell", add_id),
)
COMMANDS = tuple(
    Command(
        work.__name__,
        help,
        partial(make_each if work in (train, predict) else make, kind, work),
        add_arguments,
    )
    for work, kind, help, add_arguments in _PHASES
)
