"""A fork server: in a local run, jobs are forks of one process that has imported the stages.

Importing torch and transformers takes longer than most jobs of a small study. `start` runs the
server, `delegate` lets it run a job, and `Server` is the loop of its process.

A job is one connection to the server's socket. The client sends its standard streams, arguments
and environment; the server answers with a byte as soon as the fork exists, and with the wait
status when it has ended. In between, each byte from the client is a signal for the fork. If the
client ends first, the fork is killed. If the server ends first, the forks end with it, and the
clients run their jobs themselves. The server ends with the run that started it, or with the last
client if that is later.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

from xstilts.processes import signals

COMMAND = "fork-server"  # of `python -m xstilts`, internal: the process of the server
ADDRESS = "XSTILTS_FORK_SERVER"  # environment variable: the server's socket, or `off`
STAGES = ("prepare", "initialise", "train", "merge", "predict", "score")
_ACCELERATORS = ("/proc/driver/nvidia", "/dev/kfd", "/dev/dxg")  # CUDA and forks exclude each other
# modules that every stage imports when it runs, and those of one stage
_IMPORTED_LATER = ("xstilts.cli", "xstilts.grid.state", "psutil", "pyarrow.parquet")
_LOADS_WEIGHTS = ("train", "merge", "predict")
_IMPORTED_BY = {"score": ("seqeval.metrics",)} | dict.fromkeys(
    _LOADS_WEIGHTS, ("transformers.models.xlm_roberta.modeling_xlm_roberta",)
)
_REQUEST_SECONDS = 10
_STATUS_BYTES = 4


def start() -> None:
    """Start a server for the jobs of this process, and put its address in the environment.

    No server starts on SLURM, on a machine with a GPU that is not hidden, on other systems than
    Linux, or if the environment variable is set.
    """
    if ADDRESS in os.environ or sys.platform != "linux" or "SLURM_JOB_ID" in os.environ:
        return
    if os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(map(os.path.exists, _ACCELERATORS)):
        return
    import subprocess
    import tempfile

    with suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
        # the path of a socket has at most 107 bytes; TMPDIR may be longer
        address = os.path.join(tempfile.mkdtemp(prefix="xstilts-", dir="/tmp"), "socket")
        listener.bind(address)
        listener.listen(4096)
        input, _ = os.pipe()  # the kernel closes the other end when this process ends
        subprocess.Popen(
            [sys.executable, "-m", "xstilts", COMMAND, str(listener.fileno())],
            stdin=input,
            stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # the terminal's signals are for the clients
        )
        os.close(input)
        os.environ[ADDRESS] = address


def delegate(arguments: Sequence[str]) -> None:
    """Let the server run a stage, and exit as its fork does; return if no server can run it.

    Jobs with several threads have their own processes: libraries start threads when they are
    imported, and only a process with one thread can fork safely.
    """
    address = os.environ.get(ADDRESS, "off")
    if address == "off" or not arguments or arguments[0] not in STAGES:
        return
    if os.environ.get("OMP_NUM_THREADS") != "1":
        return
    handlers = {n: signal.getsignal(n) for n in (*signals.HANDLED, signal.SIGTSTP)}
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with suppress(OSError), socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        if server.recv(1):
            _pass_signals(server)
            if status := _received(server, _STATUS_BYTES):
                _exit(int.from_bytes(status, "big"))
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _received(server: socket.socket, count: int) -> bytes:
    """Wait for bytes, and handle signals meanwhile."""
    server.settimeout(signals.LONGEST_WAIT)
    while True:
        with suppress(TimeoutError):
            return server.recv(count)


def _pass_signals(server: socket.socket) -> None:
    """Pass the signals that stages handle to the fork; suspend the fork with this process."""

    def send(number, frame=None):
        with suppress(OSError):  # the fork has just ended
            server.send(bytes([number]))

    def suspend(number, frame):
        send(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        send(signal.SIGCONT)

    signal.signal(signal.SIGTERM, send)
    signal.signal(signal.SIGINT, send)
    if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, suspend)


def _exit(status: int) -> None:
    """End this process with a wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.WEXITSTATUS(status))


def compute_once(loads_weights: bool) -> None:
    """Fill caches of libraries that each fork would otherwise fill again."""
    from xstilts.store import provenance

    provenance.commit()
    provenance.libraries()
    if loads_weights:
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("")  # compiles 900 patterns: half a second


class Server:
    """The server's process, on a listening socket.

    All forks have the folder and environment of the first request.
    """

    def __init__(self, listener: int):
        self.listener = socket.socket(fileno=listener)
        self.address = self.listener.getsockname()
        self.setting: tuple | None = None
        self.clients: dict[int, socket.socket] = {}  # by process id
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(0, selectors.EVENT_READ, self._close)

    def serve(self) -> list[str]:
        """Fork for each request, and return its arguments in the fork; exit after the last."""
        while self.clients or self.selector.get_map():
            key, _ = self.selector.select()[0]  # one at a time: it may end the other events
            if arguments := key.data():
                return arguments
        sys.exit()

    def _close(self) -> None:
        """Accept no more jobs: the process that started this one has ended."""
        self.selector.unregister(0)
        self.selector.unregister(self.listener)
        self.listener.close()
        with suppress(OSError):
            os.unlink(self.address)
            os.rmdir(os.path.dirname(self.address))

    def _accept(self) -> list[str] | None:
        client, _ = self.listener.accept()
        client.settimeout(_REQUEST_SECONDS)
        streams: list[int] = []
        try:
            streams = socket.recv_fds(client, 1, 3)[1]
            with client.makefile("rb") as file:
                request = json.loads(file.readline())
        except (OSError, ValueError):  # the client has ended
            request = None
        if len(streams) == 3 and request and self._can_fork(**request):
            process = os.fork()
            if not process:
                return self._become(client, streams, **request)
            self._keep(process, client)
        else:
            client.close()
        for stream in streams:
            os.close(stream)
        return None

    def _can_fork(self, arguments: list[str], folder: str, environment: dict[str, str]) -> bool:
        """Import the request's stage; return whether a fork is as good as a new process."""
        if self.setting is None:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            # pyarrow starts a thread when it is imported; only the release of its memory needs it
            os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
            self.setting = folder, environment
        if self.setting != (folder, environment):
            return False
        stage = arguments[0]
        for module in (*_IMPORTED_LATER, f"xstilts.stages.{stage}", *_IMPORTED_BY.get(stage, ())):
            importlib.import_module(module)
        compute_once(stage in _LOADS_WEIGHTS)
        if "--study" in arguments[:-1]:
            study = arguments[arguments.index("--study") + 1]
            sys.modules["xstilts.grid.state"].keep_snapshot(study)
        gc.freeze()  # otherwise a fork's first collection copies the memory of all modules
        return len(os.listdir("/proc/self/task")) == 1

    def _become(
        self,
        client: socket.socket,
        streams: Sequence[int],
        arguments: list[str],
        folder: str,
        environment: dict[str, str],
    ) -> list[str]:
        """Make this process, a fork, equal to a new one with the request's arguments."""
        import ctypes

        sys.argv[1:] = arguments
        signals.end_immediately()
        ctypes.CDLL(None).prctl(signals.DIE_WITH_PARENT, signal.SIGKILL)
        for key in list(self.selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            elif key.fd:
                os.close(key.fd)
        self.selector.close()
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        # the server's own stream objects treat the client's pipes as files with a position
        sys.stdout = os.fdopen(1, "w", 1 if os.isatty(1) else -1, closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
        os.environ.clear()
        os.environ.update(environment)
        return arguments

    def _keep(self, process: int, client: socket.socket) -> None:
        """Pass signals from a client to its fork, and the fork's wait status to the client."""
        self.clients[process] = client
        end = os.pidfd_open(process)
        self.selector.register(client, selectors.EVENT_READ, partial(self._signal, process))
        self.selector.register(end, selectors.EVENT_READ, partial(self._report, process, end))
        with suppress(OSError):
            client.send(b"\n")

    def _signal(self, process: int) -> None:
        client = self.clients[process]
        try:
            number = client.recv(1)
        except OSError:
            number = b""
        if not number:  # the client has ended
            self.selector.unregister(client)
        os.kill(process, number[0] if number else signal.SIGKILL)

    def _report(self, process: int, end: int) -> None:
        self.selector.unregister(end)
        os.close(end)
        _, status = os.waitpid(process, 0)
        client = self.clients.pop(process)
        with suppress(KeyError):
            self.selector.unregister(client)
        with suppress(OSError), client:
            client.send(status.to_bytes(_STATUS_BYTES, "big"))


def end(main: Callable[[], int]) -> NoReturn:
    """Run a fork's job, and end without freeing the modules: that would copy their memory."""
    import logging

    try:
        status = main()
    except SystemExit as exit:
        status = exit.code
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)
