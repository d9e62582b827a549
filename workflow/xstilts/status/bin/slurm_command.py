"""Common parts of the stand-ins for SLURM's commands: the real command, lines for the user."""

import os
import signal
import sys

# a closed terminal must not end a command that Snakemake waits for
signal.signal(signal.SIGHUP, signal.SIG_IGN)


def real(name: str) -> str:
    """Return the path of SLURM's own command, the next one on the PATH; empty if there is none."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and not os.path.samefile(folder, os.path.dirname(__file__)):
            return path
    return ""


def option(name: str) -> str:
    """Return the value of an option of the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv[:-1] else ""


def job_name(comment: str) -> str:
    """Return rule and name of a job, such as `train xlmr.none.s1.xnli`, from SLURM's comment."""
    rule, _, node = comment.removeprefix("rule_").partition("_wildcards_")
    return f"{rule} {node.rpartition('.')[0] or node}".strip() or "a job"


def report(text: str) -> None:
    """Print a line where Snakemake prints: the plugin reads this process's own output."""
    try:
        with open(os.environ["XSTILTS_TERMINAL"], "a") as terminal:
            terminal.write(f"{text}\n")
    except (KeyError, OSError):
        pass
