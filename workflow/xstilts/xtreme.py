"""Prediction files in XTREME's format: written from a study, or scored against gold files.

A file is `TASK/test-LANGUAGE.EXTENSION`; the names of tasks and scores are those of XTREME's
evaluate.py.
"""

import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from xstilts import metrics, store
from xstilts.errors import InputError, nearest, spelled
from xstilts.grid.artefacts import Cell
from xstilts.grid.grid import Grid
from xstilts.languages.codes import TYDIQA_NAMES
from xstilts.languages.names import languages
from xstilts.results.predictions import read_language
from xstilts.sources import records
from xstilts.sources.words import NER, UPOS

Rows = Sequence[Mapping[str, Any]]
Scores = dict[str, float]


# Writing: rows, predictions and the positions of excluded rows -> text


def _labels(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    """One label per line; excluded rows (PAWS-X) get one too, since lines are matched by number."""
    lines = [str(prediction["prediction"]) for prediction in predictions]
    for position in gaps:  # ascending
        lines.insert(position, lines[0])
    return _text(lines)


def _tags(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    """One tag per line, and a blank line after each sentence."""
    return "".join(_text([*prediction["prediction"], ""]) for prediction in predictions)


def _by_id(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    answers = {prediction["id"]: prediction["prediction"] for prediction in predictions}
    return json.dumps(answers, ensure_ascii=False, indent=1) + "\n"


def _pairs(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    return _text([f"{p['id']}\t{p['prediction']}" for p in predictions if p["prediction"]])


def _positions(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    """Row number of the translation, for each English sentence in alphabetical order (Tatoeba)."""
    text = {row["id"]: row["text"].strip() for row in rows}
    ordered = sorted(predictions, key=lambda prediction: text[prediction["id"]])
    return _text([prediction["prediction"].rpartition("-")[2] for prediction in ordered])


def _choices(rows: Rows, predictions: Rows, gaps: Sequence[int]) -> str:
    return _text([json.dumps({"label": prediction["prediction"]}) for prediction in predictions])


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# Reading: a file of gold data or of predictions

# As in evaluate.py, white space around a line does not count, and any line end ends a line.

_NUMBER = re.compile("0|[1-9][0-9]{0,14}")  # evaluate.py compares texts: 01 would never be 1
Labels = Sequence[str]  # of a task; () allows any number


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, line without white space around it) up to the last line that is not blank."""
    content = io.StringIO(records.text(path).rstrip(), newline=None)
    for number, line in enumerate(content, 1):
        yield f"{path}:{number}", line.strip()


def _known(label: str, labels: Labels, place: str) -> str:
    if labels:
        return records.known(label, labels, place)
    if not _NUMBER.fullmatch(label):
        raise InputError(f"{place}: {label!r} is no number; expected a whole number from 0")
    return label


def _read_labels(path: Path, labels: Labels) -> list[str]:
    """Return the label of each line."""
    return [_known(line, labels, place) for place, line in _lines(path)]


def _read_tags(path: Path, labels: Labels) -> list[list[str]]:
    """Return the tags of each sentence; a tag is the last column of its line."""
    sentences: list[list[str]] = [[]]
    for place, line in _lines(path):
        if line:
            sentences[-1].append(_known(line.split()[-1], labels, place))
        elif sentences[-1]:
            sentences.append([])
    return [tags for tags in sentences if tags]


_SENTENCE = re.compile(r"([a-z]+)-\d+")


def _read_pairs(path: Path, labels: Labels) -> list[metrics.Pair]:
    """Return pairs of sentence ids, such as de-000000042 and en-000000001."""
    if path.is_file() and not path.stat().st_size:
        return []  # no pair exceeds the threshold
    pairs = [(place, line.split()) for place, line in _lines(path) if line]
    for place, pair in pairs:
        if len(pair) != 2 or not all(map(_SENTENCE.fullmatch, pair)):
            raise InputError(f"{place}: expected two ids of sentences with a tab between them")
    return [(foreign, english) for _, (foreign, english) in pairs]


def _read_choices(path: Path, labels: Labels) -> list[str]:
    """Return the label of each line, which holds a JSON object."""
    choices = []
    for place, line in _lines(path):
        if line:
            label = records.field(records.parse(line, place), "label", int | str, place)
            choices.append(_known(str(label), labels, place))
    return choices


def _read_numbers(path: Path) -> list[Any]:
    """Return the number of each line's example, None where a line does not state it (XCOPA)."""
    return [records.parse(line, place).get("idx") for place, line in _lines(path) if line]


def _read_texts(path: Path, labels: Labels) -> dict[str, str]:
    """Return the answers by question id."""
    answers = records.json_object(_data(path), str(path))
    return {id: records.field(answers, id, str, str(path)) for id in answers}


def _data(path: Path) -> Any:
    """Return the content of a JSON file, or its `data` if it has this key, as evaluate.py does."""
    content = records.decode(records.text(path), str(path))
    return content.get("data", content) if isinstance(content, dict) else content


def _read_rankings(path: Path, labels: Labels) -> dict[str, list[str]]:
    """Return the ids of the ranked candidates by query id, best first."""
    rankings = records.document(path)
    for id in rankings:
        ranked = records.field(rankings, id, list, str(path))
        is_text = all(isinstance(candidate, str) for candidate in ranked)
        if not is_text or len(set(ranked)) < len(ranked):
            expected = "expected ids of candidates, each once"
            raise InputError(f"{path}: {id!r} has {ranked!r:.80}; {expected}")
    return rankings


def _read_answers(path: Path, labels: Labels) -> dict[str, list[str]]:
    """Return the gold answers by question id, from a file in SQuAD's format.

    As in evaluate.py, their offsets are not read.
    """
    from xstilts.sources.squad import questions

    articles = _data(path)
    if not isinstance(articles, list):
        raise InputError(f"{path}: no list of articles in SQuAD's format")
    golds: dict[str, list[str]] = {}
    for place, _, question in questions(articles, path):
        id = records.field(question, "id", str, place)
        if id in golds:
            raise InputError(f"{place}: id {id!r} is repeated")
        golds[id] = [
            records.field(answer, "text", str, place)
            for answer in records.field(question, "answers", list, place)
        ]
    return golds


# Scores: right answers, predictions and the language -> scores by evaluate.py's names


def _in_any_language(score: Callable[[Any, Any], Scores]) -> Callable[[Any, Any, str], Scores]:
    return lambda golds, predictions, language: score(golds, predictions)


def _accuracy(golds: Any, predictions: Any) -> Scores:
    return {"accuracy": metrics.accuracy(golds, predictions)}


def _found(golds: Any, predictions: Any, language: str) -> Scores:
    """Return the share of right positions; they are those of the file's own sentences, from 0."""
    for line, position in enumerate(predictions, 1):
        if int(position) >= len(golds) > int(max(golds, key=int)):
            raise InputError(f"line {line}: {position}, but {len(golds)} sentences count from 0")
    return _accuracy(golds, predictions)


def _tydiqa(golds: Any, predictions: Any, language: str) -> Scores:
    stated = {id.partition("-")[0] for id in golds} & {*TYDIQA_NAMES.values()}
    if stated and TYDIQA_NAMES.get(language) not in stated:
        raise InputError(f"the questions are in {', '.join(sorted(stated))}, not in {language!r}")
    return metrics.answer_scores(golds, predictions)


def _mlqa(golds: Any, predictions: Any, language: str) -> Scores:
    tokens = partial(metrics.mlqa_tokens, language=language)
    return metrics.answer_scores(golds, predictions, tokens)


def _mined(golds: Any, predictions: Any, language: str) -> Scores:
    if _languages(golds) != {(language, "en")}:
        raise InputError(f"the gold pairs are not of {language!r} and 'en', in this order")
    if predictions and not _languages(predictions) <= _languages(golds):
        raise InputError("the ids are of other languages, or in another order")
    if predictions and _are_padded(golds) != _are_padded(predictions):
        raise InputError("only one of the files has ids with leading zeros, such as de-000000042")
    return metrics.pair_f1(golds, predictions)


def _languages(pairs: Sequence[metrics.Pair]) -> set[tuple[str, ...]]:
    return {tuple(id.partition("-")[0] for id in pair) for pair in pairs}


def _are_padded(pairs: Sequence[metrics.Pair]) -> bool:
    """Whether the numbers in ids have leading zeros."""
    return any(re.search(r"-0\d", id) for pair in pairs for id in pair)


def _ranked(golds: Any, predictions: Any) -> Scores:
    return {"map@20": metrics.mean_average_precision(golds, predictions)}


@dataclass(frozen=True)
class Format:
    """Format of a task's files: extension, writer, readers, scores and the task's labels."""

    extension: str
    write: Callable[[Rows, Rows, Sequence[int]], str]
    read: Callable[[Path, Labels], Any]
    score: Callable[[Any, Any, str], Scores]
    labels: Labels = ()
    read_golds: Callable[[Path, Labels], Any] | None = None  # if the gold format differs
    read_ids: Callable[[Path], list[Any]] | None = None  # if lines may state their examples
    label: str = ""

    def spellings(self) -> list[str]:
        """Return the other names of the task."""
        return [self.label]


_NLI = ("contradiction", "entailment", "neutral")
_EQUAL, _OVERLAP = map(_in_any_language, (_accuracy, metrics.answer_scores))
FORMATS: Mapping[str, Format] = {
    "xnli": Format("tsv", _labels, _read_labels, _EQUAL, _NLI),
    "pawsx": Format("tsv", _labels, _read_labels, _EQUAL, ("0", "1")),
    "udpos": Format("tsv", _tags, _read_tags, _in_any_language(metrics.pos_f1), UPOS, label="POS"),
    "panx": Format("tsv", _tags, _read_tags, _in_any_language(metrics.span_f1), NER, label="NER"),
    "xquad": Format("json", _by_id, _read_texts, _OVERLAP, read_golds=_read_answers),
    "mlqa": Format("json", _by_id, _read_texts, _mlqa, read_golds=_read_answers),
    "tydiqa": Format("json", _by_id, _read_texts, _tydiqa, read_golds=_read_answers),
    "bucc2018": Format("tsv", _pairs, _read_pairs, _mined, label="BUCC"),
    "tatoeba": Format("tsv", _positions, _read_labels, _found),
    "xcopa": Format("jsonl", _choices, _read_choices, _EQUAL, ("0", "1"), read_ids=_read_numbers),
    "mewslix": Format("json", _by_id, _read_rankings, _in_any_language(_ranked)),
}


def export(grid: Grid, model: str, recipe: str, seed: int, out: Path) -> list[Path]:
    """Write the predictions of a recipe on XTREME's targets, and return the files.

    Raise InputError if the study has no such cells, or predictions are missing.
    """
    model, _, recipe = grid.named(f"{model}.{recipe}..").removesuffix("..").partition(".")
    for kind, name, known in (
        ("model", model, [*grid.study.variants(), *grid.study.controls]),
        ("recipe", recipe, grid.recipes),
        ("seed", str(seed), dict.fromkeys(str(cell.seed) for cell in grid.cells())),
    ):
        if name not in known:
            raise InputError(f"the study has no {kind} {name!r}: {nearest(name, known)}")
    targets = [t for t in grid.study.targets if t in FORMATS]
    if not targets:
        raise InputError(f"the study has no target of XTREME; expected one of {', '.join(FORMATS)}")
    contents: dict[Path, str] = {}  # all are right before the first is written
    for target in targets:
        predictions = grid.score(Cell(model, recipe, target, seed)).predictions
        for dataset in predictions.scored:
            rows, predicted, _ = read_language(predictions, dataset)
            gaps = store.DatasetManifest.read(Path(dataset.path)).gaps
            content = FORMATS[target].write(rows, predicted, gaps)
            read_back(content, FORMATS[target], f"the predictions of {target}")
            path = out / target / f"test-{dataset.language}.{FORMATS[target].extension}"
            contents[path] = content
    for path, content in contents.items():
        store.write_text(path, content)
    return list(contents)


def read_back(content: str, format: Format, name: str) -> Any:
    """Return what XTREME's reader makes of the content of a file.

    Raise InputError for rows of other data than the benchmark's, such as the lab's.
    """
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "file"
        path.write_text(content, encoding="utf-8")
        try:
            return format.read(path, format.labels)
        except InputError as error:  # the file is not kept
            line = str(error).replace(f"{path}:", "line ")
            raise InputError(f"{name} in XTREME's form, {line}") from None


def score_files(task: str, language: str, predictions: Path, gold: Path) -> Scores:
    """Return the scores of a prediction file, by evaluate.py's names.

    A gold file has the format of the predictions; for question answering, that of the release.
    Raise InputError for an unknown task, and for files that are damaged or do not match.
    """
    name = spelled(task, FORMATS)
    if name is None:
        raise InputError(f"unknown task {task!r}: {nearest(task, FORMATS)}")
    known = spelled(language, languages())
    if known is None:
        raise InputError(f"unknown language {language!r}: {nearest(language, languages())}")
    language = known
    format = FORMATS[name]
    golds = (format.read_golds or format.read)(gold, format.labels)
    predicted = format.read(predictions, format.labels)
    ids = [format.read_ids(path) for path in (gold, predictions)] if format.read_ids else []
    try:
        if ids and ids[0] != ids[1] and None not in [*ids[0], *ids[1]]:
            raise InputError("the lines are of other examples (idx), or in another order")
        if isinstance(golds, dict) and not golds.keys() & predicted.keys():
            raise InputError("no id of the gold file has a prediction")
        return format.score(golds, predicted, language)
    except InputError as error:
        raise InputError(f"{predictions} against {gold}: {error}") from None
