"""A study of a real model and real data, for the benchmarks that compare ways to use them."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xstilts.cli import main
from xstilts.grid.artefacts import Checkpoint
from xstilts.grid.state import open_study

STUDY = Path("config/studies/speed.yaml")


def add_folders(parser: ArgumentParser) -> None:
    """Add the options that name the folders of the model and of the data."""
    for name in ("--model", "--data"):
        parser.add_argument(name, type=lambda text: Path(text).resolve(), required=True)


def prepared(
    model: Path, data: Path, tasks: Mapping[str, Any], study: Mapping[str, Any]
) -> tuple[Checkpoint, list[Checkpoint]]:
    """Prepare a study in the working directory; return its model and its trainings.

    `tasks` are the entries of its own tasks, `study` has more of its keys.
    """
    fixed = {"study": "speed", "models": ["encoder"], "seeds": [1], "data": str(data)}
    files = {
        "studies": {**fixed, "rows": "any", **study},
        "models": {"encoder": {"local": {"folder": str(model)}}},
        "tasks": tasks,
    }
    for folder, content in files.items():
        path = Path("config", folder, STUDY.name)
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(content))
    nodes = open_study(STUDY)[0].artefacts()
    (root,) = (node for node in nodes.checkpoints.values() if not node.parts)
    for stage, ids in (("prepare", nodes.datasets), ("initialise", [root.id])):
        if code := main([stage, "--study", str(STUDY), *ids]):
            raise SystemExit(code)
    return root, [node for node in nodes.checkpoints.values() if node.parts]
