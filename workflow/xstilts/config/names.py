"""Cross-reference checks: every name in a project exists and is allowed in its place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from xstilts.config import claims
from xstilts.config.origins import KeyMistake
from xstilts.config.schema import Model, Study, Task
from xstilts.config.subsets import Subset
from xstilts.errors import closest, nearest
from xstilts.languages.names import by_code
from xstilts.recipe import ALL, NONE, Merge, Part, Recipe, parse

_TOGETHER = ("mine", "retrieve")  # families whose examples are each other's candidates


@dataclass(frozen=True)
class _Place:
    """The place of a name: the start of a message, and the key whose file states the name."""

    text: str
    key: tuple[str | int, ...]

    def fail(self, message: str) -> NoReturn:
        """Raise KeyMistake."""
        raise KeyMistake(f"{self.text}: {message}", *self.key)

    def check_known(self, kind: str, name: str, entries: Iterable[str]) -> None:
        """Raise KeyMistake naming the most similar entry if `name` is not one of `entries`."""
        if name not in entries:
            self.fail(f"unknown {kind} {name!r}: {nearest(name, entries)}")


def _in_study(*keys: str) -> _Place:
    return _Place(".".join(keys), ("study", *keys))


def check_names(
    study: Study,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    recipes: Mapping[str, Recipe],
) -> None:
    """Raise KeyMistake for an unknown or unsuitable name, with its place and the nearest one."""
    for key in ("models", "controls"):
        for name in getattr(study, key):
            _in_study(key).check_known("model", name, models)
            _check_model(name, models[name], tasks)
    for target in study.targets:
        _check_task(target, "target", tasks, _in_study("targets"))
    for recipe in recipes.values():
        for part in recipe.parts:
            place = _Place(f"recipe {str(recipe)!r}", ("study", "recipes"))
            _check_part(part, "intermediate", tasks, place)
    if study.controls and Recipe() not in recipes.values():
        _in_study("controls").fail(f"they run under recipe {NONE!r}; add it to `recipes`")
    for name, task in tasks.items():
        _check_splits(name, task, tasks)
    _check_published(study, recipes)
    for number, claim in enumerate(study.claims, 1):
        place = _Place(f"claims, {number}. holds_if", ("study", "claims", number - 1, "holds_if"))
        _check_claim(place, claim.comparison, study, tasks, recipes)
    for name, subset in study.subsets.items():
        _check_subset(_in_study("subsets", name), subset, study, tasks, recipes)
    if study.hyperparameters:
        presets = {key: None for task in tasks.values() for key in task.settings}
        _in_study("hyperparameters").check_known("preset", study.hyperparameters, presets)
    _check_changes(study, tasks)


def _check_model(name: str, model: Model, tasks: Mapping[str, Task]) -> None:
    key = ("models", name)
    if model.init:
        place = _Place(f"model {name!r}, init.tokenizer", key)
        _check_task(model.init.tokenizer.task, "pretraining", tasks, place)
    if model.pretrain:
        recipe, place = parse(model.pretrain), _Place(f"recipe {model.pretrain!r}", key)
        if any(isinstance(step, Merge) for step in recipe.steps):
            place.fail("pretraining cannot merge; expected steps without `|` and scale")
        for part in recipe.parts:
            _check_part(part, "pretraining", tasks, place)


def _check_splits(name: str, task: Task, tasks: Mapping[str, Task]) -> None:
    for split in task.splits:
        place = _Place(f"task {name!r}, split {split!r}", ("tasks", name))
        others = task.references(split)
        if len(others) > 1 and split != "train":
            place.fail("expected one task, not a list")
        for other in others:
            place.check_known("task", other, tasks)
            if split not in tasks[other].splits or tasks[other].references(split):
                place.fail(f"task {other!r} has no {split} split of its own")


def _check_published(study: Study, recipes: Mapping[str, Recipe]) -> None:
    for model in study.published_by_model:
        _in_study("published_by_model").check_known("model", model, study.models)
    by_place = {("published",): study.published}
    by_place |= {("published_by_model", m): s for m, s in study.published_by_model.items()}
    for place, published in by_place.items():
        for name, scores in published.items():
            _in_study(*place).check_known("recipe", name, [*recipes, "best"])
            for target in scores:
                _in_study(*place, name).check_known("target", target, study.targets)


def _check_claim(
    place: _Place,
    comparison: claims.Comparison,
    study: Study,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
) -> None:
    left, right = comparison.left, comparison.right
    known = [*(name for name, recipe in recipes.items() if recipe.steps), claims.BEST]
    languages = {x for target in study.targets for x in tasks[target].languages}
    for gain in filter(None, (left, right)):
        for name in claims.named(gain.recipes):
            if claims.recipe_called(name, recipes) not in known:
                place.check_known("recipe with a gain", name, known)
        for name in claims.named(gain.targets):
            place.check_known("target", name, study.targets)
        for name in gain.languages:
            place.check_known("language", name, [*sorted(languages), "avg", "zero_shot"])
    for kind in ("recipes", "targets") if right else ():
        if getattr(right, kind) == claims.EACH_OTHER and not claims.named(getattr(left, kind)):
            place.fail(f"`each other` needs {kind} named on the left side")


def _check_changes(study: Study, tasks: Mapping[str, Task]) -> None:
    """Check the tasks and languages of the study's own entries and of its arms."""
    for name in study.tasks:
        _in_study("tasks").check_known("task", name, tasks)
    for arm, entry in study.arms.items():
        for name in entry.tasks:
            _in_study("arms", arm, "tasks").check_known("task", name, tasks)
    for name, entry in study.tasks.items():
        languages = by_code(tasks[name].languages)
        for code in entry.languages or []:
            _in_study("tasks", name).check_known("language", code, languages)
        if entry.examples and (kind := tasks[name].family) in _TOGETHER:
            place = _in_study("tasks", name, "examples")
            place.fail(f"not for family {kind}, whose examples belong together; delete the key")


def _check_part(part: Part, role: str, tasks: Mapping[str, Task], place: _Place) -> None:
    _check_task(part.task, role, tasks, place)
    task = tasks[part.task]
    known = {ALL: None, **by_code([task.source_language, *task.languages])}
    if part.language and part.language not in known:
        hint = nearest(part.language, known)
        place.fail(f"{part.task} has no language {part.language!r}: {hint}")
    if task.languages_of(part) != [task.source_language] and "train" in task.splits:
        try:
            task.check_language("splits", "train")
        except ValueError as error:
            place.fail(f"{part.task}: {error}")


def _check_subset(
    place: _Place,
    subset: Subset,
    study: Study,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
) -> None:
    for target in filter(None, (subset.target, subset.whole)):
        place.check_known("target", target, study.targets)
    if subset.wrong:
        _check_task(subset.wrong, "target", tasks, place)
        if NONE not in recipes:
            place.fail(f"`wrong` needs recipe {NONE!r} in the study")
        if tasks[subset.wrong].splits.get("test") != subset.target:
            place.fail(
                f"`wrong: {subset.wrong}` has other test examples than `target: "
                f"{subset.target}`; expected a task with `splits: {{test: {subset.target}}}`"
            )


def _check_task(name: str, role: str, tasks: Mapping[str, Task], place: _Place) -> None:
    """Raise KeyMistake if a task does not exist or lacks a role; hints name tasks that have it."""
    suitable = {task: entry for task, entry in tasks.items() if role in entry.roles}
    if name not in tasks:
        known = suitable if closest(name, suitable) else tasks
        place.fail(f"unknown task {name!r}: {nearest(name, known)}")
    if name not in suitable:
        place.fail(
            f"task {name!r} cannot be used as {role} task; "
            f"its roles: {', '.join(tasks[name].roles)}; {_alternatives(name, suitable)}"
        )


def _alternatives(name: str, suitable: Mapping[str, Task]) -> str:
    hint = nearest(name, suitable)
    return hint if hint.startswith("valid") else f"{hint} {nearest('', suitable)}"
