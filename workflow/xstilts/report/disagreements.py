"""A sample of the test examples on which recipes disagree most, per target and language.

Of one model and one seed; the largest differences in score come first. The number of rows, recipes
and examples is bounded, so that a large study takes seconds.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.errors import InputError
from xstilts.families import Shown, family
from xstilts.grid.artefacts import Dataset, Predictions
from xstilts.grid.grid import Grid

ROWS, RECIPES, CANDIDATES, EXAMPLES = 150, 8, 20, 5
MOST = 100  # examples of a page, but at least one per target and language: nobody reads more
LONGEST = 360  # characters of a text; of a context, around the answer

Pairs = list[list[str]]  # (text, tag or "") of an answer


def sample(grid: Grid, notices: list[str]) -> list[dict]:
    """Return examples per target and language, with the answer of each recipe.

    Damaged files are skipped and named in `notices`.
    """
    groups = []
    for target in grid.study.targets:
        predicted = _predictions(grid, target)
        if len(predicted) < 2:
            continue
        for dataset in next(iter(predicted.values())).scored:
            try:
                examples = _of_language(predicted, dataset, grid.project.tasks[target].metrics[0])
            except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
                notices.append(f"examples of {target}, {dataset.language}: {error}")
                continue
            if examples:
                group = {"target": target, "language": dataset.language, "examples": examples}
                groups.append(group)
    shown = max(1, MOST // max(1, len(groups)))
    return [{**group, "examples": group["examples"][:shown]} for group in groups]


def _predictions(grid: Grid, target: str) -> dict[str, Predictions]:
    """Return recipe -> predictions of the first model and seed, where their files exist."""
    by_recipe = {}
    cells = [cell for cell in grid.cells() if cell.target == target]
    for cell in cells:
        if (cell.model, cell.seed) != (cells[0].model, cells[0].seed):
            continue
        predictions = grid.score(cell).predictions
        if all(Path(predictions.file(dataset)).exists() for dataset in predictions.scored):
            by_recipe[cell.recipe] = predictions
        if len(by_recipe) == RECIPES:
            break
    return by_recipe


def _of_language(
    predicted: Mapping[str, Predictions], dataset: Dataset, metric: str
) -> list[dict[str, Any]]:
    """Return the examples of a language whose scores differ most between recipes.

    An example has its texts, the gold answer, and (recipe, score, answer) of each recipe.
    """
    kind = family(next(iter(predicted.values())).family)
    files = {recipe: _first(p.file(dataset)) for recipe, p in predicted.items()}
    rows = {row["id"]: row for row in store.read_rows(Path(dataset.path))}
    score, candidates = kind.METRICS[metric], []
    for id in _disagreements([*files.values()])[:CANDIDATES]:
        answers = [lines[id] for lines in files.values()]
        scores = [score([rows[id]], [answer], dataset.language) for answer in answers]
        choices = [answer["prediction"] for answer in answers]
        candidates.append((min(scores) - max(scores), id, choices, scores))
    candidates.sort(key=lambda candidate: candidate[:2])
    examples = []
    for _, id, choices, scores in candidates[:EXAMPLES]:
        gold, *shown = (
            _answer(kind.shown_answer(rows[id], choice, rows, choices))
            for choice in (kind.gold(rows[id]), *choices)
        )
        rounded = [round(x, 1) for x in scores]
        example = {"gold": gold, "answers": list(zip(files, rounded, shown, strict=True))}
        examples.append(example | {"texts": _texts(kind.shown_texts(rows[id]), dataset.language)})
    return examples


def _disagreements(files: list[dict[str, dict]]) -> list[str]:
    """Return the ids of the examples that all recipes answered, but not all equally."""
    shared = [id for id in files[0] if all(id in lines for lines in files)]
    return [id for id in shared if len({str(lines[id]["prediction"]) for lines in files}) > 1]


def _first(path: str) -> dict[str, dict]:
    """Return the first predictions of a file by id."""
    with open(path, encoding="utf-8") as lines:
        return {line["id"]: line for line in map(json.loads, islice(lines, ROWS))}


def _texts(shown: Iterable[Shown], language: str) -> list[list[str]]:
    """Return (name, text, language) of each text that is not empty."""
    return [
        [text.name, excerpt(text.text, text.position), text.language or language]
        for text in shown
        if text.text
    ]


def _answer(shown: Iterable[tuple[str, str]]) -> Pairs:
    return [[excerpt(text), tag] for text, tag in shown] or [["", "no answer"]]


def excerpt(text: str, around: int = 0) -> str:
    """Return at most LONGEST characters of a text, those around a position."""
    start = max(0, min(around - LONGEST // 2, len(text) - LONGEST))
    kept = text[start : start + LONGEST]
    return "… " * (start > 0) + kept + " …" * (start + LONGEST < len(text))
