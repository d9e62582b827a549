"""`xstilts doctor`: checks whether this machine can run the study; each failure has a remedy."""

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

from rich.text import Text

from xstilts import store
from xstilts.config.origins import FilesSplit
from xstilts.config.project import read_site, site_files
from xstilts.costs import bill, measured
from xstilts.costs.estimates import Estimator
from xstilts.errors import InputError
from xstilts.grid.artefacts import gpus_of
from xstilts.grid.grid import Grid
from xstilts.grid.state import done, is_done
from xstilts.status.problems import settings_problems
from xstilts.store import paths
from xstilts.terminal import Console
from xstilts.units import count, size

ROOT = Path(__file__).parents[3]
_SECONDS = 120  # for a command of SLURM, or to import torch on a busy file server
_LISTED = 5
_SLURM = ("sbatch", "squeue", "scancel", "sinfo")


@dataclass(frozen=True)
class Check:
    """Result of a check; with a remedy, it is a failure."""

    name: str
    result: str
    remedy: str = ""


_FREE = "change the folder's permissions, free disk space, or run in another folder"


def examine(grid: Grid, notices: list[str], study: Path) -> Iterator[Check]:
    """Run all checks, the slow ones last."""
    yield _python()
    yield _libraries()
    yield from (_writable(folder) for folder in (paths.RESULTS, store.SCRATCH, Path(".snakemake")))
    yield _writable(_cache_folder(), "set XDG_CACHE_HOME to a folder for Snakemake's cache")
    yield _disk(grid)
    yield from _downloads(grid, study)
    yield from _raw_files(grid)
    for problem in settings_problems(grid):
        yield Check("settings", problem, "correct the study, or the entry that it names")
    for notice in notices:
        yield Check("raw files", notice)
    has_slurm, checks = _slurm(grid)
    yield from checks
    if not has_slurm:
        yield _gpu(grid)


def show(checks: Iterator[Check]) -> bool:
    """Print each check when it is finished; return whether none failed."""
    console, failed = Console(), 0
    for check in checks:
        failed += bool(check.remedy)
        mark, style = ("✗", "red") if check.remedy else ("✓", "green")
        console.print(Text(f"{mark} {check.name}: {check.result}", style), soft_wrap=True)
        if check.remedy:
            console.print(Text(f"    {check.remedy}"), soft_wrap=True)
    summary = f"{count(failed, 'check')} failed" if failed else "all checks passed"
    console.print(Text(summary, "bold"))
    return not failed


def _python() -> Check:
    needed = re.search(r">=\s*([0-9.]+)", _pyproject()["requires-python"])[1]
    version = ".".join(map(str, sys.version_info[:3]))
    is_old = sys.version_info[:2] < tuple(map(int, needed.split(".")))
    remedy = f"expected {needed} or later: `make PYTHON=python{needed}`" * is_old
    return Check("Python", version, remedy)


def _pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _libraries() -> Check:
    """Compare the installed versions with the lock file; developers' tools may be absent."""
    needed = {_plain(text.split("==")[0]) for text in _pyproject()["dependencies"]}
    lock = ROOT / "envs" / "requirements.lock"
    wrong, correct = [], 0
    for name, pinned in re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.M):
        try:
            installed = version(name)
        except PackageNotFoundError:
            wrong += [f"{name} is not installed"] if _plain(name) in needed else []
            continue
        if installed.split("+")[0] == pinned.split("+")[0]:
            correct += 1
        else:
            wrong.append(f"{name} is {installed}, expected {pinned}")
    if wrong:
        remedy = "run `pip install --requirement envs/requirements.lock`"
        return Check("libraries", _list(wrong), remedy)
    return Check("libraries", f"{correct} as pinned in envs/requirements.lock")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _cache_folder() -> Path:
    """Folder of Snakemake's cache, without which it ends in a traceback before it reads a study."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "snakemake"


def _writable(folder: Path, remedy: str = _FREE) -> Check:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        store.check_writable(existing)
    except InputError as error:
        return Check(f"folder {folder}", str(error), remedy)
    return Check(f"folder {folder}", "writable")


def _disk(grid: Grid) -> Check:
    free = shutil.disk_usage(".").free
    try:
        evidence = measured.read(grid.project, grid.artefacts().all())
        complete = done(grid.artefacts().all())
        plan = bill.make(grid, Estimator(grid.project, evidence), complete)
    except InputError as error:
        return Check("disk", f"{size(free)} free; the study's need is unknown: {error}")
    total = plan.total()
    need = total.disk + total.download + plan.scratch
    needed = f"about {size(need)} more" if need else "no more"
    result = f"{size(free) or '0 B'} free; the study needs {needed}"
    remedy = (
        "free disk space (`xstilts gc`), or run fewer cells "
        "(`xstilts plan --disk SIZE --write FILE`)"
    )
    return Check("disk", result, remedy if need > free else "")


def _downloads(grid: Grid, study: Path) -> Iterator[Check]:
    downloads, complete = grid.artefacts().downloads, done(grid.artefacts().all())
    missing = [id for id in downloads if id not in complete]
    if missing:
        result = f"{len(missing)} of {len(downloads)} missing: {_list(missing)}"
        yield Check("downloads", result, f"run `make fetch STUDY={study}` where there is a network")
    elif downloads:
        yield Check("downloads", f"all {len(downloads)} exist; jobs need no network")


def _raw_files(grid: Grid) -> Iterator[Check]:
    """Check that the files of the releases exist, which `prepare` reads."""
    read = [d for d in grid.artefacts().datasets.values() if isinstance(d.spec, FilesSplit)]
    missing = [d.identity.name for d in read if not d.raw and not is_done(d)]
    if missing:
        result = f"{len(missing)} of {len(read)} data sets have no files: {_list(missing)}"
        remedy = (
            f"unpack the releases below {grid.project.data_folder()}, at the `path` of each entry "
            "in config/tasks (its `homepage` has the release); or use the copies on the Hub "
            "(`source: hub`) and leave out the rest (`languages: available`)"
        )
        yield Check("releases", result, remedy)
    elif read:
        yield Check("releases", f"all {len(read)} data sets have their files")


def _slurm(grid: Grid) -> tuple[bool, list[Check]]:
    """Return whether this machine has SLURM, and the checks of the cluster and of site.yaml."""
    absent = [name for name in _SLURM if not shutil.which(name)]
    files = site_files(ROOT)
    path = next(filter(Path.exists, files), files[-1])
    try:
        site = read_site(path)
    except InputError as error:
        return False, [Check("SLURM", str(error), f"correct {path.name}")]
    if absent:
        if path.exists() or len(absent) < len(_SLURM):
            remedy = "load your cluster's module, or run on its login node"
            return False, [Check("SLURM", f"no {', '.join(absent)} on the PATH", remedy)]
        return False, [Check("SLURM", "not on this machine: jobs run here")]
    status, output = _run("sinfo", "--noheader", "--format=%R|%G")
    if status:
        result = f"sinfo: {output.partition(chr(10))[0]}"
        if not path.exists():
            return False, [Check("SLURM", f"no cluster answers: jobs run here ({result})")]
        return True, [Check("SLURM", result, "ask whether the cluster is up; `sinfo` must answer")]
    rows = [line.partition("|") for line in output.splitlines()]
    partitions = {name.strip() for name, _, _ in rows}
    checks = [Check("SLURM", f"partitions {', '.join(sorted(partitions))}")]
    for kind in ("cpu", "gpu"):
        name = getattr(site.partitions, kind)
        if name and name not in partitions:
            result = f"the cluster has none called {name}"
            checks.append(Check(f"partition of {kind} jobs", result, f"correct {path.name}"))
    if _most_gpus(grid):
        offers = sorted({gpus for _, _, gpus in rows if "gpu" in gpus})
        checks.append(_slurm_gpus(offers, site.gpu_model, path))
    return True, checks


def _slurm_gpus(offers: list[str], model: str | None, site: Path) -> Check:
    if not offers:
        return Check("GPUs", "SLURM offers none", "set `gpu: 0` in the model's `resources`")
    result = f"SLURM offers {_list(offers)}"
    if model and not any(f":{model}" in gpus for gpus in offers):
        return Check("GPUs", f"{result}, none is {model}", f"correct gpu_model in {site.name}")
    return Check("GPUs", result)


def _gpu(grid: Grid) -> Check:
    """Check the GPUs of this machine, if the study's models need any."""
    most = _most_gpus(grid)
    if not most:
        return Check("GPUs", "the study's models need none")
    code = "import torch; print(torch.cuda.device_count(), torch.version.cuda)"
    status, output = _run(sys.executable, "-c", code)
    number, _, cuda = output.strip().partition(" ")
    if status or not number.isdigit():
        return Check("GPUs", f"torch does not start: {output.strip()[-200:]}", "reinstall torch")
    result = f"torch sees {number}, a job needs {most}"
    if int(number) >= most:
        return Check("GPUs", result)
    if not shutil.which("nvidia-smi"):
        return Check("GPUs", result, "no nvidia-smi: run on a machine with GPUs, or on a cluster")
    why = "was built without CUDA" if cuda == "None" else f"needs a driver for CUDA {cuda}"
    return Check("GPUs", result, f"see which GPUs `nvidia-smi` lists; this torch {why}")


def _most_gpus(grid: Grid) -> int:
    """Number of GPUs of the largest job."""
    artefacts = grid.artefacts()
    nodes = [*artefacts.checkpoints.values(), *artefacts.predictions.values()]
    return max((gpus_of(node, grid.project) for node in nodes), default=0)


def _run(*command: str) -> tuple[int, str]:
    """Return the exit status and the output of a command, or its error message."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return run.returncode, run.stdout if run.returncode == 0 else run.stderr.strip()


def _list(names: list[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
