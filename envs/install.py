"""Create the environment of `make install` in .venv, with a line of progress every five seconds.

Runs under the Python that the environment is for, which may be too old for xstilts: this file uses
no syntax that Python 3.6 lacks.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUPPORTED = ((3, 11), (3, 13))
ENVIRONMENT = Path(".venv")
REQUIREMENTS = Path("envs/requirements.lock")
SECONDS = 5  # between two lines


def problem(version):
    """Return why xstilts does not support a version of Python; None if it does."""
    first, last = SUPPORTED
    if first <= tuple(version[:2]) <= last:
        return None
    text = "Python %d.%d is not supported, expected %d.%d to %d.%d: make PYTHON=python%d.%d install"
    return text % (*version[:2], *first, *last, *first)


def reusable(folder, version):
    """Whether a folder is a whole environment of this version of Python."""
    python = folder / "bin" / "python"
    try:
        command = [str(python), "-c", "import pip, sys; print(sys.version_info[:2])"]
        shown = subprocess.check_output(command, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    recorded = f"version = {version[0]}.{version[1]}."
    written = (folder / "pyvenv.cfg").read_text() if (folder / "pyvenv.cfg").exists() else ""
    return shown == str(tuple(version[:2])) and recorded in written


def create(folder, version):
    """Create the environment, in place of a broken or another one, and return the exit status."""
    present = folder.exists() or folder.is_symlink()
    if present and not reusable(folder, version):
        print(f"{folder} is incomplete or of another Python: making it again", flush=True)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(str(folder))
        else:  # a file, or a link that may lead nowhere
            folder.unlink()
    if folder.exists():
        return 0
    print(f"Creating {folder}", flush=True)
    command = [sys.executable, "-m", "venv", str(folder)]
    with tempfile.TemporaryDirectory() as place:
        return follow(command, Path(place) / "venv.log", lambda: "installing pip")


def follow(command, log, state):
    """Run a command with its output in a file, print `state()` now and then, return its status.

    If the command fails, the end of its output is printed.
    """
    start = time.time()
    with open(str(log), "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while True:
            try:
                status = process.wait(SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"  {time.time() - start:3.0f} s: {state()}", flush=True)
    if status:
        print(
            "".join(log.read_text(errors="replace").splitlines(True)[-20:]), end="", file=sys.stderr
        )
    return status


def main():
    """Create the environment and return the exit status."""
    unsupported = problem(sys.version_info)
    if unsupported:
        print(unsupported, file=sys.stderr)
        return 2
    with open(str(REQUIREMENTS)) as locked:  # pip has no lock of its own
        try:
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"Waiting for another installation into {ENVIRONMENT}", flush=True)
            fcntl.flock(locked, fcntl.LOCK_EX)
        return install()


def install():
    """Create the environment, install all packages, and return the exit status."""
    status = create(ENVIRONMENT, sys.version_info)
    if status:
        return status
    total = sum("==" in line for line in REQUIREMENTS.read_text().splitlines())
    log = ENVIRONMENT / "install.log"

    def state():
        collected = log.read_text(errors="replace").count("Collecting ")
        installed = len(list(ENVIRONMENT.glob("lib/python*/site-packages/*.dist-info")))
        return f"{collected} packages read, {min(installed, total)} of {total} installed"

    print(f"Installing {total} packages into {ENVIRONMENT}", flush=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--progress-bar", "off"]
    own = ["--no-deps", "--no-build-isolation", "--editable", "."]
    for options in (["--requirement", str(REQUIREMENTS)], own):
        status = follow([*pip, *options], log, state)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
