"""A sample of the examples on which recipes disagree, per target and language, for people to read.

One model and one seed; predictions that most change the score come first. What is shown is bounded,
so that a large study costs seconds: the first rows of a language, a few recipes, a few examples.
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
LONGEST = 360  # characters of a text; of a context, around the answer

Pairs = list[list[str]]  # (text, tag or "") of an answer


def sample(grid: Grid, notices: list[str]) -> list[dict]:
    """Per target and language that has any: its examples, with the answer of each recipe.

    A damaged file is named in `notices` and left out.
    """
    found = []
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
                found.append({"target": target, "language": dataset.language, "examples": examples})
    return found


def _predictions(grid: Grid, target: str) -> dict[str, Predictions]:
    """Recipe -> predictions of the first model and seed, where they are there."""
    found = {}
    cells = [cell for cell in grid.cells() if cell.target == target]
    for cell in cells:
        if (cell.model, cell.seed) != (cells[0].model, cells[0].seed):
            continue
        predictions = grid.score(cell).predictions
        if all(Path(predictions.file(dataset)).exists() for dataset in predictions.scored):
            found[cell.recipe] = predictions
        if len(found) == RECIPES:
            break
    return found


def _of_language(
    predicted: Mapping[str, Predictions], dataset: Dataset, metric: str
) -> list[dict[str, Any]]:
    kind = family(next(iter(predicted.values())).family)
    score = kind.METRICS[metric]
    answers = {recipe: _first(p.file(dataset)) for recipe, p in predicted.items()}
    rows = {row["id"]: row for row in store.read_rows(Path(dataset.path))}
    shared = [id for id in next(iter(answers.values())) if all(id in a for a in answers.values())]
    differ = [id for id in shared if len({str(a[id]["prediction"]) for a in answers.values()}) > 1]
    candidates = []
    for id in differ[:CANDIDATES]:
        row, given = rows[id], {recipe: a[id] for recipe, a in answers.items()}
        scores = {r: score([row], [p], dataset.language) for r, p in given.items()}
        candidates.append((max(scores.values()) - min(scores.values()), id, row, given, scores))
    candidates.sort(key=lambda one: (-one[0], one[1]))
    examples = []
    for _, id, row, given, scores in candidates[:EXAMPLES]:
        choices = {recipe: prediction["prediction"] for recipe, prediction in given.items()}
        gold, *shown = (
            _answer(kind.shown_answer(row, choice, rows, [*choices.values()]))
            for choice in (kind.gold(row), *choices.values())
        )
        answers = [
            [recipe, round(scores[recipe], 1), answer]
            for recipe, answer in zip(choices, shown, strict=True)
        ]
        texts = _texts(kind.shown_texts(row), dataset.language)
        examples.append({"id": id, "texts": texts, "gold": gold, "answers": answers})
    return examples


def _first(path: str) -> dict[str, dict]:
    """The first predictions of a file by example."""
    with open(path, encoding="utf-8") as lines:
        return {one["id"]: one for one in map(json.loads, islice(lines, ROWS))}


def _texts(shown: Iterable[Shown], language: str) -> list[list[str]]:
    """Return (name, text, language) of each text that is not empty."""
    return [
        [text.name, _cut(text.text, text.position), text.language or language]
        for text in shown
        if text.text
    ]


def _answer(shown: Iterable[tuple[str, str]]) -> Pairs:
    return [[_cut(text), tag] for text, tag in shown] or [["", "no answer"]]


def _cut(text: str, around: int = 0) -> str:
    """At most LONGEST characters of a text, those around a position."""
    start = max(0, min(around - LONGEST // 2, len(text) - LONGEST))
    kept = text[start : start + LONGEST]
    return "… " * (start > 0) + kept + " …" * (start + LONGEST < len(text))
