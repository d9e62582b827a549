"""The folder of a study: its name, its snapshot, its stamp, and the names that readers see."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xstilts import identity, store
from xstilts.config.schema import ARM, Task
from xstilts.grid.grid import Grid
from xstilts.grid.state import RESULTS

_PACKAGE = Path(identity.__file__).parent
# Code and data that decide what tables, figures and page show.
_CODE = (
    *("results/*.py", "analyses/*.py", "report/*.py", "report/templates/*", "languages/*.*"),
    *("costs/measured.py", "stages/summarise.py"),
)


@dataclass(frozen=True)
class StudyView:
    """The folder of a study, for people: tables, figures, report and a stamp that says of what."""

    grid: Grid

    @property
    def folder(self) -> Path:
        """`results/studies/<study>`."""
        return RESULTS / "studies" / self.grid.study.study

    @property
    def snapshot(self) -> Path:
        """The study with everything that it refers to, as the stages read it."""
        return self.folder / "study.json"

    @cached_property
    def stamp(self) -> Path:
        """Named by the scores, labels and drawing code: present is up to date, as everywhere."""
        project = self.grid.project
        code = sorted(path for place in _CODE for path in _PACKAGE.glob(place) if path.is_file())
        content = {
            "scores": [score.id for score in (*self.grid.scores(), *self.grid.aside())],
            "subsets": [
                [name, subset.model_dump(), project.raw.get(subset.ids or "")]
                for name, subset in self.grid.study.subsets.items()
            ],
            "analysis": self.grid.study.analysis,
            "labels": labels(self.grid),
            "recipes": {name: str(recipe) for name, recipe in self.grid.recipes.items()},
            "notes": notes(self.grid),
            "families": {name: project.tasks[name].family for name in self.grid.study.targets},
            "published": self.grid.study.published,
            "code": identity.code_hash(*(path for path in code if path.suffix == ".py")),
            "data": [identity.file_sha256(path) for path in code if path.suffix != ".py"],
        }
        return self.folder / f"made-of.{identity.digest(content)}.txt"

    def write_snapshot(self) -> None:
        """Write `study.json`; a run's stages read this file and nothing of the configuration."""
        project = self.grid.project
        store.write_text(self.snapshot, project.model_dump_json(indent=1, exclude_defaults=True))


def labels(grid: Grid) -> dict[str, str]:
    """Names that tables and figures show for models, tasks and recipes."""
    entries = [*grid.project.tasks.items(), *grid.project.models.items()]
    named = {name: entry.label for name, entry in entries if entry.label}
    named |= {ARM + name: arm.label or name for name, arm in grid.study.arms.items()}
    for name in grid.study.variants() if grid.study.arms else []:
        model, _, arm = name.partition(ARM)
        named[name] = f"{named.get(model, model)}, {named[ARM + arm]}"
    for name, recipe in grid.recipes.items():
        steps = [
            " + ".join(
                str(part).replace(part.task, named.get(part.task, part.task), 1)
                for part in step.parts
            )
            for step in recipe.steps
        ]
        if steps and name == str(recipe):
            named[name] = ", then ".join(steps)
    return named


def notes(grid: Grid) -> list[str]:
    """What the tables say about the study: its question, and the settings in force."""
    title = [grid.study.title] if grid.study.title else []
    if grid.study.orders:
        alone, tree = grid.trainings()
        title.append(f"A tree of {tree} trainings; each cell for itself would take {alone}.")
    name = grid.study.hyperparameters
    if not name:
        return title
    trained = [*(part.task for recipe in grid.recipes.values() for part in recipe.parts)]
    trained += [task for task in grid.study.targets if "train" in grid.project.tasks[task].splits]
    shown = labels(grid)
    others = [
        shown.get(task, task)
        for task in dict.fromkeys(trained)
        if name not in grid.project.tasks[task].settings
    ]
    but = f"; {', '.join(others)} have no such set and take their defaults" if others else ""
    return [*title, f"Hyperparameters: {name}{but}. Settings of the model and the study go before."]


def same_data(grid: Grid) -> list[tuple[str, str]]:
    """(intermediate task, target) pairs that train on the same examples: not transfer."""
    used = dict.fromkeys(p.task for recipe in grid.recipes.values() for p in recipe.parts)
    tasks = grid.project.tasks
    return [
        (name, target)
        for target in grid.study.targets
        for name in used
        if _training_data(target, tasks) & {*_training_data(name, tasks), *tasks[name].same_data}
        or _training_data(name, tasks) & {*tasks[target].same_data}
    ]


def _training_data(name: str, tasks: Mapping[str, Task]) -> set[str]:
    """The tasks whose training split a task trains on: itself, or those that it refers to."""
    if "train" not in tasks[name].splits:
        return set()
    return {*tasks[name].references("train")} or {name}
