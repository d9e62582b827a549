"""Other spellings of names in a study, such as `XNLI` or `csqa`, replaced when the study is read.

Everything after reading knows one name, so a spelling changes no identity. Values of a wrong type
or an unknown name stay as they are; the checks of the study report them.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from xstilts.config.schema import Model, Task
from xstilts.errors import Choices, InputError, spelled
from xstilts.languages.names import by_code
from xstilts.recipe import ALL, NONE, Part, parse

Change = Callable[[Any], Any]

_LONGEST = 1000  # characters of a recipe


def respelled(
    study: Mapping[Any, Any], tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> dict[Any, Any]:
    """Return a study's values with every name of a task, model, preset or language as its own."""
    task, model = partial(_name, tasks), partial(_name, models)
    recipe = partial(respelled_recipe, tasks=tasks)
    presets = dict.fromkeys(name for entry in tasks.values() for name in entry.settings)
    published = partial(_name, {"best": None, **_recipe_names(study)})
    scores = _mapping(lambda name: published(recipe(name)), _mapping(key=task))
    changes: dict[str, Change] = {
        "models": _list(model),
        "controls": _list(model),
        "targets": _list(lambda given: _name(tasks, _name(_with_role("target", tasks), given))),
        "recipes": _list(lambda entry: _mapping(value=recipe)(recipe(entry))),
        "orders": _keys({"tasks": _list(recipe), "given": _list(_mapping(value=_list(recipe)))}),
        "tasks": lambda entries: _changes_of_tasks(entries, tasks),
        "arms": _mapping(value=_keys({"tasks": _mapping(key=task)})),
        "published": scores,
        "published_by_model": _mapping(model, scores),
        "subsets": _mapping(value=_keys(dict.fromkeys(("target", "wrong", "whole"), task))),
        "hyperparameters": partial(_name, presets),
    }
    return _keys(changes)(study)


def respelled_recipe(text: Any, tasks: Mapping[str, Task]) -> Any:
    """Return a recipe with the names of its tasks and languages; unchanged if one is unknown."""
    if not isinstance(text, str):
        return text
    if text.strip().casefold() == NONE:
        return NONE
    if len(text) > _LONGEST or (_steps(text) and all(part.task in tasks for part in _steps(text))):
        return text
    pieces = re.split(r"\s*([-+|])\s*", text.strip())
    return (_joined(pieces, tasks) if all(pieces) else None) or text


def _steps(text: str) -> tuple[Part, ...]:
    try:
        return parse(text).parts
    except InputError:
        return ()


def _joined(pieces: list[str], tasks: Mapping[str, Task]) -> str | None:
    """Return the recipe of names and separators, in turn; a `-` may belong to a name."""
    for end in range(1, len(pieces) + 1, 2):  # the shortest first: `PAWS-X` only if no task `PAWS`
        part = _part("".join(pieces[:end]), tasks)
        if part and end == len(pieces):
            return part
        rest = _joined(pieces[end + 1 :], tasks) if part else None
        if rest:
            return part + pieces[end] + rest
    return None


def _part(text: str, tasks: Mapping[str, Task]) -> str | None:
    """Return a part of a recipe by the task's name; None if there is no such task."""
    name, language, size = re.fullmatch(r"([^@~]*)(?:@([^~]*))?(~.*)?", text, re.DOTALL).groups()
    task = None
    if not {"+", "|"} & {*name}:
        task = spelled(name, _with_role("intermediate", tasks)) or spelled(name, tasks)
    if task is None:
        return None
    code = f"@{_language(language, tasks[task])}" if language is not None else ""
    return task + code + (size or "").casefold()


def _with_role(role: str, tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Return the tasks with a role: as target, `NER` means another task than in a recipe."""
    return {name: task for name, task in tasks.items() if role in task.roles}


def _language(code: Any, task: Task) -> Any:
    if code == ALL or code in task.languages:
        return code
    return _name({ALL: None, **by_code([task.source_language, *task.languages])}, code)


def _changes_of_tasks(entries: Any, tasks: Mapping[str, Task]) -> Any:
    languages = {
        name: _keys({"languages": _list(partial(_language, task=task))})
        for name, task in tasks.items()
    }
    return _keys(languages)(_mapping(key=partial(_name, tasks))(entries))


def _recipe_names(study: Mapping[Any, Any]) -> dict[str, None]:
    """Short names of a study's recipes."""
    recipes = study.get("recipes")
    entries = recipes if isinstance(recipes, list) else []
    named = [entry for entry in entries if isinstance(entry, Mapping)]
    return {name: None for entry in named for name in entry if isinstance(name, str)}


def _name(known: Choices, given: Any) -> Any:
    return (spelled(given, known) or given) if isinstance(given, str) else given


def _list(change: Change) -> Change:
    return lambda values: list(map(change, values)) if isinstance(values, list) else values


def _keys(changes: Mapping[str, Change]) -> Change:
    """Return the change of a mapping's values by key."""

    def change(values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {k: changes[k](v) if k in changes else v for k, v in values.items()}

    return change


def _mapping(key: Change = lambda name: name, value: Change = lambda entry: entry) -> Change:
    """Return the change of all keys and values of a mapping; two keys never become one."""

    def change(values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        names = {given: key(given) for given in values}
        repeated = len(set(names.values())) < len(names)
        return {given if repeated else names[given]: value(v) for given, v in values.items()}

    return change
