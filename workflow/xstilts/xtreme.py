"""Prediction files as XTREME's evaluate.py reads them: written from a study, and scored alone.

The layout is `TASK/test-LANGUAGE.EXTENSION`, and the tasks have XTREME's names. Scores have the
names that evaluate.py gives them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from xstilts import metrics, store
from xstilts.errors import InputError, nearest
from xstilts.grid.artefacts import Cell, Dataset
from xstilts.grid.grid import Grid
from xstilts.sources import records
from xstilts.stages.score import read_language

Rows = Sequence[Mapping[str, Any]]
Scores = dict[str, float]


# Writing: rows, predictions and the positions of excluded rows -> text


def _labels(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    """A label per line; rows that the benchmark excludes (PAWS-X) get one too: lines count."""
    lines = [str(prediction["prediction"]) for prediction in predictions]
    for position in gaps:  # ascending
        lines.insert(position, lines[0])
    return _text(lines)


def _tags(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    """A tag per line, a blank line after each sentence."""
    return "".join(_text([*prediction["prediction"], ""]) for prediction in predictions)


def _by_id(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    found = {prediction["id"]: prediction["prediction"] for prediction in predictions}
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def _pairs(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    return _text([f"{p['id']}\t{p['prediction']}" for p in predictions if p["prediction"]])


def _positions(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    """The row of the foreign sentence, for each English one in alphabetical order (Tatoeba)."""
    text = {row["id"]: row["text"].strip() for row in rows}
    ordered = sorted(predictions, key=lambda prediction: text[prediction["id"]])
    return _text([prediction["prediction"].rpartition("-")[2] for prediction in ordered])


def _choices(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    return _text([json.dumps({"label": prediction["prediction"]}) for prediction in predictions])


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# Reading: a file of gold data or of predictions


def _read_lines(path: Path) -> list[str]:
    return [line for _, line in records.lines(path)]


def _read_tags(path: Path) -> list[list[str]]:
    """Tags per sentence; where a line has columns, the tag is the last."""
    return [[line.split("\t")[-1] for _, line in block] for block in records.blocks(path)]


def _read_pairs(path: Path) -> list[metrics.Pair]:
    if path.is_file() and not path.stat().st_size:
        return []  # no pair is above the threshold
    pairs = [(place, line.split("\t")) for place, line in records.lines(path)]
    for place, pair in pairs:
        if len(pair) != 2:
            raise InputError(f"{place}: {len(pair)} columns, expected two ids between a tab")
    return [(foreign, english) for _, (foreign, english) in pairs]


def _read_choices(path: Path) -> list[int]:
    return [records.field(record, "label", int, place) for place, record in records.jsonl(path)]


def _read_texts(path: Path) -> dict[str, str]:
    """Question id to answer."""
    found = records.document(path)
    return {id: records.field(found, id, str, str(path)) for id in found}


def _read_rankings(path: Path) -> dict[str, list[str]]:
    """Query id to ids of candidates, best first."""
    found = records.document(path)
    for id in found:
        ranked = records.field(found, id, list, str(path))
        if not all(isinstance(candidate, str) for candidate in ranked):
            raise InputError(f"{path}: {id!r} has {ranked!r}, expected ids of candidates")
    return found


def _read_answers(path: Path) -> dict[str, list[str]]:
    """Question id to gold answers, of a file as SQuAD's."""
    from xstilts.sources.squad import squad

    return {row["id"]: row["answers"] for _, row in squad([path], "")}


def _accuracy(golds: Any, predictions: Any, language: str) -> Scores:
    return {"accuracy": metrics.accuracy(golds, predictions)}


def _spans(golds: Any, predictions: Any, language: str) -> Scores:
    return metrics.span_f1(golds, predictions)


def _pos(golds: Any, predictions: Any, language: str) -> Scores:
    return metrics.pos_f1(golds, predictions)


def _squad(golds: Any, predictions: Any, language: str) -> Scores:
    return metrics.answer_scores(golds, predictions)


def _mlqa(golds: Any, predictions: Any, language: str) -> Scores:
    tokens = partial(metrics.mlqa_tokens, language=language)
    return metrics.answer_scores(golds, predictions, tokens)


def _mined(golds: Any, predictions: Any, language: str) -> Scores:
    return metrics.pair_f1(golds, predictions)


def _ranked(golds: Any, predictions: Any, language: str) -> Scores:
    return {"map@20": metrics.mean_average_precision(golds, predictions)}


@dataclass(frozen=True)
class Format:
    """One task's files: extension, how a prediction file is written, how files are scored."""

    extension: str
    write: Callable[[Rows, Rows, Sequence[int]], str]
    read: Callable[[Path], Any]
    score: Callable[[Any, Any, str], Scores]
    read_golds: Callable[[Path], Any] | None = None  # where these are not as the predictions


FORMATS: Mapping[str, Format] = {
    "xnli": Format("tsv", _labels, _read_lines, _accuracy),
    "pawsx": Format("tsv", _labels, _read_lines, _accuracy),
    "udpos": Format("tsv", _tags, _read_tags, _pos),
    "panx": Format("tsv", _tags, _read_tags, _spans),
    "xquad": Format("json", _by_id, _read_texts, _squad, _read_answers),
    "mlqa": Format("json", _by_id, _read_texts, _mlqa, _read_answers),
    "tydiqa": Format("json", _by_id, _read_texts, _squad, _read_answers),
    "bucc2018": Format("tsv", _pairs, _read_pairs, _mined),
    "tatoeba": Format("tsv", _positions, _read_lines, _accuracy),
    "xcopa": Format("jsonl", _choices, _read_choices, _accuracy),
    "mewslix": Format("json", _by_id, _read_rankings, _ranked),
}


def export(grid: Grid, model: str, recipe: str, seed: int, out: Path) -> list[Path]:
    """Write the predictions of a recipe's cells whose target is XTREME's; returns the files.

    Raises InputError where the study has no such cells, or a cell is not predicted yet.
    """
    for kind, name, known in (
        ("model", model, [*grid.study.variants(), *grid.study.controls]),
        ("recipe", recipe, grid.recipes),
        ("seed", str(seed), map(str, grid.study.seeds)),
    ):
        if name not in (known := list(known)):
            raise InputError(f"the study has no {kind} {name!r}: {nearest(name, known)}")
    targets = [t for t in grid.study.targets if t in FORMATS]
    if not targets:
        raise InputError(f"none of the study's targets is XTREME's: {', '.join(FORMATS)}")
    written = []
    for target in targets:
        predictions = grid.score(Cell(model, recipe, target, seed)).predictions
        for dataset in predictions.scored:
            rows, found, _ = read_language(predictions, dataset)
            content = FORMATS[target].write(rows, found, _gaps(dataset))
            path = out / target / f"test-{dataset.language}.{FORMATS[target].extension}"
            store.write_text(path, content)
            written.append(path)
    return written


def _gaps(dataset: Dataset) -> list[int]:
    return store.read_json(Path(dataset.path) / store.MANIFEST)["gaps"]


def score_files(task: str, language: str, predictions: Path, gold: Path) -> Scores:
    """The scores of a prediction file against a gold file, as evaluate.py names them.

    Gold files are as the predictions', of question answering as the release's. Raises InputError
    for an unknown task, and files that are damaged or do not go together.
    """
    if task not in FORMATS:
        raise InputError(f"unknown task {task!r}: {nearest(task, FORMATS)}")
    format = FORMATS[task]
    golds = (format.read_golds or format.read)(gold)
    try:
        return format.score(golds, format.read(predictions), language)
    except InputError as error:
        raise InputError(f"{predictions} against {gold}: {error}") from None
