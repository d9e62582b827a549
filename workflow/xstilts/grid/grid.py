"""Expansion of a study: its cells, and the artefacts that they need.

Pure: nothing here reads or writes a file. `Grid` resolves one artefact at a time and keeps it, so
recipes share their first steps, and a stage that makes one artefact resolves only its ancestors.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import combinations, product

from xstilts.config.mistakes import Place
from xstilts.config.project import Project
from xstilts.config.schema import ARM
from xstilts.config.spelling import respelled_recipe
from xstilts.errors import InputError, nearest, spelled
from xstilts.grid.artefacts import Artefacts, Cell, Checkpoint, Predictions, Score
from xstilts.grid.base import Artefact, memoised
from xstilts.grid.data import Data
from xstilts.grid.trainings import Trainings
from xstilts.recipe import NONE, Recipe, Step, parse, trainings


class Grid:
    """A project's cells and artefacts, resolved on demand.

    An artefact that is requested twice is the same object, and its digest is computed once.
    """

    def __init__(self, project: Project):
        self.project = project
        self.study = project.study
        self.recipes = project.named_recipes()
        self.data = Data(project)
        self.trainings = Trainings(project, self.data)

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
        models = {name: self.project.models.get(name) for name in variants}  # None: with an arm
        targets = {name: self.project.tasks[name] for name in self.study.targets}
        return ".".join(
            [
                spelled(model, models) or model,
                self.recipe_called(recipe) or recipe,
                spelled(target, targets) or target,
                re.sub(r"^s?(\d+)$", r"s\1", seed.casefold()),
            ]
        )

    def check_rows_differ(self, place: Place) -> None:
        """Raise InputError naming two recipes, models or arms with the same trainings.

        One seed shows it. Two rows of one training would count its result twice.
        """
        variants, seed = self.study.variants(), self.study.seeds[0]
        after = {
            (variant, name): self.trainings.step(variant, recipe, seed).identity.digest
            for variant, (name, recipe) in product(variants, self.recipes.items())
        }
        recipes = {name: [after[variant, name] for variant in variants] for name in self.recipes}
        self._check_distinct("recipes", recipes, place)
        first = next(iter(self.recipes.values()))
        rows = {
            variant: [after[variant, name] for name in self.recipes]
            + [
                self.predictions(variant, first, target, seed).identity.digest
                for target in self.study.targets
            ]
            for variant in variants
        }
        self._check_distinct("arms" if self.study.arms else "models", rows, place)

    def _check_distinct(self, key: str, rows: Mapping[str, list[str]], place: Place) -> None:
        for one, other in combinations(rows, 2):
            if rows[one] == rows[other]:
                raise InputError(
                    f"{place(('study', key))}, {key}: {one!r} and {other!r} are the same training: "
                    "equal data and settings; leave one out"
                )

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
        Tasks without test and validation data, such as plain text, are left out.
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
                splits = self.project.tasks[key[2]].splits.keys()
                if key not in found and splits & {"test", "validation"}:
                    found[key] = self._retained(Cell(*key), chain[: end + 1], start)
        return found

    def _retained(self, cell: Cell, chain: tuple[Step, ...], start: int) -> Score:
        after = self.trainings.step(cell.model, Recipe(chain), cell.seed)
        own = self.trainings.step(cell.model, Recipe(chain[: start + 1]), cell.seed)
        head = None if after is own or self.trainings.is_text_to_text(cell.model) else own
        return self._scored(cell, self._predicted(cell.model, cell.target, after, head))

    def aside(self) -> list[Score]:
        """Return the scores of subsets and of forgetting, which only an analysis reads."""
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
        for task in [self.project.tasks[name] for name in names]:
            names.update(other for split in task.splits for other in task.references(split))
        return names

    def count_trainings(self) -> tuple[int, int]:
        """Return the number of trainings without and with sharing; pretraining does not count."""
        nodes = []
        for score in self.scores():
            lineage = score.predictions.checkpoint.lineage()
            root = self.trainings.root(score.cell.model.partition(ARM)[0])
            nodes += [node.id for node in lineage[len(root.lineage()) :] if node.parts]
        return len(nodes), len(set(nodes))

    @memoised
    def predictions(self, model: str, recipe: Recipe, target: str, seed: int) -> Predictions:
        """Return the predictions for a target after a recipe's steps and its own training."""
        checkpoint = self.trainings.on_target(model, recipe, target, seed)
        return self._predicted(model, target, checkpoint)

    def _predicted(
        self, model: str, target: str, checkpoint: Checkpoint, head: Checkpoint | None = None
    ) -> Predictions:
        family = self.trainings.family(target, model)
        encode, settings = (
            self.trainings.settings(group, target, model) for group in ("encode", "predict")
        )
        tunes = self.project.tasks[target].predicted_splits() != ["test"]
        if (settings.retrieval == "margin") != tunes:
            raise InputError(
                f"task {target!r}: `predict.retrieval: margin` goes with a validation split, which "
                "its threshold is tuned on, and no training"
            )
        datasets = self.data.examined(target)
        return Predictions(checkpoint, target, family, encode, settings, datasets, head)

    @memoised
    def score(self, cell: Cell) -> Score:
        """Return the score of a cell."""
        recipe = self.recipes[cell.recipe]
        return self._scored(cell, self.predictions(cell.model, recipe, cell.target, cell.seed))

    def _scored(self, cell: Cell, predictions: Predictions) -> Score:
        task = self.project.tasks[cell.target]
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
