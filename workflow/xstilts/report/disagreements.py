"""A sample of the examples on which recipes disagree, per target and language, for people to read.

One model and one seed; predictions that most change the score come first. What is shown is bounded,
so that a large study costs seconds: the first rows of a language, a few recipes, a few examples.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from xstilts import store
from xstilts.errors import InputError
from xstilts.families import family
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
    kind = next(iter(predicted.values())).family
    score = family(kind).METRICS[metric]
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
    return [
        {
            "id": id,
            "texts": _texts(kind, row, dataset.language),
            "gold": _shown(kind, row, _gold(kind, row), rows, given),
            "answers": [
                [recipe, round(scores[recipe], 1), _shown(kind, row, p["prediction"], rows, given)]
                for recipe, p in given.items()
            ],
        }
        for _, id, row, given, scores in candidates[:EXAMPLES]
    ]


def _first(path: str) -> dict[str, dict]:
    """The first predictions of a file by example."""
    with open(path, encoding="utf-8") as lines:
        return {one["id"]: one for one in map(json.loads, islice(lines, ROWS))}


def _texts(kind: str, row: Mapping, language: str) -> list[list[str]]:
    """(name, text, language) of what the example shows."""
    if kind == "tag":
        return [["words", _cut(" ".join(row["words"])), language]]
    if kind == "choose":
        options = [[f"choice {number + 1}", text] for number, text in enumerate(row["choices"])]
        named = [["context", row["context"]], ["question", row["question"]], *options]
    elif kind == "mine":
        return [["sentence", _cut(row["text"]), "en" if row["side"] == "english" else language]]
    elif kind == "answer":
        around = row["starts"][0] if row["starts"] else 0
        named = [["question", row["question"]], ["context", _cut(row["context"], around)]]
    elif kind == "retrieve":
        named = [["question", row["question"]]]
    else:
        named = [["text", row["text_a"]], ["second text", row["text_b"]]]
    return [[name, _cut(text), language] for name, text in named if text]


def _gold(kind: str, row: Mapping) -> Any:
    match kind:
        case "tag":
            return row["tags"]
        case "answer":
            return row["answers"][0] if row["answers"] else ""
        case "mine":
            return row["match"]
        case "retrieve":
            return row["matches"]
    return row["label"]


def _shown(
    kind: str, row: Mapping, answer: Any, rows: Mapping[str, Mapping], given: Mapping[str, Mapping]
) -> Pairs:
    """An answer as (text, tag): of tags only the words on which recipes or the gold disagree."""
    if kind == "tag":
        columns = list(zip(row["tags"], *(p["prediction"] for p in given.values()), strict=True))
        return [
            [word, tag]
            for word, tag, tags in zip(row["words"], answer, columns, strict=True)
            if len(set(tags)) > 1
        ][:12]
    if kind == "choose":
        return [[_cut(row["choices"][answer]), f"choice {answer + 1}"]]
    if kind in ("mine", "retrieve"):
        ids: Sequence[str] = [answer] if isinstance(answer, str) else answer[:1]
        return [[_cut(_passage(rows[id])), ""] for id in ids if id in rows] or [["", "no answer"]]
    return [[_cut(str(answer)), ""]] if answer else [["", "no answer"]]


def _passage(row: Mapping) -> str:
    return row["text"] or row.get("context") or ""


def _cut(text: str, around: int = 0) -> str:
    """At most LONGEST characters of a text, those around a position."""
    start = max(0, min(around - LONGEST // 2, len(text) - LONGEST))
    kept = text[start : start + LONGEST]
    return "… " * (start > 0) + kept + " …" * (start + LONGEST < len(text))
