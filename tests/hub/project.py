"""A copy of the workflow with its own configuration, and commands that run it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests import ROOT
from tests.hub.server import Hub

STUDY = {
    "study": "hub",
    "models": ["tiny"],
    "recipes": ["none"],
    "targets": ["xnli"],
    "seeds": [1],
    "train": {"max_steps": 2, "batch_size": 4},
}
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# several commands in one process: most of a command's time is imports
COMMANDS = """
import contextlib, io, json, sys
from xstilts.cli import main
printed = []
for arguments in json.load(sys.stdin):
    text = io.StringIO()
    with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
        status = main(arguments)
    printed.append([status, text.getvalue()])
json.dump(printed, sys.stdout)
"""


class Project:
    """A folder with the workflow, its own configuration, and a hub."""

    def __init__(self, folder: Path, hub: Hub, tasks: dict, models: dict):
        self.folder, self.hub = folder, hub
        for name in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("Snakefile", "Makefile"):
            shutil.copy(ROOT / name, folder)
        (folder / "config" / "studies").mkdir(parents=True)
        for kind, entries in (("tasks", tasks), ("models", models)):
            (folder / "config" / kind).mkdir()
            self.write(f"{kind}/all.yaml", entries)
        self.write("config.yaml", STUDY)

    def write(self, name: str, content: dict) -> None:
        (self.folder / "config" / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def run(self, *command: str, **options) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "workflow"),
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(self.folder / "home"),
        }
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN"):
            environment.pop(name, None)
        return subprocess.run(
            command, cwd=self.folder, env=environment, text=True, capture_output=True, **options
        )

    def commands(self, *commands: list[str]) -> list[tuple[int, str]]:
        """Return exit status and output of xstilts commands."""
        done = self.run(sys.executable, "-c", COMMANDS, input=json.dumps(commands))
        assert done.returncode == 0, done.stderr
        return [tuple(printed) for printed in json.loads(done.stdout)]

    def grid(self, **study):
        from xstilts.config.project import assemble, read_definitions
        from xstilts.grid.grid import Grid

        return Grid(assemble({**STUDY, **study}, read_definitions([self.folder / "config"])))

    def published(self) -> dict[str, Path]:
        """Return the published folders by name, without their digests."""
        found = [
            *self.folder.glob("results/hub/*/manifest.json"),
            *self.folder.glob("results/checkpoints/*.hub.*/manifest.json"),
        ]
        return {path.parent.name.rpartition(".")[0]: path.parent for path in found}


def model_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in MODEL_FILES}
