"""`xstilts doctor`: is this installation fit to run the study? Each failure with its remedy."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.text import Text

from xstilts import store
from xstilts.config.origins import FilesSplit
from xstilts.config.project import read_site
from xstilts.costs import bill, measured
from xstilts.costs.estimates import Estimator, load_table
from xstilts.costs.units import size
from xstilts.errors import InputError
from xstilts.grid.artefacts import gpus_of
from xstilts.grid.grid import Grid
from xstilts.grid.state import RESULTS, is_done

ROOT = Path(__file__).parents[3]
_SECONDS = 120  # for a command of SLURM, or to import torch on a busy file server
_LISTED = 5
_SLURM = ("sbatch", "squeue", "scancel", "sinfo")


@dataclass(frozen=True)
class Check:
    """What was looked at and found; a remedy makes it a failure."""

    name: str
    found: str
    remedy: str = ""


def examine(grid: Grid, notices: list[str], study: Path) -> Iterator[Check]:
    """All checks, those that take long last."""
    yield _python()
    yield _libraries()
    yield from (_writable(folder) for folder in (RESULTS, store.SCRATCH, Path(".snakemake")))
    yield _disk(grid)
    yield from _downloads(grid, study)
    yield from _raw_files(grid)
    for notice in notices:
        yield Check("raw files", notice)
    has_slurm, checks = _slurm(grid)
    yield from checks
    if not has_slurm:
        yield _gpu(grid)


def show(checks: Iterator[Check], console: Console | None = None) -> bool:
    """Print each check as it is made. Whether none failed."""
    console = console or Console()
    failed = 0
    for check in checks:
        failed += bool(check.remedy)
        mark, style = ("✗", "red") if check.remedy else ("✓", "green")
        console.print(Text(f"{mark} {check.name}: {check.found}", style), soft_wrap=True)
        if check.remedy:
            console.print(Text(f"    {check.remedy}"), soft_wrap=True)
    told = f"{failed} of the checks failed" if failed else "all is well"
    console.print(Text(told, "bold"))
    return not failed


def _python() -> Check:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = stated["project"]["requires-python"].removeprefix(">=")
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < tuple(map(int, wanted.split("."))):
        return Check("Python", found, f"expected {wanted} or later: `make PYTHON=python{wanted}`")
    return Check("Python", found)


def _libraries() -> Check:
    """The versions that the lock pins; tools of developers may be absent."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {_plain(text.split("==")[0]) for text in stated["project"]["dependencies"]}
    lock = ROOT / "envs" / "requirements.lock"
    wrong, count = [], 0
    for name, pinned in re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.M):
        try:
            found = version(name)
        except PackageNotFoundError:
            wrong += [f"{name} is not installed"] if _plain(name) in needed else []
            continue
        count += 1
        if found.split("+")[0] != pinned.split("+")[0]:
            wrong.append(f"{name} is {found}, not {pinned}")
    if wrong:
        remedy = "run `pip install --requirement envs/requirements.lock`"
        return Check("libraries", _list(wrong), remedy)
    return Check("libraries", f"{count} as pinned in envs/requirements.lock")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _writable(folder: Path) -> Check:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        store.check_writable(there)
    except InputError as error:
        remedy = "mend the folder's rights or make room; or run in a folder of your own"
        return Check(f"folder {folder}", str(error), remedy)
    return Check(f"folder {folder}", "can be written")


def _disk(grid: Grid) -> Check:
    free = shutil.disk_usage(".").free
    try:
        evidence = measured.read(grid.project, grid.artefacts().all())
        done = [artefact.id for artefact in grid.artefacts().all() if is_done(artefact)]
        made = bill.make(grid, Estimator(grid.project, load_table()), evidence, done)
    except InputError as error:
        return Check("disk", f"{size(free)} free; what the study needs is not known: {error}")
    total = made.total()
    need = total.disk + total.download + made.scratch
    found = f"{size(free) or 'none'} free, the study needs about {size(need) or 'none'} more"
    if need > free:
        remedy = (
            "make room (`xstilts gc`), or choose cells: `xstilts plan --disk SIZE --write FILE`"
        )
        return Check("disk", found, remedy)
    return Check("disk", found)


def _downloads(grid: Grid, study: Path) -> Iterator[Check]:
    data = grid.artefacts().datasets.values()
    served = {d.download.id for d in data if d.download and is_done(d)}
    wanted = grid.artefacts().downloads
    missing = [id for id, one in wanted.items() if id not in served and not is_done(one)]
    if missing:
        found = f"{len(missing)} of {len(wanted)} are not there: {_list(missing)}"
        yield Check("downloads", found, f"where there is a network: `make fetch STUDY={study}`")
    elif wanted:
        yield Check("downloads", f"all {len(wanted)} are there; jobs need no network")


def _raw_files(grid: Grid) -> Iterator[Check]:
    """The releases' files that `prepare` is to read."""
    read = [d for d in grid.artefacts().datasets.values() if isinstance(d.spec, FilesSplit)]
    missing = [d.identity.name for d in read if not d.raw and not is_done(d)]
    if missing:
        found = f"{len(missing)} of {len(read)} data sets have no files: {_list(missing)}"
        remedy = (
            f"unpack the releases below {grid.project.data_folder()}, as the `path` of each entry "
            "in config/tasks says; its `homepage` is where they are; or take what the Hub has "
            "(`source: hub`), and leave out the rest (`languages: available`)"
        )
        yield Check("releases", found, remedy)
    elif read:
        yield Check("releases", f"all {len(read)} data sets have their files")


def _slurm(grid: Grid) -> tuple[bool, list[Check]]:
    """Whether SLURM is here, and what it says of what the site's file names."""
    absent = [name for name in _SLURM if not shutil.which(name)]
    path = ROOT / "profiles" / "slurm" / "site.yaml"
    if absent:
        if path.exists() or len(absent) < len(_SLURM):
            remedy = "load your cluster's module, or run on its login node"
            return False, [Check("SLURM", f"no {', '.join(absent)} on the PATH", remedy)]
        return False, [Check("SLURM", "not on this machine: jobs run here")]
    status, told = _run("sinfo", "--noheader", "--format=%R|%G")
    if status:
        found = f"sinfo: {told.partition(chr(10))[0]}"
        if not path.exists():
            return False, [Check("SLURM", f"no cluster answers: jobs run here ({found})")]
        return True, [Check("SLURM", found, "ask whether the cluster is up; `sinfo` must answer")]
    rows = [line.partition("|") for line in told.splitlines()]
    partitions = {name.strip(): gpus for name, _, gpus in rows}
    checks = [Check("SLURM", f"partitions {', '.join(sorted(partitions))}")]
    site = read_site(path)
    for kind in ("cpu", "gpu"):
        name = getattr(site.partitions, kind)
        if name and name not in partitions:
            found = f"the cluster has none called {name}"
            checks.append(Check(f"partition of {kind} jobs", found, f"correct {path.name}"))
    if _wants_gpus(grid):
        offers = [gpus for _, _, gpus in rows if "gpu" in gpus]
        model = site.gpu_model
        if not offers:
            checks.append(Check("GPUs", "SLURM offers none", "`resources` of the model: gpu: 0"))
        elif model and not any(f":{model}" in gpus for gpus in offers):
            found = f"SLURM offers {_list(sorted(set(offers)))}, none is {model}"
            checks.append(Check("GPUs", found, f"correct gpu_model in {path.name}"))
        else:
            checks.append(Check("GPUs", f"SLURM offers {_list(sorted(set(offers)))}"))
    return True, checks


def _gpu(grid: Grid) -> Check:
    """GPUs of this machine, if the study's models ask for any."""
    most = _wants_gpus(grid)
    if not most:
        return Check("GPUs", "the study's models ask for none")
    code = "import torch; print(torch.cuda.device_count(), torch.version.cuda)"
    status, told = _run(sys.executable, "-c", code)
    count, _, cuda = told.strip().partition(" ")
    if status or not count.isdigit():
        return Check("GPUs", f"torch does not start: {told.strip()[-200:]}", "reinstall torch")
    if int(count) >= most:
        return Check("GPUs", f"torch sees {count}, a job asks for {most}")
    found = f"torch sees {count}, a job asks for {most}"
    if not shutil.which("nvidia-smi"):
        return Check("GPUs", found, "no nvidia-smi: run on a machine with GPUs, or on a cluster")
    why = "was built without CUDA" if cuda == "None" else f"wants a driver for CUDA {cuda}"
    return Check("GPUs", found, f"`nvidia-smi` is here: see what it lists; this torch {why}")


def _wants_gpus(grid: Grid) -> int:
    """GPUs of the largest job."""
    artefacts = grid.artefacts()
    nodes = [*artefacts.checkpoints.values(), *artefacts.predictions.values()]
    return max((gpus_of(node, grid.project) for node in nodes), default=0)


def _run(*command: str) -> tuple[int, str]:
    """Exit status and what a command said."""
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, env={**os.environ}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return run.returncode, run.stdout if run.returncode == 0 else run.stderr.strip()


def _list(found: list[str]) -> str:
    rest = len(found) - _LISTED
    return ", ".join(found[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
