"""The source `hub`: files of a data set on the Hub, as the fetch phase left them, into rows.

A task says which column fills which canonical field; there is no code per data set.
"""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from xstilts.config.origins import HubSplit
from xstilts.errors import InputError
from xstilts.languages.codes import fill
from xstilts.sources import tables, words
from xstilts.sources.records import (
    Item,
    Table,
    collect,
    csv,
    field,
    json_rows,
    jsonl,
    known,
    text_rows,
    tsv,
)
from xstilts.sources.sentences import pools
from xstilts.sources.squad import check_answer

_BATCH = 1000  # rows in memory at a time: whole articles of an encyclopedia, or BUCC's pools


def parquet(path: Path) -> Iterator[tuple[str, dict]]:
    """(place, record) of each row of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        batches = pa.parquet.ParquetFile(path).iter_batches(_BATCH)
        records = (record for batch in batches for record in batch.to_pylist())
        for number, record in enumerate(records, 1):
            yield f"{path}: row {number}", record
    except pa.ArrowException as error:
        raise InputError(f"{path}: not valid Parquet, or cut: {error}") from None


READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, dict | None]]]] = {
    ".parquet": parquet,
    ".jsonl": jsonl,
    ".json": json_rows,
    ".csv": csv,
    ".tsv": tsv,
    ".txt": text_rows,
}
Records = Iterator[tuple[str, dict]]


def kind(path: str | Path) -> str:
    """The ending of a file that says how to read it: that before `.gz`."""
    return Path(str(path).removesuffix(".gz")).suffix


def read(spec: HubSplit, family: str, paths: list[Path], language: str) -> Table:
    """The rows of one language in `paths`, the files of `spec` for a task of `family`.

    Raises InputError for every row that cannot be used, naming file and row.
    """
    spec = _filled(spec, language)
    items = ROWS[family](spec, _records(spec, paths), language)
    return collect(
        islice(items, spec.limit), str(paths[0]), instead="without columns.id, rows are numbered"
    )


def _filled(spec: HubSplit, language: str) -> HubSplit:
    """The split with the language in the names of columns, and in what `only` looks for."""
    columns = {
        name: [fill(each, language) for each in column]
        if isinstance(column, list)
        else fill(column, language)
        for name, column in spec.columns.items()
    }
    only = {fill(column, language): fill(glob, language) for column, glob in spec.only.items()}
    return spec.model_copy(update={"columns": columns, "only": only})


def _records(spec: HubSplit, paths: list[Path]) -> Records:
    """The rows of all files that `only` lets through."""
    found = False
    for path in paths:
        for place, nested in READERS[kind(path)](path):
            record = _flat(nested)
            if all(
                fnmatchcase(str(field(record, column, object, place)), glob)
                for column, glob in spec.only.items()
            ):
                found = True
                yield place, record
    if not found:
        raise InputError(f"{paths[0]}: no row{f' with {spec.only}' if spec.only else ''}")


def _flat(record: dict) -> dict:
    """A record with `answers.text` for a field inside of a column, beside the column."""
    flat = dict(record)
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": content for inner, content in value.items()}
    return flat


def _excluded(spec: HubSplit, record: dict, place: str) -> str | None:
    for column, reasons in spec.excluded.items():
        if reason := reasons.get(str(field(record, column, object, place))):
            return reason
    return None


def _each(row: Callable[[HubSplit, dict, str, str], dict | str]):
    """Items of a family whose examples are a row each."""

    def items(spec: HubSplit, records: Records, language: str) -> Iterator[Item]:
        for place, record in records:
            yield place, _excluded(spec, record, place) or row(spec, record, place, language)

    return items


def _choice(spec: HubSplit, record: dict, place: str, language: str) -> dict | str:
    return _tabular(spec, record, place, ("context", "question"))


def _class(spec: HubSplit, record: dict, place: str, language: str) -> dict | str:
    return _tabular(spec, record, place, ("text_a", "text_b"))


def _tabular(spec: HubSplit, record: dict, place: str, texts: tuple[str, ...]) -> dict | str:
    columns = spec.columns
    choices = columns.get("choices", ())
    layout = tables.Layout(
        text={name: columns[name] for name in texts if name in columns},
        label=columns["label"],
        labels=spec.labels,
        choices=tuple(choices) if isinstance(choices, list) else choices,
        id=columns.get("id", ""),
        wording=spec.wording,
    )
    return dict.fromkeys(texts, "") | tables.row(layout, record, place)


def _tagged(spec: HubSplit, record: dict, place: str, language: str) -> dict | str:
    found = _list(spec, record, "words", str, place)
    tags = [str(tag) for tag in _list(spec, record, "tags", str | int, place)]
    if len(found) != len(tags) or not found:
        raise InputError(f"{place}: {len(found)} words and {len(tags)} tags")
    if spec.labels:
        tags = [spec.labels[known(tag, spec.labels, place)] for tag in tags]
    row = _fused(spec, record, place, language, found, tags) if "fused" in spec.columns else {}
    if isinstance(row, str):
        return row
    return _texts(spec, record, place, ()) | {"words": found, "tags": tags} | row


def _fused(
    spec: HubSplit, record: dict, place: str, language: str, found: list[str], tags: list[str]
) -> dict | str:
    """Surface words of a treebank's row, as `words.conllu` makes them of a file."""
    heads = [str(head) for head in _list(spec, record, "heads", object, place)]
    if len(heads) != len(found):
        raise InputError(f"{place}: {len(found)} words and {len(heads)} heads")
    parts = [
        words.Part(form, known(tag, words.UPOS, place), int(head) if head.isdecimal() else 0)
        for form, tag, head in zip(found, tags, heads, strict=True)
    ]
    spans = {}
    for token in _list(spec, record, "fused", dict, place):
        first, _, last = words.number(field(token, "id", str, place), place)
        spans[first] = (last, field(token, "form", str, place))
    return words.surface(parts, spans, language, place)


def _answered(spec: HubSplit, record: dict, place: str, language: str) -> dict:
    row = _texts(spec, record, place, ("context", "question"))
    answers = _list(spec, record, "answers", str, place)
    starts = _list(spec, record, "starts", int, place)
    if len(answers) != len(starts):
        raise InputError(f"{place}: {len(answers)} answers and {len(starts)} offsets")
    for answer, start in zip(answers, starts, strict=True):
        check_answer(answer, start, row["context"], place)
    return row | {"answers": answers, "starts": starts}


def _lines(spec: HubSplit, records: Records, language: str) -> Iterator[Item]:
    """Items of texts; with `lines`, of each of their lines that is not blank."""
    for place, record in records:
        row = _excluded(spec, record, place) or _texts(spec, record, place, ("text", "text_b"))
        if not spec.lines or isinstance(row, str):
            yield place, row
            continue
        for line in row["text"].split("\n"):
            if line.strip():
                yield place, {"text": line.strip(), "text_b": ""}


def _mined(spec: HubSplit, records: Records, language: str) -> Iterator[Item]:
    """Items of pairs of sentences, a row each, or of two pools and which of them are pairs.

    The id of a sentence is its number on its side, from 0, with the language before it.
    """
    foreign, english, gold = [], [], []
    for place, record in records:
        if "pairs" in spec.columns:
            sides = [_list(spec, record, name, str, place) for name in ("foreign", "english")]
            pairs = _list(spec, record, "pairs", list, place)
        else:
            texts = _texts(spec, record, place, ("foreign", "english"))
            sides, pairs = [[texts["foreign"]], [texts["english"]]], [[1, 1]]
        starts = len(foreign), len(english)
        for pair in pairs:
            if len(pair) != 2 or not all(isinstance(number, int) for number in pair):
                raise InputError(f"{place}: {pair} is no pair of numbers")
            f, e = (start + number - 1 for start, number in zip(starts, pair, strict=True))
            gold.append((place, f"{language}-{f}", f"en-{e}"))
        for code, side, sentences in ((language, foreign, sides[0]), ("en", english, sides[1])):
            side += [(place, f"{code}-{len(side) + n}", text) for n, text in enumerate(sentences)]
    return pools(foreign, english, gold)


def _texts(spec: HubSplit, record: dict, place: str, names: tuple[str, ...]) -> dict:
    row = {
        name: field(record, spec.columns[name], str, place) if name in spec.columns else ""
        for name in names
    }
    if "id" in spec.columns:
        row["id"] = str(field(record, spec.columns["id"], str | int, place))
    return row


def _list(spec: HubSplit, record: dict, name: str, kind: Any, place: str) -> list:
    column = spec.columns[name]
    values = field(record, column, list, place)
    for value in values:
        if not isinstance(value, kind):
            raise InputError(f"{place}: column {column!r} has {value!r} in its list")
    return values


# Each family: (split, its records, language) -> items.
ROWS: Mapping[str, Callable[[HubSplit, Records, str], Iterator[Item]]] = {
    "classify": _each(_class),
    "choose": _each(_choice),
    "tag": _each(_tagged),
    "answer": _each(_answered),
    "mask": _lines,
    "mine": _mined,
}
