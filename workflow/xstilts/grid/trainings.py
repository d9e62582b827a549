"""The tree of trainings that a study needs: a checkpoint for every beginning of a recipe.

Pure: nothing here reads or writes a file. Recipes share their first steps, and two tasks with equal
data and settings share a training.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from xstilts import families
from xstilts.config.project import Project, validate
from xstilts.config.schema import ARM, Arm, Task
from xstilts.config.settings import Train
from xstilts.errors import InputError
from xstilts.grid import effects
from xstilts.grid.artefacts import PART_SETTINGS, Checkpoint, TrainPart
from xstilts.grid.base import memoised
from xstilts.grid.data import Data
from xstilts.recipe import NONE, Merge, Part, Recipe, Size, Step, parse


class Trainings:
    """The checkpoints of a project, resolved on demand.

    A checkpoint that is requested twice is the same object, and its digest is computed once.
    """

    def __init__(self, project: Project, data: Data):
        self.project = project
        self.study = project.study
        self.data = data

    def _task(self, name: str) -> Task:
        return self.project.tasks[name]

    def is_text_to_text(self, model: str) -> bool:
        """Whether a model, or that of an arm, is text-to-text."""
        return self.project.models[model.partition(ARM)[0]].form == "text-to-text"

    def family(self, task: str, model: str) -> str:
        """Return the family of a task under a model. Raise InputError if there is none."""
        name = self._task(task).family
        if not self.is_text_to_text(model):
            return name
        if not families.family(name).TEXT_TO_TEXT:
            raise InputError(
                f"model {model!r} is text-to-text: task {task!r} is of family {name}, expected "
                f"{' or '.join(families.names('TEXT_TO_TEXT'))}"
            )
        return families.family(name).TEXT_TO_TEXT

    @memoised
    def root(self, model: str) -> Checkpoint:
        """Return the pretrained model: published, or initialised and trained on `pretrain`."""
        entry = self.project.models[model]
        if not entry.init:
            chain, raw = "hub" if entry.hub else "local", self.project.weights.get(model, {})
            return Checkpoint(model, chain, 0, None, origin=entry.hub or entry.local, raw=raw)
        task = entry.init.tokenizer.task
        languages = self._task(task).languages
        texts = tuple(self.data.dataset(task, language, "train") for language in languages)
        root = Checkpoint(model, "init", entry.init.seed, None, origin=entry.init, texts=texts)
        for step in parse(entry.pretrain or NONE).steps:
            root = self._trained(model, f"pretrain-{step}", root, step, entry.init.seed, True)
        return root

    @memoised
    def step(self, model: str, recipe: Recipe, seed: int) -> Checkpoint:
        """Return the checkpoint after a recipe's steps; recipes share their first steps."""
        if not recipe.steps:
            return self.root(model.partition(ARM)[0])
        *before, last = recipe.steps
        parent = self.step(model, Recipe(tuple(before)), seed)
        chain = self._chain(model, recipe.steps)
        if not isinstance(last, Merge):
            return self._trained(model, chain, parent, last, seed)
        merged = [self.step(model, Recipe((*before, one)), seed) for one in last.trainings]
        if len({node.identity.digest for node in merged}) < len(merged):
            raise InputError(
                f"recipe {str(recipe)!r}: two of the merged trainings have the same data and "
                "settings, so their weights are equal; leave one out"
            )
        name = model.partition(ARM)[0]
        return Checkpoint(name, chain, seed, parent, merged=tuple(merged), scale=last.scale)

    def on_target(self, model: str, recipe: Recipe, target: str, seed: int) -> Checkpoint:
        """Return the checkpoint after a recipe and the target's own training, if it has one."""
        checkpoint = self.step(model, recipe, seed)
        if "train" not in self._task(target).splits:
            return checkpoint
        step = Step((Part(target),))
        chain = self._chain(model, [*recipe.steps, step])
        return self._trained(model, chain, checkpoint, step, seed, is_last=True)

    def _trained(
        self,
        model: str,
        chain: str,
        parent: Checkpoint,
        step: Step,
        seed: int,
        pretraining: bool = False,
        is_last: bool = False,
    ) -> Checkpoint:
        if self.is_text_to_text(model) and len({part.task for part in step.parts}) > 1:
            raise InputError(
                f"model {model!r} is text-to-text: recipe step {str(step)!r} has several tasks, "
                "expected one"
            )
        settings, parts = self._resolved(step, model, pretraining)
        if not is_last:
            settings = settings.model_copy(update={"save_precision": "fp32"})
        # not the arm's name: two arms with equal settings share the training
        return Checkpoint(model.partition(ARM)[0], chain, seed, parent, parts, settings)

    @memoised
    def _resolved(
        self, step: Step, model: str, pretraining: bool = False
    ) -> tuple[Train, tuple[TrainPart, ...]]:
        """Return the settings of a step and its parts; those without effect are at defaults."""
        parts = tuple(self.part(part, model, pretraining) for part in step.parts)
        for one, other in combinations(parts, 2):
            if one.content(True) == other.content(True):
                raise InputError(
                    f"recipe step {str(step)!r}: {one.name!r} and {other.name!r} are the same "
                    "data and settings; leave one out"
                )
        return effects.in_step(self._step_settings(step, parts, model), parts)

    def _step_settings(self, step: Step, parts: tuple[TrainPart, ...], model: str) -> Train:
        fixed = {"max_steps": step.max_steps} if step.max_steps else {}
        if len(parts) == 1:
            return parts[0].settings.model_copy(update=fixed)
        arm = self.study.arms.get(model.partition(ARM)[2], Arm())
        stated = self.study.multitask | arm.train | fixed
        values, differing = dict(stated), []
        for key in sorted(Train.model_fields.keys() - stated.keys() - PART_SETTINGS):
            values[key] = getattr(parts[0].settings, key)
            if len({getattr(part.settings, key) for part in parts}) > 1:
                values_of = ", ".join(
                    f"{part.task} {getattr(part.settings, key)}" for part in parts
                )
                differing.append(f"{key} ({values_of})")
        if differing:
            raise InputError(
                f"recipe step {str(step)!r}: its tasks differ in train.{', '.join(differing)}; "
                "state the common value under `multitask` in the study"
            )
        return validate(Train, values, f"settings of recipe step {str(step)!r}")

    @memoised
    def part(self, part: Part, model: str, pretraining: bool = False) -> TrainPart:
        """Return the training data of a part of a recipe step, or of a step of pretraining."""
        task = self._task(part.task)
        validation = None
        if "validation" in task.splits:
            validation = self.data.dataset(part.task, task.source_language, "validation")
        return TrainPart(
            name=str(part),
            task=part.task,
            family=self.family(part.task, model),
            labels=tuple(task.labels),
            metrics=self._selecting_metrics(task),
            size=self._size(part),
            train=tuple(
                dataset
                for language in task.languages_of(part)
                for dataset in self.data.datasets(part.task, language, "train")
            ),
            validation=validation,
            encode=self.settings("encode", part.task, model, pretraining),
            settings=self.settings("train", part.task, model, pretraining),
        )

    def settings(self, group: str, task: str, model: str, pretraining: bool = False) -> Any:
        """Return the settings of a task; those that its family does not read are at defaults."""
        settings = self.project.settings(group, task, model, pretraining=pretraining)
        return effects.read_by(self.family(task, model), settings)

    def _size(self, part: Part) -> Size | None:
        """Return the size of a part's subsample; None if it is known to be all of the data."""
        stated = self.project.stated_examples(part) if self.study.rows != "any" else None
        if part.size and stated and not part.size.percent and part.size.number >= stated:
            return None
        return part.size

    def _selecting_metrics(self, task: Task) -> tuple[str, ...]:
        """Return the metrics of a task's validation data: of the task that the data belong to."""
        names = task.references("validation") if "validation" in task.splits else []
        owners = [self._task(name) for name in names if self._task(name).family == task.family]
        return tuple((owners or [task])[0].metrics)

    def _chain(self, model: str, steps: Sequence[Step | Merge]) -> str:
        """Return the name of a chain; steps that differ in a task's name only have one name."""
        return "-".join(str(self._renamed(step, model)) for step in steps)

    def _renamed(self, step: Step | Merge, model: str) -> Step | Merge:
        if isinstance(step, Merge):
            renamed = tuple(self._renamed(training, model) for training in step.trainings)
            return replace(step, trainings=renamed)
        if len(step.parts) > 1:
            return step  # its names tell which parts share a head
        return replace(step, parts=(self._representative(step, model),))

    @memoised
    def _representative(self, step: Step, model: str) -> Part:
        """Return the part of the first task, by name, that trains the same weights as a step.

        A task whose training and validation data are those of others has the name of one of them:
        then the name does not depend on the tasks that borrow the data.
        """
        [part] = step.parts
        wanted = self._training(step, model)
        languages, own = self._task(part.task).languages_of(part), self._task(part.task).family
        equal = [
            name
            for name, task in self.project.tasks.items()
            if (task.family, task.languages_of(part)) == (own, languages)
            and "train" in task.splits
            and self._training(replace(step, parts=(replace(part, task=name),)), model) == wanted
        ]
        name = min(self._owner(name, equal) for name in equal)
        is_default = languages == self._task(name).languages_of(Part(name))
        return Part(name, None if is_default else part.language, self._size(part))

    def _training(self, step: Step, model: str) -> tuple[dict, Train]:
        """Return everything of a step on one task that determines its weights."""
        settings, [part] = self._resolved(step, model)
        return part.content(bool(settings.evaluate_every)), settings

    def _owner(self, name: str, equal: Sequence[str]) -> str:
        """Return the task that the training and validation data of a task belong to.

        If they belong to several tasks, it is the first that trains equal weights, or else `name`.
        """
        task = self._task(name)
        splits = [split for split in ("train", "validation") if split in task.splits]
        owners = {owner for split in splits for owner in task.references(split) or [name]}
        return owners.pop() if len(owners) == 1 else min(owners & {*equal}, default=name)
