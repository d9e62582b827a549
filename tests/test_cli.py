"""The command line: help, exit status, imports and overrides."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xstilts import __version__
from xstilts.cli import BAD_INPUT, main
from xstilts.grid import state
from xstilts.processes import signals

COMMANDS = ["doctor", "status", "plan", "why", "gc", "list", "study", "pin", "export-xtreme"]
COMMANDS += ["score-files", "compare", "import-scores", "card", "push"]
COMMANDS += ["fetch", "prepare", "initialise", "train", "merge", "predict", "score"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    description = shown.split("\n\n")[1]
    assert re.fullmatch(r"[A-Z][^.]{15,}\.", description.replace("\n", " ")), description
    assert "--log" in shown
    assert ("--study" in shown) == (command not in ("score-files", "compare"))


def test_help_lists_all_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([\w-]+)", capsys.readouterr().out, re.M)
    assert listed == COMMANDS


def process(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "xstilts", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_process_ends_with_the_status(small_folder):
    ended = process(small_folder, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"{__version__}\n")
    ended = process(small_folder, "status", "--study", "none.yaml")
    assert (ended.returncode, ended.stdout) == (BAD_INPUT, "")
    assert ended.stderr == "xstilts status: none.yaml: no such file\n"
    ended = process(small_folder, "trian", "x")
    assert ended.returncode == BAD_INPUT
    assert "invalid choice: 'trian'" in ended.stderr


def test_why_imports_no_heavy_library(small_folder):
    code = "import sys; from xstilts.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, "why", "tiny.none.tatoeba.s1"]
    ended = subprocess.run(command, cwd=small_folder, capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "pandas", "sklearn", "matplotlib", "datasets", "pyarrow"}
    assert not heavy & set(ended.stdout.split())


def test_home_folder_is_expanded(small_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(small_folder))
    assert main(["status", "--study=~/config/config.yaml", "--log=~/log"]) == 0
    assert Path("log").exists()
    grid, _ = state.open_study(small_folder / "config/config.yaml", {"data": "~/data"})
    assert grid.project.data_folder() == small_folder / "data"


def test_config_overrides_keys_of_the_study(small_folder, capsys):
    assert main(["list", "recipes", "--config", "recipes=[none, nli-nli]"]) == 0
    assert "nli-nli" in capsys.readouterr().out
    assert main(["status", "--config", "seeds"]) == 2
    assert "--config 'seeds': expected KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "repeated"),
    [
        (["status", "--config", "seeds=[1]", "seeds=[2]"], "--config: seeds"),
        (["status", "--config", "seeds=[1]", "--config", "seeds=[1]"], "--config: seeds"),
        (["status", "--study", "a.yaml", "--study", "b.yaml"], "--study"),
        (["plan", "--gpu-hours", "1", "--gpu-hours=2"], "--gpu-hours"),
    ],
)
def test_option_given_twice_is_refused(small_folder, capsys, arguments, repeated):
    try:
        status = main(arguments)
    except SystemExit as exit:  # of argparse
        status = exit.code
    assert status == BAD_INPUT
    assert re.search(rf"{repeated}.* given twice; expected one value", capsys.readouterr().err)


def test_listed_names_stay_whole_on_a_narrow_screen(small_folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    assert main(["list", "recipes", "--config", "recipes=[none, nli~10-nli~20]"]) == 0
    assert "nli~10-nli~20" in capsys.readouterr().out


def test_commands_run_one_after_another_until_one_fails(small_folder, capsys):
    assert main(["list", "models", "--then", "list", "studies"]) == 0
    both = capsys.readouterr().out
    assert main(["list", "models"]) == main(["list", "studies"]) == 0
    assert both == capsys.readouterr().out
    assert main(["status", "--study", "none.yaml", "--then", "list", "models"]) == BAD_INPUT
    assert capsys.readouterr().out == ""


def test_a_file_may_have_any_name(small_folder, capsys):
    Path("config/config.yaml").rename("config/then")
    assert main(["list", "recipes", "--study", "config/then"]) == 0
    assert main(["list", "studies", "--log", "then"]) == 0
    with pytest.raises(SystemExit):  # no file has this name
        main(["list", "recipes", "--study", "--then"])


def test_signal_ends_what_would_follow(small_folder, capsys, monkeypatch):
    def stopped(*_):
        signals.received.append(signal.SIGTERM)  # after the last look of a training

    monkeypatch.setattr("xstilts.commands.listing.print_entries", stopped)
    assert main(["list", "models", "--then", "list", "models"]) == 128 + signal.SIGTERM
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_too_little_memory_is_one_line(small_folder, capsys, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr("xstilts.grid.state.open_study", fail)
    assert main(["why", "nli"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "xstilts why: Cannot allocate memory. Raise the limit" in line
