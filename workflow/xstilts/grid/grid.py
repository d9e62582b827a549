"""Expansion of a study: its cells, and the tree of artefacts that they need.

Pure: nothing here reads or writes a file. `Grid` resolves one artefact at a time and keeps it, so
recipes share their first steps, and a stage that makes one artefact resolves only its ancestors.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any

from xstilts.config.origins import FilesSplit, HubSplit, LabSplit
from xstilts.config.project import Project, validate
from xstilts.config.schema import ARM, Arm, Model, Task
from xstilts.config.settings import Train
from xstilts.config.spelling import respelled_recipe
from xstilts.errors import InputError, nearest, spelled
from xstilts.families import family, names
from xstilts.grid import effects
from xstilts.grid.artefacts import (
    PART_SETTINGS,
    Artefact,
    Artefacts,
    Cell,
    Checkpoint,
    Dataset,
    Download,
    Predictions,
    Score,
    TrainPart,
)
from xstilts.languages.codes import fill
from xstilts.recipe import NONE, Merge, Part, Recipe, Size, Step, parse, trainings

# keys of a split on the Hub that select its files
_ORIGIN = ("repository", "revision", "config", "split", "files")


def memoised(method: Callable) -> Callable:
    """Decorate a method so that an instance computes the result of equal arguments once."""
    name = f"_{method.__name__}_results"

    @wraps(method)
    def call(self, *arguments):
        results = self.__dict__.setdefault(name, {})
        if arguments not in results:
            results[arguments] = method(self, *arguments)
        return results[arguments]

    return call


class Grid:
    """A project's cells and artefacts, resolved on demand.

    An artefact that is requested twice is the same object, and its digest is computed once.
    """

    def __init__(self, project: Project):
        self.project = project
        self.study = project.study
        self.recipes = project.named_recipes()

    def cells(self) -> list[Cell]:
        """Return the study's cells in study order, restricted to its `only`.

        Raise InputError for a pattern that matches no cell.
        """
        cells, only = self._all_cells(), self.study.only
        if not only:
            return cells
        names = [str(cell) for cell in cells]
        found = {}
        for pattern in only:
            matching = fnmatch.filter(names, pattern)
            found[pattern] = set(matching or fnmatch.filter(names, self.named(pattern)))
        # a pattern may match only cells that were left out because their files are missing
        missed = [pattern for pattern in only if not found[pattern]]
        if missed and self.study.languages == "all":
            hint = nearest(missed[0], names)
            raise InputError(f"study {self.study.study!r}, only: no cell {missed[0]!r}: {hint}")
        wanted = set().union(*found.values())
        return [cell for cell, name in zip(cells, names, strict=True) if name in wanted]

    def named(self, cell: str) -> str:
        """Return MODEL.RECIPE.TARGET.sSEED by the study's names; unknown parts stay as they are.

        Names may be spelled in other ways, a recipe in any notation, and the seed without `s`.
        """
        model, _, rest = cell.partition(".")
        parts = rest.rsplit(".", 2)  # a recipe may have a decimal point
        if len(parts) != 3:
            return cell
        recipe, target, seed = parts
        variants = (*self.study.variants(), *self.study.controls)
        models = {name: self._entry(name) for name in variants}
        targets = {name: self.project.tasks[name] for name in self.study.targets}
        return ".".join(
            [
                spelled(model, models) or model,
                self.recipe_called(recipe) or recipe,
                spelled(target, targets) or target,
                re.sub(r"^s?(\d+)$", r"s\1", seed.casefold()),
            ]
        )

    def _entry(self, model: str) -> Model | None:
        return None if ARM in model else self.project.models[model]

    def recipe_called(self, text: str) -> str | None:
        """Return the name of the study's recipe that a name or a notation denotes, if any.

        Punctuation counts in a recipe, but not in a name: `a+b` is another training than `a-b`.
        """
        if text in self.recipes:
            return text
        try:
            recipe = parse(respelled_recipe(text, self.project.tasks))
        except InputError:
            return spelled(text, self.recipes)
        if all(part.task in self.project.tasks for part in recipe.parts):
            return next((name for name, known in self.recipes.items() if known == recipe), None)
        return spelled(text, self.recipes)

    def _all_cells(self) -> list[Cell]:
        """Return models x recipes x targets x seeds; a control runs under recipe `none` only.

        `none` has the extra seeds of the baseline too, except for controls.
        """
        study = self.study
        none = [name for name, recipe in self.recipes.items() if not recipe.steps]
        seeds = {name: study.all_seeds if name in none else study.seeds for name in self.recipes}
        runs = [(model, seeds) for model in study.variants()]
        runs += [(model, dict.fromkeys(none, study.seeds)) for model in study.controls]
        return [
            Cell(model, recipe, target, seed)
            for model, recipes in runs
            for recipe, own in recipes.items()
            for target in study.targets
            for seed in own
        ]

    def scores(self) -> list[Score]:
        """Return the scores of all cells, in study order."""
        return [self.score(cell) for cell in self.cells()]

    def subset_score(self, name: str) -> Score | None:
        """Return the score whose wrong examples form a subset, if the subset is defined by one."""
        wrong = self.study.subsets[name].wrong
        first = Cell(self.study.models[0], NONE, wrong or "", self.study.seeds[0])
        return self.score(first) if wrong else None

    def retained(self) -> dict[tuple[str, str, str, int], Score]:
        """Return the scores of a chain's earlier tasks: (model, chain, task, seed) -> score.

        For each beginning of an order and each of its steps, the head of that step is evaluated
        on the encoder after the last step. The first entry of a task is that of its own step.
        """
        if not (self.study.orders and self.study.orders.forgetting):
            return {}
        chains = {
            name: recipe.steps
            for name, recipe in self.recipes.items()
            if len(recipe.steps) > 1
            and all(isinstance(step, Step) and len(step.parts) == 1 for step in recipe.steps)
        }
        runs = dict.fromkeys((cell.model, cell.recipe, cell.seed) for cell in self.cells())
        found = {}
        for model, name, seed in runs:
            chain = chains.get(name, ())
            for end, start in [(e, s) for e in range(len(chain)) for s in range(e + 1)]:
                key = (model, str(Recipe(chain[: end + 1])), chain[start].parts[0].task, seed)
                if key not in found:
                    found[key] = self._retained(Cell(*key), chain[: end + 1], start)
        return found

    def _retained(self, cell: Cell, chain: tuple[Step, ...], start: int) -> Score:
        task = self._task(cell.target)
        after = self.step(cell.model, Recipe(chain), cell.seed)
        own = self.step(cell.model, Recipe(chain[: start + 1]), cell.seed)
        return Score(
            cell,
            Predictions(
                checkpoint=after,
                target=cell.target,
                family=self._family(cell.target, cell.model),
                encode=self._settings("encode", cell.target, cell.model),
                settings=self._settings("predict", cell.target, cell.model),
                datasets=self.examined(cell.target),
                head=None if after is own or self._is_text_to_text(cell.model) else own,
            ),
            tuple(task.metrics),
            task.source_language,
        )

    @memoised
    def examined(self, target: str) -> tuple[Dataset, ...]:
        """Return the data sets that a task is predicted on.

        They are its test data, the candidates that all languages rank, if these are a split of
        their own, and the validation data of the source language.
        """
        entry = self.study.tasks.get(target)
        examined = self._examined(target)
        if not (entry and entry.examples):
            return examined
        return tuple(self.first(dataset, entry.examples) for dataset in examined)

    @memoised
    def first(self, dataset: Dataset, examples: int) -> Dataset:
        """Return the first examples of a data set, as a data set of its own."""
        key = "size" if isinstance(dataset.spec, LabSplit) else "limit"
        least = min(getattr(dataset.spec, key) or examples, examples)
        return replace(dataset, spec=dataset.spec.model_copy(update={key: least}))

    def _examined(self, target: str) -> tuple[Dataset, ...]:
        task = self._task(target)
        if "test" not in task.splits:
            return (self.dataset(target, task.source_language, "validation"),)
        found = [
            self.dataset(target, language, split)
            for language in self.languages(target)
            for split in task.predicted_splits()
        ]
        if "candidates" in task.splits:
            found.append(self.dataset(target, task.source_language, "candidates"))
        return (*found, *self._validation(task, target))

    def aside(self) -> list[Score]:
        """Return the scores that an analysis reads but no table shows."""
        subsets = [self.subset_score(name) for name in self.study.subsets]
        return [*filter(None, subsets), *self.retained().values()]

    def tasks(self) -> set[str]:
        """Return the tasks that the study uses, including those whose splits other tasks use."""
        models = [*self.study.models, *self.study.controls]
        entries = [self.project.models[model] for model in models]
        recipes = [*self.recipes.values(), *(parse(entry.pretrain or NONE) for entry in entries)]
        names = {part.task for recipe in recipes for part in recipe.parts}
        names |= {*self.study.targets, *self.study.tasks}
        names |= {subset.wrong for subset in self.study.subsets.values() if subset.wrong}
        names |= {task for arm in self.study.arms.values() for task in arm.tasks}
        names |= {entry.init.tokenizer.task for entry in entries if entry.init}
        for task in [self._task(name) for name in names]:
            names.update(other for split in task.splits for other in task.references(split))
        return names

    def languages(self, task: str) -> list[str]:
        """Return the languages in which the study scores a target task."""
        entry = self.study.tasks.get(task)
        chosen = entry.languages if entry and entry.languages else None
        return list(chosen or self.project.tasks[task].languages)

    def dataset(self, task: str, language: str, split: str) -> Dataset:
        """Return the data of a split that is one data set."""
        [found] = self.datasets(task, language, split)
        return found

    def datasets(self, task: str, language: str, split: str) -> tuple[Dataset, ...]:
        """Return the data of a split: several data sets if it is composed of other tasks'."""
        spec = self._task(task).splits.get(split)
        if spec is None:
            raise InputError(f"task {task!r} has no split {split!r}")
        if others := self._task(task).references(split):
            return tuple(self.dataset(other, language, split) for other in others)
        return (self.own_dataset(task, language, split),)

    @memoised
    def own_dataset(self, task: str, language: str, split: str) -> Dataset:
        """Return the data of a split that the task defines itself."""
        spec = self._task(task).splits[split]
        if isinstance(spec, HubSplit):
            origin = {key: fill(getattr(spec, key), spec.code(language)) for key in _ORIGIN}
            return Dataset(task, language, split, spec, download=Download(task, origin))
        raw = self.project.raw.get(raw_key(spec, language), ())
        return Dataset(task, language, split, spec, tuple(raw))

    def _task(self, name: str) -> Task:
        return self.project.tasks[name]

    def _is_text_to_text(self, model: str) -> bool:
        return self.project.models[model.partition(ARM)[0]].form == "text-to-text"

    def _family(self, task: str, model: str) -> str:
        """Return the family of a task under a model. Raise InputError if there is none."""
        name = self._task(task).family
        if not self._is_text_to_text(model):
            return name
        if not family(name).TEXT_TO_TEXT:
            raise InputError(
                f"model {model!r} is text-to-text: task {task!r} is of family {name}, expected "
                f"{' or '.join(names('TEXT_TO_TEXT'))}"
            )
        return family(name).TEXT_TO_TEXT

    @memoised
    def part(self, part: Part, model: str, pretraining: bool = False) -> TrainPart:
        """Return the training data of a part of a recipe step, or of a step of pretraining."""
        task = self._task(part.task)
        validation = None
        if "validation" in task.splits:
            validation = self.dataset(part.task, task.source_language, "validation")
        return TrainPart(
            name=str(part),
            task=part.task,
            family=self._family(part.task, model),
            labels=tuple(task.labels),
            metrics=self._selecting_metrics(task),
            size=self._size(part),
            train=tuple(
                dataset
                for language in task.languages_of(part)
                for dataset in self.datasets(part.task, language, "train")
            ),
            validation=validation,
            encode=self._settings("encode", part.task, model, pretraining),
            settings=self._settings("train", part.task, model, pretraining),
        )

    def _settings(self, group: str, task: str, model: str, pretraining: bool = False) -> Any:
        """Return the settings of a task; those that its family does not read are at defaults."""
        settings = self.project.settings(group, task, model, pretraining=pretraining)
        return effects.read_by(self._family(task, model), settings)

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

        A task whose training and validation data are those of another task has its name: then the
        name does not depend on the study's other tasks.
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
        return replace(part, task=min(map(self._owner, equal)), size=self._size(part))

    def _training(self, step: Step, model: str) -> tuple[dict, Train]:
        """Return everything of a step on one task that determines its weights."""
        settings, [part] = self._resolved(step, model)
        return part.content(bool(settings.evaluate_every)), settings

    def _owner(self, name: str) -> str:
        """Return the task that all training and validation data of a task belong to, or `name`."""
        task = self._task(name)
        splits = [split for split in ("train", "validation") if split in task.splits]
        owners = {owner for split in splits for owner in task.references(split) or [name]}
        return owners.pop() if len(owners) == 1 else name

    def trainings(self) -> tuple[int, int]:
        """Return the number of trainings without and with sharing; pretraining does not count."""
        nodes = []
        for score in self.scores():
            lineage = score.predictions.checkpoint.lineage()
            root = self.root(score.cell.model.partition(ARM)[0])
            nodes += [node.id for node in lineage[len(root.lineage()) :] if node.parts]
        return len(nodes), len(set(nodes))

    @memoised
    def root(self, model: str) -> Checkpoint:
        """Return the pretrained model: published, or initialised and trained on `pretrain`."""
        entry = self.project.models[model]
        if entry.hub:
            return Checkpoint(model, "hub", 0, None, origin=entry.hub)
        if entry.local:
            raw = self.project.weights.get(model, {})
            return Checkpoint(model, "local", 0, None, origin=entry.local, raw=raw)
        task = entry.init.tokenizer.task
        languages = self._task(task).languages
        texts = tuple(self.dataset(task, language, "train") for language in languages)
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
        if self._is_text_to_text(model) and len({part.task for part in step.parts}) > 1:
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
    def predictions(self, model: str, recipe: Recipe, target: str, seed: int) -> Predictions:
        """Return the predictions for a target after a recipe's steps and its own training."""
        task = self._task(target)
        settings = self._settings("predict", target, model)
        if (settings.retrieval == "margin") != (task.predicted_splits() != ["test"]):
            raise InputError(
                f"task {target!r}: `predict.retrieval: margin` goes with a validation split, which "
                "its threshold is tuned on, and no training"
            )
        checkpoint = self.step(model, recipe, seed)
        if "train" in task.splits:
            step = Step((Part(target),))
            chain = self._chain(model, [*recipe.steps, step])
            checkpoint = self._trained(model, chain, checkpoint, step, seed, is_last=True)
        return Predictions(
            checkpoint=checkpoint,
            target=target,
            family=self._family(target, model),
            encode=self._settings("encode", target, model),
            settings=settings,
            datasets=self.examined(target),
        )

    def _validation(self, task: Task, target: str) -> tuple[Dataset, ...]:
        """Return the source language's validation data of a target that is trained, if any."""
        if not {"train", "validation"} <= task.splits.keys():
            return ()
        found = self.dataset(target, task.source_language, "validation")
        is_missing = isinstance(found.spec, FilesSplit) and not found.raw
        return () if is_missing else (found,)  # optional

    @memoised
    def score(self, cell: Cell) -> Score:
        """Return the score of a cell."""
        predictions = self.predictions(
            cell.model, self.recipes[cell.recipe], cell.target, cell.seed
        )
        task = self._task(cell.target)
        return Score(cell, predictions, tuple(task.metrics), task.source_language)

    def find(self, group: str, id: str) -> Artefact:
        """Return the artefact with this id, of a group of `Artefacts`, without expanding all cells.

        Raise InputError with the nearest id of the study.
        """
        for look in (self.shared, partial(self._near, id), self.artefacts):
            found = getattr(look(), group)
            if id in found:
                return found[id]
        what = f"study {self.study.study!r} has no {group[:-1]} {id!r} with its present settings"
        raise InputError(f"{what}: {nearest(id, found)}")

    @memoised
    def artefacts(self) -> Artefacts:
        """Return all artefacts of the study."""
        return _expand([*self.scores(), *self.aside()])

    @memoised
    def shared(self) -> Artefacts:
        """Return the artefacts of a few cells: all data and pretrained models of the study.

        The cells are the first of each model and recipe, and of each model and target.
        """
        first = {}
        for cell in self.cells():
            first.setdefault((cell.model, cell.recipe), cell)
            first.setdefault((cell.model, "", cell.target), cell)
        aside = [score for score in self.aside() if score.cell.seed == self.study.seeds[0]]
        return _expand([*map(self.score, dict.fromkeys(first.values())), *aside])

    def _near(self, id: str) -> Artefacts:
        """Return the artefacts of the cells whose coordinates may occur in an id."""
        model, _, rest = id.partition(".")
        chain = re.split(r"\.(?![0-9])", rest, maxsplit=1)[0]  # may have a decimal point
        seeds = {seed for seed in self.study.all_seeds if f"s{seed}" in rest.split(".")}
        recipes = {name for name, recipe in self.recipes.items() if _on_the_way(chain, recipe)}

        def suits(cell: Cell) -> bool:
            return (
                (not seeds or cell.seed in seeds)
                and (cell.recipe == chain or cell.recipe in recipes)
                and model in (cell.model, cell.model.partition(ARM)[0])
            )

        return _expand([self.score(cell) for cell in self.cells() if suits(cell)])


def _on_the_way(chain: str, recipe: Recipe) -> bool:
    """Whether a chain of steps may be a beginning of a recipe, or a recipe with a target."""
    if not recipe.steps or chain.startswith(f"{recipe}-"):
        return True
    beginnings = {
        str(Recipe((*recipe.steps[:end], last)))
        for end, step in enumerate(recipe.steps)
        for last in (step, *trainings(step))
    }
    return chain in beginnings


def _expand(scores: Iterable[Score]) -> Artefacts:
    """Return scores with everything that they need."""
    found = Artefacts({}, {}, {}, {})
    for score in scores:
        found.scores[score.id] = score
        predictions = score.predictions
        found.predictions[predictions.id] = predictions
        for checkpoint in predictions.checkpoints:
            if checkpoint.id not in found.checkpoints:
                found.checkpoints.update((node.id, node) for node in checkpoint.lineage())
    read = dict.fromkeys(p.datasets for p in found.predictions.values())
    read |= dict.fromkeys(c.datasets for c in found.checkpoints.values())
    found.datasets.update((data.id, data) for datasets in read for data in datasets)
    return found


def raw_key(spec: LabSplit | FilesSplit | HubSplit, language: str) -> str:
    """Return the key of a language's raw files in `Project.raw`; empty if it has none."""
    return f"{spec.path} {spec.code(language)}" if isinstance(spec, FilesSplit) else ""
