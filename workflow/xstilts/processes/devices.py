"""GPUs of a machine without SLURM: each job has its own.

A run of Snakemake names the machine's GPUs in an environment variable (`offer`). A job takes as
many as it needs (`taken`): it locks a file for each, and hides the others. The kernel releases the
locks when the job and the processes that it started have ended, even if they are killed. The files
are local to the machine, so runs in different folders do not take the same GPU either.

Jobs of SLURM take none: SLURM has already chosen their GPUs.
"""

import fcntl
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from xstilts.errors import InputError

log = logging.getLogger("xstilts")

VISIBLE = "CUDA_VISIBLE_DEVICES"  # PyTorch's builds for AMD read it too
OFFERED = "XSTILTS_GPUS"  # GPUs that the jobs of a run may take; unset on SLURM
_NVIDIA = Path("/proc/driver/nvidia/gpus")  # a folder per GPU
_AMD = Path("/sys/class/kfd/kfd/topology/nodes")  # `gpu_id` is 0 for processors
_WAIT_SECONDS = 1


def present() -> list[str]:
    """Return the GPUs that this process may use, by the names that `VISIBLE` has for them."""
    if VISIBLE in os.environ:
        names = [name.strip() for name in os.environ[VISIBLE].split(",")]
        end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:end]  # CUDA ignores what follows an invalid name
    return [str(number) for number in range(_count())]


def _count() -> int:
    """Return the number of GPUs of this machine, without a library that would occupy one."""
    try:
        return len(os.listdir(_NVIDIA))
    except OSError:
        ids = (path.read_text(encoding="ascii").strip() for path in _AMD.glob("*/gpu_id"))
        return sum(number != "0" for number in ids)


def offer(number: int | None) -> int:
    """Offer this machine's GPUs to the jobs of this process; return how many such jobs may run.

    `number` is the number that the user stated, also of a machine whose GPUs cannot be counted.
    """
    names = present()
    if number and not names and VISIBLE not in os.environ:
        names = [str(index) for index in range(number)]
    os.environ[OFFERED] = ",".join(names)
    return (len(names) or 1) if number is None else number  # 1: a processor instead of a GPU


@contextmanager
def taken(number: int) -> Iterator[None]:
    """Hold `number` of the offered GPUs, the only visible ones; wait while others hold them.

    Raise InputError if fewer are offered.
    """
    names = [name for name in os.environ.get(OFFERED, "").split(",") if name]
    if not names:  # none on this machine, or SLURM has chosen them
        yield
        return
    if number > len(names):
        raise InputError(f"the job needs {number} GPUs, but this machine offers {len(names)}")
    before = {name: os.environ.get(name) for name in (VISIBLE, OFFERED)}
    with ExitStack() as files:
        mine = _wait_for(number, names, files)
        os.environ |= {VISIBLE: ",".join(mine), OFFERED: ""}  # its processes share them
        if mine:
            log.info(f"GPU {', '.join(mine)}")
        try:
            yield
        finally:
            if _uses_cuda():  # it keeps its device and some memory until the process ends
                files.pop_all()
            else:
                for name, value in before.items():
                    os.environ.pop(name) if value is None else os.environ.update({name: value})


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def _wait_for(number: int, names: Sequence[str], files: ExitStack) -> list[str]:
    """Return the names of `number` GPUs, whose locks close with `files`."""
    waiting = False
    while True:
        with ExitStack() as attempt:
            free = (name for name in names if _lock(name, attempt))
            mine = list(islice(free, number))
            if len(mine) == number:
                files.enter_context(attempt.pop_all())
                return mine
        # all or none: two jobs that hold one GPU each would wait for each other
        if not waiting:
            log.info(f"waiting for {number} of the GPUs {', '.join(names)}: other jobs use them")
            waiting = True
        time.sleep(_WAIT_SECONDS)


def _lock(name: str, files: ExitStack) -> bool:
    """Lock a GPU without waiting, and add its open file to `files`; return whether it was free."""
    file = os.open(_folder() / name.replace("/", "_"), os.O_RDWR | os.O_CREAT, 0o600)
    files.callback(os.close, file)
    os.set_inheritable(file, True)  # a process that outlives the job still uses the GPU
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folder() -> Path:
    """Return the folder of the locks: of this machine and user, and of an allocation of SLURM.

    Two allocations on one node may call different GPUs by the same name.
    """
    job = os.environ.get("SLURM_JOB_ID")
    folder = Path(f"/tmp/xstilts-gpus-{os.getuid()}" + (f"-{job}" if job else ""))
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise InputError(f"{folder}: belongs to another user; it must be removed")
    return folder
