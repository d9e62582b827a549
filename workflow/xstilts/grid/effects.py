"""Settings without effect: they are reset to their defaults, so that they change no result's path.

For example, a study sets `epochs` next to `max_steps`, or the stride of windows for a task that has
none. The results are the same with and without it, so their identity is the same too.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel

from xstilts.config.settings import Predict, Train
from xstilts.families import family, particular_settings
from xstilts.grid.artefacts import TrainPart

Settings = TypeVar("Settings", bound=BaseModel)


def read_by(family_name: str, settings: Settings) -> Settings:
    """Return settings with those at their defaults that a family does not read."""
    idle = particular_settings() - family(family_name).SETTINGS
    if isinstance(settings, Predict) and settings.retrieval != "margin":
        idle = idle | {"neighbours"}
    return _without(settings, idle)


def in_step(settings: Train, parts: Sequence[TrainPart]) -> tuple[Train, tuple[TrainPart, ...]]:
    """Return the settings of a step and its parts, those without effect at their defaults."""
    several = len(parts) > 1
    idle, idle_in_part = set(), set()
    if settings.warmup_steps is not None:
        idle.add("warmup")
    if settings.evaluate_every is None:
        idle.add("validation_examples")
    if not several:
        idle |= {"mixing", "temperature"}
    if settings.max_steps:
        idle_in_part.add("epochs")
        if not several or settings.mixing == "uniform":
            idle_in_part.add("examples_cap")
    return _without(settings, idle), tuple(_part(part, idle_in_part) for part in parts)


def _part(part: TrainPart, idle: Collection[str]) -> TrainPart:
    languages = {data.language for data in part.train}
    alone = {"language_temperature"} if len(languages) == 1 else set()
    return replace(part, settings=_without(part.settings, {*idle, *alone}))


def _without(settings: Settings, idle: Collection[str]) -> Settings:
    """Return settings with some at their defaults."""
    fields = type(settings).model_fields
    return settings.model_copy(update={key: fields[key].default for key in idle if key in fields})
