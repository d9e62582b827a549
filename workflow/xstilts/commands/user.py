"""The commands that a user calls."""

import re
import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts.commands import (
    Command,
    add_cell,
    changes,
    choice,
    file,
    log,
    new_folder,
    number,
    open_grid,
)
from xstilts.errors import InputError
from xstilts.text import say

if TYPE_CHECKING:
    from xstilts.grid.grid import Grid

KINDS = ("models", "tasks", "recipes", "studies")


def doctor(options: Namespace) -> int:
    """Print the checks of this installation; return 1 if one failed."""
    from xstilts.grid.state import open_study
    from xstilts.status import doctor

    grid, notices = open_study(options.study, changes(options))
    return 0 if doctor.show(doctor.examine(grid, notices, options.study)) else 1


def add_status(parser: ArgumentParser) -> None:
    """Add the options of `status`."""
    parser.add_argument("--watch", action="store_true", help="update until all cells are done")
    parser.add_argument(
        "--every",
        type=number(0),
        default=5,
        metavar="SECONDS",
        help="time between two updates (default: 5)",
    )


def status(options: Namespace) -> None:
    """Print the state of each cell, once or until all are done."""
    from xstilts.status.progress import failures, take_snapshot

    grid = open_grid(options)
    if options.watch:
        from xstilts.status.watch import watch

        watch(grid, options.study, options.every)
        return
    from xstilts.status.console import print_status

    snapshot = take_snapshot(grid)
    print_status(snapshot, failures(snapshot, options.study))


def add_plan(parser: ArgumentParser) -> None:
    """Add the options of `plan`."""
    budget = parser.add_argument_group("budget: choose the cells that fit")
    add = budget.add_argument
    add("--gpu-hours", type=float, metavar="H", help="GPU hours, or CPU hours without GPUs")
    add("--disk", metavar="SIZE", help="disk space of the results, such as 500GB")
    add(
        "--aim",
        type=choice("cells", "pairs", "intervals"),
        metavar="{cells,pairs,intervals}",
        default="cells",
        help="choose the most cells, the most recipe-target pairs with all seeds, or the "
        "narrowest intervals of gains (default: cells)",
    )
    add("--write", type=file, metavar="FILE", help="write a study of the chosen cells")
    add(
        "--seconds",
        type=number(0),
        default=15,
        metavar="N",
        help="time limit of the search (default: 15)",
    )
    add = parser.add_argument
    add("--gpus", type=int, default=1, metavar="N", help="GPUs of the wall time (default: 1)")
    add(
        "--hardware",
        default="a100",
        metavar="NAME|FILE",
        help="GPU that estimates without a measured job assume, or the JSON file of "
        "benchmarks/gpu.py (default: a100)",
    )
    add(
        "--hardware-table",
        type=file,
        metavar="FILE",
        help="use this file instead of costs/hardware.yaml",
    )


def plan(options: Namespace) -> None:
    """Print the costs of the study, and the cells that fit in a budget."""
    from xstilts.costs import command
    from xstilts.status.problems import notes, problems

    grid = open_grid(options)
    for problem in [*notes(grid), *problems(grid)]:
        log.warning(problem)
    command.run(grid, options)


def why(options: Namespace) -> None:
    """Print why a cell is done or not."""
    from xstilts.status.explain import find_cell, why

    grid = open_grid(options)
    for line in why(grid, find_cell(grid, options.cell), options.study):
        say(line)


def add_gc(parser: ArgumentParser) -> None:
    """Add the options of `gc`."""
    parser.add_argument(
        "--checkpoints",
        type=choice("parents", "none"),
        nargs="?",
        const="none",
        metavar="{parents,none}",
        help="list instead the weights of trained checkpoints that no missing score needs and "
        "that `keep: parents` or `keep: none` (default: none) would delete",
    )
    parser.add_argument("--delete", action="store_true", help="delete them, after a question")
    parser.add_argument("--yes", action="store_true", help="with --delete: do not ask")


def gc(options: Namespace) -> None:
    """Print the results that no study uses, or weights, and with `--delete` delete them."""
    from xstilts.store import CheckpointManifest, disk_bytes
    from xstilts.units import count, size

    grid, command = open_grid(options), "xstilts gc"
    if options.checkpoints:
        from xstilts.grid import retention

        paths = retention.on_demand(grid, options.checkpoints)
        remove, kind, what = CheckpointManifest.release, "checkpoint", "that no missing score needs"
        command += f" --checkpoints {options.checkpoints}"
    else:
        paths, remove, kind = _unused(grid), _remove, "artefact"
        what = "not used by any study for a day"
    sizes = {path: disk_bytes([path, *path.rglob("*")]) for path in paths}
    for path, bytes in sizes.items():
        say(f"{size(bytes) or '0 B':>10}  {path}")
    total = f"{size(sum(sizes.values())) or '0 B':>10}  in {count(len(paths), kind)}"
    if not (options.delete and paths):
        hint = f"; `{command} --delete` deletes them" if paths else ""
        say(f"{total} {what}{hint}")
        return
    if not (options.yes or _agreed(f"{total.strip()} {what}: delete? [y/N] ")):
        say("nothing is deleted")
        return
    for path in paths:
        remove(path)
    say(f"{total} deleted")


def _unused(grid: "Grid") -> list[Path]:
    from xstilts.grid import litter

    others, notices = litter.studies_in_use()
    for notice in notices:
        log.warning(notice)
    return litter.unused([grid, *others])


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _agreed(question: str) -> bool:
    """Ask a question on the terminal. Raise InputError without one."""
    if not sys.stdin.isatty():
        raise InputError("gc --delete: no terminal to ask on; look at the list, then add --yes")
    return input(question).strip().lower() in ("y", "yes")


def add_list(parser: ArgumentParser) -> None:
    """Add the kind of entries."""
    parser.add_argument(
        "kind", type=choice(*KINDS), metavar=f"{{{','.join(KINDS)}}}", help="entries to list"
    )


def list_entries(options: Namespace) -> None:
    """Print the models, tasks, recipes or studies that exist."""
    from xstilts.commands.listing import print_entries

    print_entries(options.kind, options.study, changes(options))


def add_study(parser: ArgumentParser) -> None:
    """Add the amount of output."""
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print scores, CIs, caveats and all files, too"
    )


def study(options: Namespace) -> None:
    """Write the study's tables, figures and page, and print the answer."""
    from xstilts.report.view import StudyView
    from xstilts.report.write import terminal
    from xstilts.stages import summarise

    terminal(summarise.run(StudyView(open_grid(options))), options.verbose)


def add_pin(parser: ArgumentParser) -> None:
    """Add the options of `pin`."""
    parser.add_argument(
        "--update", action="store_true", help="also update commits that are already locked"
    )


def pin(options: Namespace) -> None:
    """Write the lock file, and print its path."""
    from xstilts.commands.workflow import go_online

    go_online()
    from xstilts.stages import pin

    say(pin.run(options.study, options.update, changes(options)))


def add_export(parser: ArgumentParser) -> None:
    """Add the options of `export-xtreme`."""
    add = parser.add_argument
    add("--model", help="needed if the study has several")
    add("--recipe", required=True, help="as `xstilts list recipes` prints it")
    add("--seed", type=seed_number, required=True, help="such as 1 or s1")
    add("--out", type=new_folder, required=True, metavar="FOLDER", help="where to write the files")


def seed_number(text: str) -> int:
    """Return the number of a seed that is written as `1`, or as `s1` in a cell's name."""
    if not re.fullmatch(r"s?[0-9]{1,10}", text.casefold()):
        raise ArgumentTypeError(f"{text!r}: expected a seed such as 1 or s1")
    return int(text.casefold().removeprefix("s"))


def export(options: Namespace) -> None:
    """Write the prediction files of a recipe."""
    from xstilts import xtreme
    from xstilts.units import count

    grid = open_grid(options)
    models = grid.study.variants()
    if not options.model and len(models) > 1:
        raise InputError(f"--model: the study has several; expected one of {', '.join(models)}")
    model = options.model or models[0]
    written = xtreme.export(grid, model, options.recipe, options.seed, options.out)
    say(f"{count(len(written), 'file')} in {options.out}")


def add_score_files(parser: ArgumentParser) -> None:
    """Add the options of `score-files`."""
    add = parser.add_argument
    add("--task", required=True, help="XTREME's name, such as udpos")
    add("--language", required=True, help="such as de")
    add("--predictions", type=file, required=True, metavar="FILE", help="predictions to score")
    add(
        "--gold",
        type=file,
        required=True,
        metavar="FILE",
        help="correct answers in the same format, or in SQuAD's",
    )


def score_files(options: Namespace) -> None:
    """Print the scores of a prediction file as JSON."""
    import json

    from xstilts import xtreme

    scores = xtreme.score_files(options.task, options.language, options.predictions, options.gold)
    say(json.dumps(scores, indent=1))


COMMANDS = (
    Command("doctor", "check whether this installation can run the study", doctor),
    Command(
        "status",
        "show which cells are done, running or failed, and the time left",
        status,
        add_status,
    ),
    Command("plan", "estimate costs, and choose what to run within a budget", plan, add_plan),
    Command("why", "explain why a cell is done or missing", why, add_cell),
    Command("gc", "list results that no study uses, or weights to delete", gc, add_gc),
    Command("list", "list the available models, tasks, recipes or studies", list_entries, add_list),
    Command(
        "study",
        "write tables, figures and report again, from the existing scores",
        study,
        add_study,
    ),
    Command(
        "pin", "write the current commits of repositories on the Hub to a lock file", pin, add_pin
    ),
    Command("export-xtreme", "write predictions as XTREME's files", export, add_export),
    Command(
        "score-files",
        "score a prediction file in XTREME's format",
        score_files,
        add_score_files,
        needs_study=False,
    ),
)
