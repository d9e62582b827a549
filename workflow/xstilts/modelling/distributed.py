"""One training by several processes, a GPU each, on one node or several: weights are sharded.

`torchrun` starts the processes and says to each in the environment which it is. Without it there is
one process, and nothing here does anything.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from xstilts.errors import InputError, Stopped

SAVE_SECONDS = 600  # for a save after a signal; a scheduler's limit may be shorter
_PORT = 29500


def count() -> int:
    """Processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the one that writes what is not sharded."""
    return os.environ.get("RANK", "0") == "0"


def started() -> bool:
    """Whether this process is one of several that `launch` has started."""
    return "RANK" in os.environ


def launch(processes: int, nodes: int, arguments: Sequence[str]) -> None:
    """Run the program with `arguments` by `processes` processes, and wait for them.

    Signals are passed on. Raises Stopped if they ended after one, InputError if they cannot be
    shared out evenly, SystemExit if one failed, which has then told why.
    """
    if processes % nodes:
        raise InputError(f"--processes {processes}: expected a multiple of the nodes, {nodes}")
    received: list[int] = []
    running = subprocess.Popen(_command(processes, nodes, arguments))

    def pass_on(number, frame):
        received.append(number)
        running.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    if running.wait():
        if received:
            raise Stopped(f"stopped by signal {received[0]}; the next run goes on")
        raise SystemExit(1)


def _command(processes: int, nodes: int, arguments: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run"]
    command += [f"--nproc-per-node={processes // nodes}", f"--shutdown-timeout={SAVE_SECONDS}"]
    if nodes == 1:
        command.append("--standalone")
    else:
        job = os.environ.get("SLURM_JOB_ID", "0")
        where = f"{socket.gethostname()}:{_PORT + int(job) % 1000}"
        command += [f"--nnodes={nodes}", "--rdzv-backend=c10d"]
        command += [f"--rdzv-id={job}", f"--rdzv-endpoint={where}"]
        # a torchrun a node, free to use all its processors; one that fails ends the others
        srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
        command = [*srun, "--cpu-bind=none", "--kill-on-bad-exit=1", *command]
    return [*command, "-m", "--", "xstilts", *arguments]  # after -- no option is torchrun's


def agree(value: int | None) -> int | None:
    """The largest of what the processes say, None counting as 0 and 0 as None: the same in all."""
    if count() == 1:
        return value
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    told = torch.tensor([value or 0], device=device)
    torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
    return told.item() or None


def main_first() -> Any:
    """A context in which the main process is through before the others begin."""
    from accelerate import PartialState

    return PartialState().main_process_first()


def wait() -> None:
    """Until all processes are here."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def sharding(model: Any) -> dict[str, Any]:
    """Arguments of the Trainer: nothing for one process; else a unit of weights for each layer.

    Units are gathered for their computation only. What lies outside of the layers is one unit, as
    embeddings may be shared with a head.
    """
    if count() == 1:
        return {}
    import torch

    on_gpu = torch.cuda.is_available()
    # else accelerate takes embeddings, and a head, for units: weights that units share are an error
    model.get_input_embeddings = model.get_output_embeddings = lambda: None
    return {
        "use_cpu": not on_gpu,
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
    """Let accelerate shard where there is no GPU: it would copy the model to each process instead.

    Processors are for tests; the way through accelerate is that of GPUs.
    """
    import torch

    if count() > 1 and not torch.cuda.is_available():
        from accelerate import DistributedType, PartialState

        assert PartialState().initialized
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def layer_class(model: Any) -> str:
    """Name of the class of the encoder's layers: the longest list of modules of one class."""
    from torch import nn

    lists = [list(part) for part in model.modules() if isinstance(part, nn.ModuleList)]
    alike = [part for part in lists if part and len({type(layer) for layer in part}) == 1]
    return type(max(alike, key=len)[0]).__name__


def whole_state(trainer: Any) -> dict[str, Any] | None:
    """All weights on the CPU, in the main process only; None if one process trains.

    A weight with several names is one tensor under all of them, as in a model that is whole.
    """
    if count() == 1:
        return None
    from xstilts.modelling.checkpoints import first_names

    found = trainer.accelerator.get_state_dict(trainer.model)
    first = first_names(trainer.model)
    weights = {first.get(name, name): weight for name, weight in found.items()}
    return {name: weights[one] for name, one in first.items() if one in weights}
