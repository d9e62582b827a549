"""One training by several processes with one GPU each, on one node or several; sharded weights.

`torchrun` starts the processes and passes each its rank in the environment. Without `torchrun`
there is one process, and the functions of this module have no effect.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from xstilts.errors import InputError
from xstilts.processes import signals

SAVE_SECONDS = 600  # for a save after a signal; a scheduler's limit may be shorter
_PORT = 29500


def count() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes the files that are not sharded."""
    return os.environ.get("RANK", "0") == "0"


def started() -> bool:
    """Whether `launch` started this process."""
    return "RANK" in os.environ


def launch(processes: int, nodes: int, arguments: Sequence[str]) -> None:
    """Run the program with `arguments` in `processes` processes, and wait for them.

    Signals are passed to the processes. Raise Stopped if they ended after a signal, InputError if
    the nodes cannot have equally many processes, SystemExit if a process failed; the process has
    then reported the reason.
    """
    if processes % nodes:
        raise InputError(f"--processes {processes}: expected a multiple of the nodes, {nodes}")
    # the open files that processes inherit are the locks of their GPUs
    running = subprocess.Popen(command_of(processes, nodes, arguments), close_fds=False)
    if any(signals.wait_for([running])):
        raise SystemExit(1)


def command_of(processes: int, nodes: int, arguments: Sequence[str]) -> list[str]:
    """Return the command that starts the processes, on several nodes by srun."""
    command = [sys.executable, "-m", "torch.distributed.run"]
    command += [f"--nproc-per-node={processes // nodes}", f"--shutdown-timeout={SAVE_SECONDS}"]
    if nodes == 1:
        command.append("--standalone")
    else:
        job = os.environ.get("SLURM_JOB_ID", "0")
        where = f"{socket.gethostname()}:{_PORT + int(job) % 1000}"
        command += [f"--nnodes={nodes}", "--rdzv-backend=c10d"]
        command += [f"--rdzv-id={job}", f"--rdzv-endpoint={where}"]
        # one torchrun per node, on all its processors; if one fails, srun ends the others
        srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
        command = [*srun, "--cpu-bind=none", "--kill-on-bad-exit=1", *command]
    return [*command, "-m", "--", "xstilts", *arguments]  # options after -- are not torchrun's


def agree(value: int | None) -> int | None:
    """Return the maximum of an optional integer over all processes; None if none has one."""
    if count() == 1:
        return value
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    maximum = torch.tensor([value or 0], device=device)
    torch.distributed.all_reduce(maximum, torch.distributed.ReduceOp.MAX)
    return maximum.item() or None


def wait() -> None:
    """Wait until all processes call this function."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def sharding(model: Any) -> dict[str, Any]:
    """Return the Trainer's arguments for sharding; none for one process.

    Each layer is one unit of weights, gathered only while it is computed. All weights outside of
    the layers are one unit, because embeddings may be shared with a head.
    """
    if count() == 1:
        return {}
    import torch

    on_gpu = torch.cuda.is_available()
    # accelerate would make units of embeddings and head, and fail because they share weights
    model.get_input_embeddings = model.get_output_embeddings = lambda: None
    return {
        "ddp_backend": "nccl" if on_gpu else "gloo",
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "reshard_after_forward": True,
            "state_dict_type": "SHARDED_STATE_DICT",
            "transformer_layer_cls_to_wrap": [layer_class(model)],
        },
    }


def shard_on_cpu() -> None:
    """Make accelerate shard without a GPU, as with GPUs; it would copy the model instead.

    Sharding on processors is for tests.
    """
    import torch

    if count() > 1 and not torch.cuda.is_available():
        from accelerate import DistributedType, PartialState

        assert PartialState().initialized
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def layer_class(model: Any) -> str:
    """Return the class name of the encoder's layers: the longest list of modules of one class."""
    from torch import nn

    lists = [list(part) for part in model.modules() if isinstance(part, nn.ModuleList)]
    uniform = [part for part in lists if part and len({type(layer) for layer in part}) == 1]
    return type(max(uniform, key=len)[0]).__name__


def distinct_state(trainer: Any) -> dict[str, Any]:
    """Return each weight under the first of its names; of several processes, in the main one.

    There they are on the CPU.
    """
    model = trainer.model
    weights = model.state_dict() if count() == 1 else trainer.accelerator.get_state_dict(model)
    first = first_names(model)
    return {first.get(name, name): weight for name, weight in weights.items()}


@contextmanager
def gathered(model: Any) -> Iterator[None]:
    """Gather the weights outside of the layers, for calls of a part of a sharded model."""
    if count() > 1:
        model.unshard()
    yield
    if count() > 1:
        model.reshard()


def with_all_names(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return each weight under all of its names, as in a model that is not sharded."""
    first = first_names(model)
    return {name: weights[shared] for name, shared in first.items() if shared in weights}


def first_names(model: Any) -> dict[str, str]:
    """Return, for each name of a weight or buffer, the first of its names."""
    first: dict[int, str] = {}
    named = [*model.named_parameters(remove_duplicate=False)]
    named += model.named_buffers(remove_duplicate=False)
    return {name: first.setdefault(id(weight), name) for name, weight in named}
