"""Cross-reference checks: every name in a project exists and is allowed in its place."""

from collections.abc import Mapping

from xstilts.config.schema import Model, Study, Task
from xstilts.config.subsets import Subset
from xstilts.errors import check_known, nearest
from xstilts.recipe import ALL, NONE, Part, Recipe, parse


def check_names(
    study: Study,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    recipes: Mapping[str, Recipe],
) -> None:
    """Raise ValueError for an unknown or unsuitable name, with its place and the nearest one."""
    for key in ("models", "controls"):
        for name in getattr(study, key):
            check_known("model", name, models, f"{key}: ")
            _check_model(name, models[name], tasks)
    for target in study.targets:
        check_known("task", target, tasks, "targets: ")
        _has_role(target, "target", tasks, "targets: ")
    for recipe in recipes.values():
        for part in recipe.parts:
            _check_part(part, "intermediate", str(recipe), tasks)
    if study.controls and Recipe() not in recipes.values():
        raise ValueError(f"controls: they run under recipe {NONE!r}; add it to `recipes`")
    for name, task in tasks.items():
        _check_splits(name, task, tasks)
    _check_published(study, recipes)
    for name, subset in study.subsets.items():
        _check_subset(f"subsets.{name}: ", subset, study, tasks, recipes)
    if study.hyperparameters:
        presets = {key: None for task in tasks.values() for key in task.settings}
        check_known("preset", study.hyperparameters, presets, "hyperparameters: ")
    _check_changes(study, tasks)


def _check_model(name: str, model: Model, tasks: Mapping[str, Task]) -> None:
    if model.init:
        task, context = model.init.tokenizer.task, f"model {name!r}, init.tokenizer: "
        check_known("task", task, tasks, context)
        _has_role(task, "pretraining", tasks, context)
    if model.pretrain:
        for part in parse(model.pretrain).parts:
            _check_part(part, "pretraining", model.pretrain, tasks)


def _check_splits(name: str, task: Task, tasks: Mapping[str, Task]) -> None:
    for split in task.splits:
        others = task.references(split)
        if len(others) > 1 and split != "train":
            raise ValueError(f"task {name!r}, split {split!r}: expected one task, not a list")
        for other in others:
            _check_reference(name, split, other, tasks)


def _check_published(study: Study, recipes: Mapping[str, Recipe]) -> None:
    for name, scores in study.published.items():
        check_known("recipe", name, {**recipes, "best": None}, "published: ")
        for target in scores:
            check_known("target", target, dict.fromkeys(study.targets), f"published.{name}: ")


def _check_changes(study: Study, tasks: Mapping[str, Task]) -> None:
    """Check the tasks and languages of the study's own entries and of its arms."""
    for name in study.tasks:
        check_known("task", name, tasks, "tasks: ")
    for arm, entry in study.arms.items():
        for name in entry.tasks:
            check_known("task", name, tasks, f"arms.{arm}.tasks: ")
    for name, entry in study.tasks.items():
        for language in entry.languages or []:
            languages = dict.fromkeys(tasks[name].languages)
            check_known("language", language, languages, f"tasks.{name}: ")


def _check_part(part: Part, role: str, recipe: str, tasks: Mapping[str, Task]) -> None:
    check_known("task", part.task, tasks, f"recipe {recipe!r}: ")
    _has_role(part.task, role, tasks, f"recipe {recipe!r}: ")
    known = {ALL, tasks[part.task].source_language, *tasks[part.task].languages}
    if part.language and part.language not in known:
        hint = nearest(part.language, known)
        raise ValueError(
            f"recipe {recipe!r}: {part.task} has no language {part.language!r}: {hint}"
        )


def _check_subset(
    context: str,
    subset: Subset,
    study: Study,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
) -> None:
    for target in filter(None, (subset.target, subset.whole)):
        check_known("target", target, dict.fromkeys(study.targets), context)
    if subset.wrong:
        check_known("task", subset.wrong, tasks, context)
        _has_role(subset.wrong, "target", tasks, context)
        if NONE not in recipes:
            raise ValueError(f"{context}`wrong` needs recipe {NONE!r} in the study")
        if tasks[subset.wrong].splits.get("test") != subset.target:
            raise ValueError(
                f"{context}`wrong: {subset.wrong}` has other test examples than `target: "
                f"{subset.target}`; expected a task with `splits: {{test: {subset.target}}}`"
            )


def _check_reference(name: str, split: str, other: str, tasks: Mapping[str, Task]) -> None:
    context = f"task {name!r}, split {split!r}: "
    check_known("task", other, tasks, context)
    if split not in tasks[other].splits or tasks[other].references(split):
        raise ValueError(f"{context}task {other!r} has no {split} split of its own")


def _has_role(name: str, role: str, tasks: Mapping[str, Task], context: str = "") -> None:
    if role not in tasks[name].roles:
        valid = nearest("", [task for task, entry in tasks.items() if role in entry.roles])
        raise ValueError(
            f"{context}task {name!r} cannot be used as {role} task; "
            f"its roles: {', '.join(tasks[name].roles)}; {valid}"
        )
