"""Releases with one example per row; a new release is an entry in LAYOUTS."""

import dataclasses
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path

from xstilts.errors import InputError, nearest
from xstilts.languages.names import languages
from xstilts.sources.records import Item, csv, field, jsonl, known, tsv


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Columns of one release, and the meaning of their values."""

    text: dict[str, str]  # canonical field -> column
    label: str  # column
    # release's label -> canonical label, or index of the choice; empty: unchanged
    labels: dict[str, str | int]
    choices: tuple[str, ...] | str = ()  # a column per choice, or the column that lists them
    keys: str = ""  # column that lists the labels of the choices, one of which is the right one
    records: Callable[[Path], Iterator[tuple[str, dict | None]]] = tsv
    id: str = ""  # column; without it, rows are numbered
    language: str = ""  # column, if one file holds all languages
    excluded_labels: dict[str, str] = dataclasses.field(default_factory=dict)  # label -> reason
    excluded_texts: dict[str, str] = dataclasses.field(default_factory=dict)  # whole text -> reason
    wording: dict[str, str] = dataclasses.field(default_factory=dict)  # field -> text around {}


def tabular(
    layout: Layout, paths: list[Path], language: str, labelled: bool = True
) -> Iterator[Item]:
    """Yield items of the family choose if the layout has choices, otherwise of the family classify.

    If not `labelled`, the label column is not read, and labels are -1 (choose) or "" (classify).
    Empty texts are kept: QQP has a few.
    """
    found = set()
    for path in paths:
        for place, record in layout.records(path):
            if record is None:
                yield place, "row broken over two lines"
                continue
            if layout.language:
                stated = field(record, layout.language, str, place).strip()
                found.add(stated)
                if stated != language:
                    continue
            yield place, row(layout, record, place, labelled)
    if layout.language and language not in found:
        raise InputError(f"{paths[0]}: no row in {language!r}; {nearest(language, found)}")


def translated(
    layout: Layout, paths: list[Path], language: str, portion: str | None = None
) -> Iterator[Item]:
    """Yield the items of a release with the same rows in each language's `*.{language}.tsv`.

    `portion` "a" or "b" selects one of two halves that share no English premise in any language;
    it needs the English file among `paths`. Raise InputError if all of several files are those of
    other languages.
    """
    files = {path.stem.rpartition(".")[2]: path for path in paths}
    if portion is None:
        others = sorted(files.keys() & languages().keys())
        if len(paths) > 1 and others and language not in files:
            raise InputError(f"{paths[0]}: no file in {language!r}; {nearest(language, others)}")
        yield from tabular(layout, [files[language]] if language in files else paths, language)
        return
    if portion not in ("a", "b"):
        raise InputError(f"portion {portion!r}: expected 'a' or 'b'")
    for code in (language, "en"):
        if code not in files:
            raise InputError(f"{paths[0]}: `portion` needs the file *.{code}.tsv next to it")
    premise = layout.text["text_a"]
    for pair in zip_longest(layout.records(files[language]), layout.records(files["en"])):
        if None in pair:
            raise InputError(
                f"{files[language]} and {files['en']} differ in their number of rows (is one "
                "truncated?)"
            )
        (place, record), (english_place, english) = pair
        checksum = zlib.crc32(field(english, premise, str, english_place).encode())
        if "ab"[checksum % 2] == portion:
            yield place, row(layout, record, place)
        else:
            yield place, "in the other portion"


def row(layout: Layout, record: dict, place: str, labelled: bool = True) -> dict | str:
    """Return the canonical row of a record, or the reason for which the benchmark excludes it."""
    texts = {name: field(record, column, str, place) for name, column in layout.text.items()}
    for value in texts.values():
        if value in layout.excluded_texts:
            return layout.excluded_texts[value]
    for name in layout.wording:
        if not texts[name].strip():
            raise InputError(f"{place}: column {layout.text[name]!r} is empty")
    texts |= {name: wording.format(texts[name]) for name, wording in layout.wording.items()}
    id = {"id": str(field(record, layout.id, str | int, place))} if layout.id else {}

    label = -1 if layout.choices else ""
    if labelled:
        given = str(field(record, layout.label, str | int, place)).strip()
        if given in ("True", "False") and given.lower() in layout.labels:
            given = given.lower()  # as JSON and Parquet files write it
        if not given:
            raise InputError(f"{place}: column {layout.label!r} is empty; expected a label")
        if given in layout.excluded_labels:
            return layout.excluded_labels[given]
        label = _label(layout, given, record, place)
    if not layout.choices:
        return id | texts | {"label": label}

    choices = _choices(layout, record, place)
    if len(choices) < 2:
        raise InputError(f"{place}: {choices}: expected two choices or more")
    if label >= len(choices):
        raise InputError(f"{place}: the label is choice {label + 1} of only {len(choices)}")
    return id | {"context": "", "question": ""} | texts | {"choices": choices, "label": label}


def _label(layout: Layout, given: str, record: dict, place: str) -> str | int:
    """Return the canonical label, or the position of the choice whose label is `given`."""
    if layout.keys:
        keys = [str(key) for key in field(record, layout.keys, list, place)]
        if len(set(keys)) < len(keys) or len(keys) != len(_choices(layout, record, place)):
            raise InputError(f"{place}: {layout.keys} {keys}: expected a label for each choice")
        if given in keys or not layout.labels.keys().isdisjoint(keys):
            return keys.index(known(given, keys, place))
    return layout.labels[known(given, layout.labels, place)] if layout.labels else given


def _choices(layout: Layout, record: dict, place: str) -> list[str]:
    if isinstance(layout.choices, tuple):
        return [field(record, column, str, place) for column in layout.choices]
    choices = field(record, layout.choices, list, place)
    if not all(isinstance(choice, str) for choice in choices):
        raise InputError(f"{place}: column {layout.choices!r} holds {choices}, expected texts")
    return choices


def _commonsenseqa(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield records with the nested question flattened."""
    for place, record in jsonl(path):
        question = field(record, "question", dict, place)
        choices = field(question, "choices", list, place)
        flat = {
            "stem": field(question, "stem", str, place),
            "choices": [field(choice, "text", str, place) for choice in choices],
            "keys": [field(choice, "label", str, place) for choice in choices],
        }
        yield place, record | flat


def _same(*labels: str) -> dict[str, str]:
    return {label: label for label in labels}


_NLI = _same("entailment", "neutral", "contradiction")
_CONTRADICTORY = {"contradictory": "contradiction"}  # in XNLI and its translations
_NO_CONSENSUS = {"-": "no gold label: the annotators disagree"}
_SENTENCES = {"text_a": "sentence1", "text_b": "sentence2"}

LAYOUTS = {
    "glue-mnli": Layout(
        id="index",
        text=_SENTENCES,
        label="gold_label",
        labels=_NLI,
        excluded_labels=_NO_CONSENSUS,
    ),
    # GLUE's own files have some questions with a line end in them; its loaders skip those rows.
    "glue-qqp": Layout(
        records=partial(tsv, ragged=True),
        id="id",
        text={"text_a": "question1", "text_b": "question2"},
        label="is_duplicate",
        labels=_same("0", "1"),
    ),
    # MultiNLI 1.0 and SNLI 1.0
    "nli-jsonl": Layout(
        records=jsonl,
        id="pairID",
        text=_SENTENCES,
        label="gold_label",
        labels=_NLI,
        excluded_labels=_NO_CONSENSUS,
    ),
    "anli": Layout(
        records=jsonl,
        id="uid",
        text={"text_a": "context", "text_b": "hypothesis"},
        label="label",
        labels={"e": "entailment", "n": "neutral", "c": "contradiction"},
    ),
    "xnli": Layout(
        id="pairID",
        language="language",
        text=_SENTENCES,
        label="gold_label",
        labels=_NLI | _CONTRADICTORY,
    ),
    "pawsx": Layout(
        id="id",
        text=_SENTENCES,
        label="label",
        labels=_same("0", "1"),
        # The authors ask to remove these (README of PAWS-X).
        excluded_texts={"NS": "placeholder NS in place of a translation"},
    ),
    "hellaswag": Layout(
        records=jsonl,
        id="ind",
        text={"context": "ctx"},
        choices="endings",
        label="label",
        labels={"0": 0, "1": 1, "2": 2, "3": 3},
    ),
    "cosmosqa": Layout(
        records=csv,
        id="id",
        text={"context": "context", "question": "question"},
        choices=("answer0", "answer1", "answer2", "answer3"),
        label="label",
        labels={"0": 0, "1": 1, "2": 2, "3": 3},
    ),
    "commonsenseqa": Layout(
        records=_commonsenseqa,
        id="id",
        text={"question": "stem"},
        choices="choices",
        keys="keys",
        label="answerKey",
        labels={"A": 0, "B": 1, "C": 2, "D": 3, "E": 4},
    ),
    "siqa": Layout(
        records=jsonl,
        text={"context": "context", "question": "question"},
        choices=("answerA", "answerB", "answerC"),
        label="correct",
        labels={"A": 0, "B": 1, "C": 2},
    ),
    # COPA (SuperGLUE) and XCOPA; the question is the word "cause" or "effect", which XTREME-R's
    # models read in an English sentence, in every language
    "copa": Layout(
        records=jsonl,
        id="idx",
        text={"context": "premise", "question": "question"},
        wording={"question": "What was the {}?"},
        choices=("choice1", "choice2"),
        label="label",
        labels={"0": 0, "1": 1},
    ),
}

# MultiNLI in 15 languages, machine-translated (XNLI-MT 1.0)
XNLI_MT = Layout(
    text={"text_a": "premise", "text_b": "hypo"},
    label="label",
    labels=_NLI | _CONTRADICTORY,
)
