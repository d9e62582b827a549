"""The command line: one command per phase, and `status`, `why`, `gc` to see where a study stands.

Imports of a stage are made when it runs: `xstilts why` must not wait for torch.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from xstilts import __version__, store
from xstilts.errors import InputError, Stopped
from xstilts.modelling import distributed
from xstilts.store import locks

log = logging.getLogger("xstilts")

_NVIDIA = Path("/proc/driver/nvidia")  # where its driver is loaded

FAILED, BAD_INPUT, STOPPED = 1, 2, 143  # 143: as a shell reports a program ended by SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. A user's mistake is one message, no traceback."""
    options = _parser().parse_args(arguments)
    try:
        _start_logging(options.log)
        status = options.run(options)
    except InputError as error:
        log.error(f"xstilts {options.command}: {error}")
        return BAD_INPUT
    except Stopped as stop:
        log.warning(str(stop))
        return STOPPED
    except Exception:
        log.exception(f"xstilts {options.command}: an error of the program, not of its input")
        return FAILED
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xstilts",
        description="Does intermediate-task training improve zero-shot cross-lingual transfer? "
        "The phases of the workflow, one command each; Snakemake calls them in order. "
        "Artefacts are named by their id, as in their path below results/.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run, help, ids in (
        ("pin", _pin, "write the present commits of a study's repositories to the lock file", ""),
        ("fetch", _fetch, "download data sets and models at their pinned commits", "many"),
        ("prepare", _prepare, "bring data sets into canonical form", "many"),
        ("initialise", _initialise, "make a model with random weights and its tokenizer", "one"),
        ("train", _train, "fine-tune a checkpoint on the tasks of one step", "one"),
        ("predict", _predict, "predict a target task in all its languages", "one"),
        ("score", _score, "score a cell's predictions", "one"),
        ("study", _study, "write the study's tables and figures from the scores there are", ""),
        (
            "status",
            _status,
            "show the grid: what is done, running, queued, failed; the hours",
            "",
        ),
        ("doctor", _doctor, "check whether this installation is fit to run the study", ""),
        ("plan", _plan, "what a study costs, and what to run first within a budget", ""),
        ("why", _why, "explain a cell: done, or what is missing and which setting differs", ""),
        ("export-xtreme", _export, "write a recipe's predictions in XTREME's layout", ""),
        ("score-files", _score_files, "score a prediction file in XTREME's format", ""),
        ("gc", _gc, "list what no study refers to", ""),
        ("schema", _schema, "print the JSON Schema of studies, tasks or models", ""),
    ):
        command = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        command.set_defaults(run=run)
        command.add_argument("--log", type=Path, help="also write what is printed to this file")
        if name not in ("schema", "score-files"):
            command.add_argument(
                "--study",
                type=Path,
                default=Path("config/config.yaml"),
                help="study, or a run's results/studies/NAME/study.json (default: %(default)s)",
            )
        if name == "pin":
            command.add_argument("--update", action="store_true", help="also those locked already")
        if ids:
            command.add_argument("id", nargs="+" if ids == "many" else 1, help="name.digest")
        if name == "train":
            command.add_argument(
                "--micro-batch", type=int, help="examples in memory at a time (default: the batch)"
            )
            command.add_argument(
                "--processes",
                type=int,
                default=1,
                help="that share the model, a GPU each (default: %(default)s)",
            )
            command.add_argument(
                "--nodes", type=int, default=1, help="of SLURM's that they are on (default: 1)"
            )
            command.add_argument(
                "--save-every",
                type=int,
                default=500,
                help="optimiser steps between saves of the resume state (default: %(default)s)",
            )
        if name in ("train", "predict"):
            command.add_argument(
                "--threads",
                type=int,
                default=1,
                help="processor threads; only one gives the same bits every time "
                "(default: %(default)s)",
            )
        if name == "status":
            command.add_argument("--watch", action="store_true", help="until all is done")
            command.add_argument(
                "--every", type=float, default=5, help="seconds (default: %(default)s)"
            )
        if name == "plan":
            _plan_options(command)
        if name == "why":
            command.add_argument("cell", help="MODEL.RECIPE.TARGET.sSEED, as `status` lists them")
        if name == "export-xtreme":
            command.add_argument("--model", help="of several in the study")
            command.add_argument("--recipe", required=True, help="as `status` lists it")
            command.add_argument("--seed", type=int, required=True)
            command.add_argument("--out", type=Path, required=True, help="folder of predictions")
        if name == "score-files":
            command.add_argument("--task", required=True, help="XTREME's name, such as udpos")
            command.add_argument("--language", required=True, help="such as de")
            command.add_argument("--predictions", type=Path, required=True, help="file")
            command.add_argument(
                "--gold", type=Path, required=True, help="file of the same format, or SQuAD's JSON"
            )
        if name == "gc":
            command.add_argument("--delete", action="store_true", help="remove them")
        if name == "schema":
            command.add_argument("of", choices=("study", "task", "model"))
    return parser


def _plan_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--gpu-hours", type=float, metavar="H", help="budget: choose cells that fit")
    add("--disk", metavar="SIZE", help="budget: what the cells keep on disk, such as 500GB")
    add("--aim", choices=("cells", "pairs", "intervals"), default="cells", help="of the choice")
    add("--write", type=Path, metavar="FILE", help="leave a study that runs just the choice")
    add("--seconds", type=float, default=15, help="for the choice (default: %(default)s)")
    add("--gpus", type=int, default=1, metavar="N", help="for the wall time (default: 1)")
    add("--hardware", default="a100", metavar="NAME", help="GPU, if nothing was measured on it yet")
    add("--hardware-table", type=Path, metavar="FILE", help="instead of the built-in table")
    add("--check", action="store_true", help="after a run: estimate against actual cost")


def _start_logging(path: Path | None) -> None:
    logging.raiseExceptions = False  # a log on a full disk must not bury what is the matter
    first = distributed.is_main()  # of several processes one tells; the others' errors count
    log.setLevel(logging.INFO if first else logging.ERROR)
    log.handlers.clear()
    log.addHandler(logging.StreamHandler(sys.stderr))
    if path and first:
        store.check_writable(path.parent)
        if not distributed.started():
            path.unlink(missing_ok=True)
        file = logging.FileHandler(path, mode="a", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(file)


def _open(options):
    from xstilts.grid.state import open_study

    grid, notices = open_study(options.study)
    for notice in notices:
        log.info(notice)
    return grid


def _with_artefacts(options, group: str, work: Callable) -> None:
    """Run `work` on those of the given artefacts that are not there, holding their locks.

    A failure is kept for `status` to show.
    """
    from xstilts.grid.state import is_done

    grid = _open(options)
    try:
        found = [grid.find(group, id) for id in options.id]
    except InputError as error:
        raise InputError(f"{options.study}: {error}") from None
    for folder in (store.SCRATCH, Path(found[0].path).parent):
        store.check_writable(folder)
    signal.signal(signal.SIGTERM, _stop)
    launched = distributed.started()  # by a process that has the locks
    with nullcontext() if launched else locks.held(options.id):
        for id in [] if launched else options.id:
            store.failure_file(id).unlink(missing_ok=True)
        missing = [artefact for artefact in found if not is_done(artefact)]
        if not missing:
            log.info(f"{options.id[0]}: there already, made by another process")
            return
        try:
            work(missing, grid)
        except Stopped:
            raise  # no failure: the next run goes on
        except Exception as error:
            cause = _cause(error)
            message = str(cause) if isinstance(cause, InputError) else repr(cause)
            with suppress(OSError):
                for file in [store.failure_file(artefact.id) for artefact in missing]:
                    if not file.exists():  # of several processes the first to fail knows why
                        store.write_text(file, message + "\n")
            if cause is error:
                raise
            raise cause from None


def _stop(number, frame) -> None:
    """A scheduler's warning: leave in order, so that locks are given back."""
    raise Stopped(f"stopped by signal {number}; the next run goes on with what is missing")


def _cause(error: Exception) -> Exception:
    """A folder that is full or read-only, if that is why a stage failed; else the error itself.

    The libraries' own words for a full disk differ, and some do not name it.
    """
    if not isinstance(error, InputError):
        try:
            store.check_writable(store.SCRATCH)
        except InputError as found:
            return found
    return error


def _pin(options) -> None:
    _go_online()
    from xstilts.stages import pin

    print(pin.run(options.study, options.update))


def _fetch(options) -> None:
    def work(found, grid):
        _go_online()
        from xstilts.stages import fetch

        fetch.run(found)

    _with_artefacts(options, "downloads", work)


def _go_online() -> None:
    """Let the Hub's clients reach it, without bars in logs and messages home."""
    from xstilts.grid.state import OFFLINE

    for name in OFFLINE:
        os.environ.pop(name, None)
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"


def _prepare(options) -> None:
    def work(found, grid):
        from xstilts.stages import prepare

        prepare.run(found, grid.project)

    _with_artefacts(options, "datasets", work)


def _initialise(options) -> None:
    def work(found, grid):
        _prepare_torch()
        from xstilts.stages import initialise

        initialise.run(found[0])

    _with_artefacts(options, "checkpoints", work)


def _train(options) -> None:
    def work(found, grid):
        if options.processes > 1 and not distributed.started():
            distributed.launch(options.processes, options.nodes, sys.argv[1:])
            return
        _prepare_torch(options.threads)
        _require_gpu(found[0], grid)
        from xstilts.stages import train

        train.run(found[0], options.micro_batch, options.save_every)

    _with_artefacts(options, "checkpoints", work)


def _predict(options) -> None:
    def work(found, grid):
        _prepare_torch(options.threads)
        _require_gpu(found[0], grid)
        from xstilts.stages import predict

        predict.run(found[0])

    _with_artefacts(options, "predictions", work)


def _prepare_torch(count: int = 1) -> None:
    """Threads as told, and none of the library's own progress bars and hints."""
    os.environ["OMP_NUM_THREADS"] = str(count)  # read when torch is imported
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if count > 1 else "false"
    import torch
    import transformers

    torch.set_num_threads(count)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _require_gpu(artefact, grid) -> None:
    """Raise InputError where a job's GPU is there but torch cannot use it, lest it take weeks."""
    import torch

    from xstilts.grid.artefacts import gpus_of

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    if hidden or not gpus_of(artefact, grid.project) or torch.cuda.is_available():
        return
    if _NVIDIA.exists():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        raise InputError(
            f"{artefact.id}: this node has a GPU that torch {torch.__version__}, built {built}, "
            "cannot use: install a build for the node's driver (`nvidia-smi` names it), or hide "
            "the GPU (CUDA_VISIBLE_DEVICES=)"
        )
    log.warning(f"{artefact.id}: asks for a GPU, there is none: on the processor")


def _score(options) -> None:
    def work(found, grid):
        from xstilts.stages import score

        score.run(found[0])

    _with_artefacts(options, "scores", work)


def _study(options) -> None:
    from xstilts.report.view import StudyView
    from xstilts.report.write import terminal
    from xstilts.stages import summarise

    terminal(summarise.run(StudyView(_open(options))))


def _status(options) -> None:
    from xstilts.status import progress

    grid = _open(options)
    if options.watch:
        from xstilts.status.watch import watch

        watch(grid, options.study, options.every)
        return
    from xstilts.status.console import print_status

    found = progress.look(grid)
    print_status(found, progress.failures(grid, found, options.study))


def _doctor(options) -> int:
    from xstilts.grid.state import open_study
    from xstilts.status import doctor

    grid, notices = open_study(options.study)
    return 0 if doctor.show(doctor.examine(grid, notices, options.study)) else FAILED


def _plan(options) -> None:
    from xstilts.costs import command

    command.run(_open(options), options)


def _why(options) -> None:
    from xstilts.status.explain import find_cell, why

    grid = _open(options)
    for line in why(grid, find_cell(grid, options.cell)):
        print(line)


def _export(options) -> None:
    from xstilts import xtreme

    grid = _open(options)
    models = grid.study.variants()
    if not options.model and len(models) > 1:
        raise InputError(f"--model: expected one of {', '.join(models)}")
    model = options.model or models[0]
    written = xtreme.export(grid, model, options.recipe, options.seed, options.out)
    print(f"{len(written)} files in {options.out}")


def _score_files(options) -> None:
    import json

    from xstilts import xtreme

    scores = xtreme.score_files(options.task, options.language, options.predictions, options.gold)
    print(json.dumps(scores, indent=1))


def _gc(options) -> None:
    from xstilts.grid import state

    snapshots = sorted((state.RESULTS / "studies").glob("*/study.json"))
    grids = [state.open_study(path)[0] for path in dict.fromkeys([options.study, *snapshots])]
    stray = state.unreferenced(grids)
    total = 0
    for path in stray:
        size = sum(f.stat().st_size for f in [path, *path.rglob("*")] if f.is_file())
        total += size
        print(f"{size / 1e6:10.1f} MB  {path}")
        if options.delete:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    verb = "removed" if options.delete else "not referred to by any study"
    print(f"{total / 1e6:10.1f} MB in {len(stray)} artefacts {verb}")


def _schema(options) -> None:
    from xstilts.config.reference import schema

    print(schema(options.of), end="")
