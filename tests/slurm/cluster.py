"""A real SLURM on this machine: munged, slurmctld and a slurmd per node, all below one folder.

Nodes are slurmd processes of one host, their GPUs are /dev/null; jobs, limits, preemption, node
failures and accounting are SLURM's own. Nothing is installed, no file of the system is touched.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests import PATIENCE

PACKAGES = {
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-wlm",
    "munged": "munge",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
}
SYSTEM_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
NODES = ("n1", "n2", "n3", "n4", "n5")  # with a GPU each, the last two with two
_OWN_MOUNTS = {"n3": ["unshare", "--mount"]}  # it may see other files
ACTIVE = "PENDING RUNNING COMPLETING CONFIGURING SUSPENDED REQUEUED".split()


def missing_packages() -> list[str]:
    """Debian packages whose programs are not there."""
    absent = [name for name in PACKAGES if not shutil.which(name, path=SYSTEM_PATH)]
    return sorted({PACKAGES[name] for name in absent})


def until(condition: Callable, what: str, seconds: float = PATIENCE):
    """Wait for a condition, and return its value; fails naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for found in sockets:
        found.bind(("127.0.0.1", 0))
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# a requeued job waits for the credential of its first start to expire: 120 s by default
AuthInfo=socket={folder}/run/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
# memory limits without cgroups
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
# a node that was set down stays so; one that did not answer comes back
ReturnToService=1
# nodes may claim more processors than this machine has
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
MinJobAge=7200
MessageTimeout=10
TCPTimeout=2
NodeName=DEFAULT CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=6000
NodeName=n[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports_of_one}] Gres=gpu:a100:1
NodeName=n[4-5] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports_of_two}] Gres=gpu:a100:2
PartitionName=cpu Nodes=n[1-2] MaxTime=60 DefaultTime=10 PriorityTier=1 Default=YES
PartitionName=gpu Nodes=n[1-2] MaxTime=60 DefaultTime=10 PriorityTier=1
PartitionName=first Nodes=n[1-2] MaxTime=60 DefaultTime=10 PriorityTier=9 PreemptMode=OFF
PartitionName=other Nodes=n3 MaxTime=60 DefaultTime=10 PriorityTier=1
PartitionName=pairs Nodes=n[4-5] MaxTime=60 DefaultTime=10 PriorityTier=1
{accounting}
"""
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database_port}
AccountingStoragePass={folder}/run/munge.socket
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={database_port}
SlurmUser={user}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
GRES_CONF = """\
NodeName=n[1-5] Name=gpu Type=a100 File=/dev/null
NodeName=n[4-5] Name=gpu Type=a100 File=/dev/zero
"""
# the plugin of job steps clears SLURM_CONF before it calls srun
SRUN = """\
#!/bin/sh
export SLURM_CONF={folder}/etc/slurm.conf
exec {srun} "$@"
"""


@dataclass
class Cluster:
    """Five nodes, two of them in partition gpu; `with` starts and stops them."""

    folder: Path
    accounting: bool
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of SLURM's commands and of Snakemake."""
        path = f"{self.folder}/bin{os.pathsep}{SYSTEM_PATH}"
        return os.environ | {"SLURM_CONF": f"{self.folder}/etc/slurm.conf", "PATH": path}

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def command(self, *command: str) -> str:
        """Run a command of SLURM and return its output; fail with its message."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def jobs(self, *states: str) -> dict[int, str]:
        """Comments of the jobs in some states, by number; of those in the queue if none is given.

        The comment of a job is its rule and wildcards.
        """
        wanted = ",".join(states or ACTIVE)
        lines = self.command("squeue", "-h", "--states", wanted, "-o", "%A|%k").splitlines()
        return {int(number): comment for number, _, comment in (x.partition("|") for x in lines)}

    def records(self) -> list[dict]:
        """Every job that the controller remembers, as `scontrol` shows it, in order."""
        shown = self.command("scontrol", "--oneliner", "show", "job").splitlines()
        split = [line.split() for line in shown if line.startswith("JobId=")]
        found = [dict(word.partition("=")[::2] for word in words) for words in split]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def start(self, name: str) -> None:
        """Start a daemon."""
        log = open(self.folder / "log" / f"{name}.out", "ab")  # noqa: SIM115
        # in a session of its own: a Ctrl-C in the terminal is for the tests, which stop it
        self.daemons[name] = subprocess.Popen(
            self._commands()[name],
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a daemon, and wait until it has ended."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def answers(self) -> bool:
        """Whether the controller answers."""
        run = subprocess.run(["scontrol", "ping"], env=self.environment, capture_output=True)
        return run.returncode == 0 and b"is UP" in run.stdout

    def idle(self) -> bool:
        """Whether every node waits for jobs."""
        states = self.command("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
        return set(states) == {f"{node} idle" for node in NODES}

    def _commands(self) -> dict[str, list[str]]:
        folder = self.folder
        conf = f"{folder}/etc/slurm.conf"
        programs = {name: shutil.which(name, path=SYSTEM_PATH) for name in PACKAGES}
        return {
            "munged": [
                *(programs["munged"], "--foreground", "--force"),
                f"--key-file={folder}/etc/munge.key",
                f"--socket={folder}/run/munge.socket",
                f"--pid-file={folder}/run/munged.pid",
                f"--log-file={folder}/log/munged.log",
                f"--seed-file={folder}/run/munge.seed",
            ],
            "mariadbd": [
                *(programs["mariadbd"], "--no-defaults", f"--user={getpass.getuser()}"),
                f"--datadir={folder}/database",
                f"--socket={folder}/run/mariadb.socket",
                f"--pid-file={folder}/run/mariadb.pid",
                f"--port={self.ports['mariadb_port']}",
                "--bind-address=127.0.0.1",
            ],
            "slurmdbd": [programs["slurmdbd"], "-D"],
            "slurmctld": [programs["slurmctld"], "-D", "-f", conf],
            **{
                node: [*_OWN_MOUNTS.get(node, []), programs["slurmd"], "-D", "-N", node, "-f", conf]
                for node in NODES
            },
        }

    def _start(self) -> None:
        folder = self.folder
        for name in ("etc", "run", "log", "state", "bin", *(f"spool/{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        control, database, mariadb, *nodes = _free_ports(3 + len(NODES))
        self.ports = {"mariadb_port": mariadb, "database_port": database}
        values = {
            "folder": folder,
            "host": socket.gethostname(),
            "user": getpass.getuser(),
            "control_port": control,
            "ports_of_one": ",".join(map(str, nodes[:3])),
            "ports_of_two": ",".join(map(str, nodes[3:])),
            "srun": shutil.which("srun"),
            **self.ports,
        }
        accounting = (
            ACCOUNTING if self.accounting else "AccountingStorageType=accounting_storage/none"
        )
        for name, text in {
            "etc/slurm.conf": SLURM_CONF.replace("{accounting}", accounting),
            "etc/gres.conf": GRES_CONF,
            "etc/cgroup.conf": "CgroupPlugin=cgroup/v1\n",
            "etc/slurmdbd.conf": SLURMDBD_CONF,
            "bin/srun": SRUN,
        }.items():
            (folder / name).write_text(text.format(**values))
        (folder / "etc/munge.key").write_bytes(os.urandom(1024))
        for name, mode in {"munge.key": 0o400, "slurmdbd.conf": 0o600}.items():
            (folder / "etc" / name).chmod(mode)
        (folder / "bin/srun").chmod(0o755)
        self.start("munged")
        until((folder / "run/munge.socket").exists, "munged answers")
        if self.accounting:
            self._start_database()
        self.start("slurmctld")
        for node in NODES:
            self.start(node)
        until(self.answers, "the controller answers")
        until(self.idle, "all nodes are idle")

    def _start_database(self) -> None:
        install = shutil.which("mariadb-install-db", path=SYSTEM_PATH)
        options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        options += [f"--datadir={self.folder}/database", f"--user={getpass.getuser()}"]
        subprocess.run([install, *options], check=True, capture_output=True)
        self.start("mariadbd")
        sql = (
            "create database slurm; create user slurm@'127.0.0.1' identified by 'slurm'; "
            "create user slurm@localhost identified by 'slurm'; "
            "grant all on slurm.* to slurm@'127.0.0.1'; grant all on slurm.* to slurm@localhost;"
        )
        client = ["mariadb", "--no-defaults", f"--socket={self.folder}/run/mariadb.socket"]
        client += ["--user=root", "-e"]

        def accepts(statements: str) -> bool:
            return subprocess.run([*client, statements], capture_output=True).returncode == 0

        until(lambda: accepts("select 1"), "the database answers")
        assert accepts(sql)
        self.start("slurmdbd")

        def manages(*words: str) -> bool:
            run = ["sacctmgr", "-i", *words]
            return subprocess.run(run, env=self.environment, capture_output=True).returncode == 0

        until(lambda: manages("show", "cluster"), "slurmdbd answers")
        assert manages("add", "cluster", "test")
        assert manages("add", "account", "project", "Cluster=test")
        assert manages("add", "user", getpass.getuser(), "Account=project", "Cluster=test")

    def _stop(self) -> None:
        if self.daemons.keys() >= {"slurmctld", *NODES} and self.answers():
            for number in self.jobs():
                subprocess.run(["scancel", "-f", str(number)], env=self.environment)
            deadline = time.monotonic() + 15
            while self.jobs() and time.monotonic() < deadline:
                time.sleep(0.1)
        for name in reversed(list(self.daemons)):
            self.kill(name, signal.SIGTERM)
        for process in self.processes():
            os.kill(process, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Processes that run under this cluster's configuration: its daemons and its jobs."""
        mark = f"SLURM_CONF={self.folder}/etc/slurm.conf".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue  # ended meanwhile, or another user's
        return found
