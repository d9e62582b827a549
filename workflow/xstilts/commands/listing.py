"""`xstilts list`: the models, tasks, recipes and studies that exist."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from xstilts.config.project import folders, load, read_definitions
from xstilts.config.schema import Model
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError
from xstilts.grid.state import open_study
from xstilts.terminal import Console

Rows = Iterator[tuple[str, ...]]


def print_entries(kind: str, study: Path, changes: Mapping[str, Any]) -> None:
    """Print the entries of a kind that the study may use. Raise InputError."""
    heads, rows = {
        "models": (("model", "label", "weights", "source"), _models),
        "tasks": (("task", "label", "family", "languages", "roles"), _tasks),
        "recipes": (("recipe", "steps"), _recipes),
        "studies": (("study", "question"), _studies),
    }[kind]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in heads:
        number = head in ("weights", "languages")
        whole = number or head == heads[0]  # a name in two lines could not be copied
        table.add_column(
            head, justify="right" if number else "left", no_wrap=whole, overflow="fold"
        )
    for row in rows(study, changes):
        table.add_row(*map(Text, row))
    Console().print(table)


def _definitions(study: Path):
    return load(study) if study.suffix == ".json" else read_definitions(folders(study))


def _models(study: Path, _) -> Rows:
    for name, model in _definitions(study).models.items():
        count = f"{model.parameters / 1e6:,.0f} M" if model.parameters else ""
        yield name, model.label, count, _source(model)


def _source(model: Model) -> str:
    if model.hub:
        return model.hub.repository
    if model.local:
        return f"folder {model.local.folder}"
    return f"random, then {model.pretrain}" if model.pretrain else "random"


def _tasks(study: Path, _) -> Rows:
    for name, task in _definitions(study).tasks.items():
        yield name, task.label, task.family, str(len(task.languages)), ", ".join(task.roles)


def _recipes(study: Path, changes: Mapping[str, Any]) -> Rows:
    grid, _ = open_study(study, changes)
    for name, recipe in grid.recipes.items():
        yield name, str(recipe) if recipe.steps else "no intermediate step"


def _studies(study: Path, _) -> Rows:
    """Yield the study files next to `study`, in the working directory and in the package."""
    places = dict.fromkeys(
        path for folder in folders(study) for path in (folder, folder / "studies")
    )
    for path in [path for place in places for path in sorted(place.glob("*.yaml"))]:
        try:
            values = read_yaml(path)
        except InputError as error:
            values = {"study": "", "title": str(error)}
        if "study" in values:
            here = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            yield str(here), str(values.get("title", ""))
