"""`make install`: the check of Python, a broken environment, and progress."""

import runpy
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from tests import ROOT


@pytest.fixture
def install():
    """Return the functions of the script."""
    return runpy.run_path(str(ROOT / "envs/install.py"))


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14)])
def test_another_python_is_refused_in_one_line(install, version):
    message = install["problem"](version)
    assert message.startswith(f"Python 3.{version[1]} is not supported, expected 3.11 to 3.13")
    assert "\n" not in message


@pytest.mark.parametrize("version", [(3, 11), (3, 13, 2)])
def test_supported_pythons_pass(install, version):
    assert install["problem"](version) is None


def test_package_requires_the_same_pythons(install):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first, last = install["SUPPORTED"]
    assert project["requires-python"] == f">=3.{first[1]},<3.{last[1] + 1}"


def test_make_stops_before_installing(tmp_path):
    python = tmp_path / "python3.9"  # as an old Python, which knows only its version
    run = f"runpy.run_path('{ROOT}/envs/install.py', run_name='__main__')"
    script = f"import runpy, sys; sys.version_info = (3, 9, 1); {run}"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{script}"\n')
    python.chmod(0o755)
    for name in ("Makefile", "envs", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = ["make", f"PYTHON={python}", "install"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0
    assert "Python 3.9 is not supported" in run.stderr
    assert not (tmp_path / ".venv").exists()


def _half_made(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("version = 3.9.1\n")


def _link_to_nothing(folder: Path) -> None:
    folder.symlink_to("nothing")


@pytest.mark.parametrize("make", [_half_made, _link_to_nothing, Path.touch])
def test_a_broken_environment_is_made_again(install, tmp_path, capsys, make):
    folder = tmp_path / ".venv"
    make(folder)
    calls = []
    create = install["create"]
    create.__globals__["subprocess"] = FakeProcesses()
    create.__globals__["follow"] = lambda command, log, state: calls.append(command)
    create(folder, sys.version_info)
    assert "making it again" in capsys.readouterr().out
    assert calls == [[sys.executable, "-m", "venv", str(folder)]]
    assert not folder.exists()
    assert not folder.is_symlink()


class FakeProcesses:
    """The functions of `subprocess` that `create` calls, without a process."""

    DEVNULL = subprocess.DEVNULL
    CalledProcessError = subprocess.CalledProcessError

    def check_output(self, command, **options):
        raise FileNotFoundError(command[0])


def test_progress_is_printed_while_pip_works(install, tmp_path, capsys):
    follow = install["follow"]
    follow.__globals__["SECONDS"] = 0.01
    end = tmp_path / "end"
    states = iter(["1 of 5 installed", "2 of 5 installed"])

    def state() -> str:
        return next(states, None) or end.touch() or "3 of 5 installed"

    command = ["sh", "-c", f"until [ -e '{end}' ]; do sleep 0.01; done; echo disk full; exit 3"]
    assert follow(command, tmp_path / "log", state) == 3
    shown, error = capsys.readouterr()
    assert error == "disk full\n"
    assert [f"s: {number} of 5 installed" in shown for number in (1, 2, 3)] == [True] * 3


def test_a_second_installation_waits_for_the_first(install, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("envs").mkdir()
    install["REQUIREMENTS"].write_text("")
    main, order = install["main"], []

    def first() -> int:
        waiting = threading.Thread(target=main)
        main.__globals__["install"] = lambda: order.append("second")
        waiting.start()
        while "Waiting for another installation into .venv" not in capsys.readouterr().out:
            time.sleep(0.01)
        order.append("first")
        threads.append(waiting)
        return 0

    threads: list[threading.Thread] = []
    main.__globals__["install"] = first
    assert main() == 0
    threads[0].join()
    assert order == ["first", "second"]
