"""The facts about a study that its analysis needs, from the grid and the results folder."""

import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from xstilts import store
from xstilts.analyses import Facts
from xstilts.config.schema import ARM
from xstilts.config.subsets import EVERYWHERE, check_ids, read_ids
from xstilts.costs import measured
from xstilts.families import family
from xstilts.grid.artefacts import Score, TrainPart
from xstilts.grid.grid import Grid
from xstilts.results.samples import Examples, Subset, read_examples
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import Results

QUESTIONS = {
    "helps": "Which intermediate tasks help zero-shot transfer?",
    "order": "Does the order of intermediate tasks matter?",
    "scale": "Does the size of the model matter?",
    "language": "Does the language of the intermediate data matter?",
    "size": "Does the size of the intermediate data matter?",
}


def examples_of(grid: Grid) -> Examples:
    """Return the function that reads a cell's scores of single examples."""
    return lambda cell: read_examples(Path(grid.score(cell).examples_path))


def gather(grid: Grid, results: Results, longer: Collection[tuple[str, str]]) -> Facts:
    """Return all facts of a study that the existing artefacts determine, and `longer`."""
    study, project = grid.study, grid.project
    models = {name: project.models[name.partition(ARM)[0]] for name in study.variants()}
    return Facts(
        question=study.title or QUESTIONS[study.analysis],
        recipes=grid.recipes,
        validation=_validation(results),
        published={
            name: study.published | study.published_by_model.get(name.partition(ARM)[0], {})
            for name in models
        },
        claims=study.claims,
        categories={t: family(project.tasks[t].family).CATEGORY for t in study.targets},
        parameters={x: int(model.weights[0]) for x, model in models.items() if model.weights[0]},
        families={name: model.kin for name, model in models.items()},
        gpu_hours=_hours(grid),
        examples=_examples(grid),
        adversarial={name: (s.target, s.whole) for name, s in study.subsets.items()},
        retained={
            key: ScoreFile.read(Path(score.path)).averages["avg"][score.metrics[0]]
            for key, score in grid.retained().items()
            if Path(score.path).exists()
        },
        orders=_orders(grid),
        longer=longer,
    )


def subsets(grid: Grid) -> dict[str, Subset]:
    """Return the ids of each subset of the study, by language, without subsets not known yet."""
    subsets: dict[str, Subset] = {}
    for name, subset in grid.study.subsets.items():
        languages = grid.data.languages(subset.target)
        if subset.ids:
            path = grid.project.data_folder() / subset.ids
            listed = read_ids(path)
            check_ids(path, listed, _ids(grid, subset.target))
            everywhere = listed.get(EVERYWHERE, set())
            subsets[name] = {x: everywhere | listed.get(x, set()) for x in languages}
        elif (score := grid.subset_score(name)) and Path(score.path).exists():
            subsets[name] = dict.fromkeys(languages, _wrong(score))
    return subsets


def _ids(grid: Grid, target: str) -> dict[str, set[str]]:
    """Return the ids of a target's test examples, by language."""
    tests = {x: grid.data.dataset(target, x, "test") for x in grid.data.languages(target)}
    return {x: {row["id"] for row in store.read_rows(Path(d.path))} for x, d in tests.items()}


def _wrong(score: Score) -> set[str]:
    """Return the ids of the examples that a model gets wrong in the source language."""
    examples = read_examples(Path(score.examples_path))
    source = examples[examples["language"] == score.source_language]
    return set(source.loc[source["top"] < source["bottom"], "id"])


def _validation(results: Results) -> Mapping[tuple[str, str, str], list[float]]:
    """Return (model, recipe, target) -> validation score of each seed, NaN if missing."""
    seeds = results.context.seeds
    scores = defaultdict(lambda: [math.nan] * len(seeds))
    for cell, score in results.scores.items():
        if score.validation and cell.seed in seeds:
            value = score.validation.metrics[score.main_metric]
            scores[cell.model, cell.recipe, cell.target][seeds.index(cell.seed)] = value
    return dict(scores)


def _hours(grid: Grid) -> dict[tuple[str, str], float]:
    """Return (model, recipe) -> hours of training, over all targets and seeds.

    These are GPU hours, or machine hours if a model's jobs use no GPU. A step that several cells
    share is counted for each of them. Recipes with a training that was not measured are left out.
    """
    scores = grid.scores()
    nodes = {node.id: node for s in scores for node in s.predictions.checkpoint.lineage()}
    evidence = measured.read(grid.project, nodes.values())
    total: dict[tuple[str, str], float] = defaultdict(float)
    for score in scores:
        for node in score.predictions.checkpoint.lineage():
            if node.parent is not None and not node.chain.startswith("pretrain-"):
                cost = evidence.costs.get(node.id)
                hours = cost.seconds * max(cost.gpus, 1) / 3600 if cost else math.nan
                total[score.cell.model, score.cell.recipe] += hours
    return {key: hours for key, hours in total.items() if not math.isnan(hours)}


def _examples(grid: Grid) -> dict[str, int]:
    """Return recipe -> number of intermediate examples, for recipes whose data are prepared."""
    model, seed, examples = grid.study.variants()[0], grid.study.seeds[0], {}
    for name, recipe in grid.recipes.items():
        if not recipe.steps:
            continue
        parts = [
            p for node in grid.trainings.step(model, recipe, seed).lineage() for p in node.parts
        ]
        parts = parts[-len(recipe.parts) :]  # without the model's own pretraining
        manifests = [Path(d.path) / store.MANIFEST for part in parts for d in part.train]
        if all(path.exists() for path in manifests):
            examples[name] = sum(_size(part) for part in parts)
    return examples


def _size(part: TrainPart) -> int:
    total = sum(store.DatasetManifest.read(Path(d.path)).rows for d in part.train)
    return part.size.of(total) if part.size else total


def _orders(grid: Grid) -> dict[str, str]:
    """Return recipe -> its kind in a study of orders: given, random or control."""
    orders = grid.study.orders
    if not orders:
        return {}
    given = {x if isinstance(x, str) else next(iter(x)) for x in orders.given}
    controls = {"mixture", "merge", *(f"alone_{task}" for task in orders.tasks)}
    kinds = {name: "random" for name in grid.recipes if re.fullmatch(r"random_[0-9]+", name)}
    kinds |= dict.fromkeys(controls & grid.recipes.keys(), "control")
    return kinds | dict.fromkeys(given, "given")
