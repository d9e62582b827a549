"""The source `hub`: files of a data set on the Hub, as the fetch phase left them, into rows.

A task says which column fills which canonical field; there is no code per data set.
"""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xstilts.errors import InputError
from xstilts.origins import HubSplit
from xstilts.sources import tables
from xstilts.sources.languages import fill
from xstilts.sources.records import Item, Table, collect, field, jsonl, known
from xstilts.sources.squad import check_answer


def parquet(path: Path) -> Iterator[tuple[str, dict]]:
    """(place, record) of each row of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        batches = pa.parquet.ParquetFile(path).iter_batches()
        records = (record for batch in batches for record in batch.to_pylist())
        for number, record in enumerate(records, 1):
            yield f"{path}: row {number}", record
    except pa.ArrowException as error:
        raise InputError(f"{path}: not valid Parquet, or cut: {error}") from None


READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, dict]]]] = {
    ".parquet": parquet,
    ".jsonl": jsonl,
    ".json": jsonl,
}


def read(spec: HubSplit, family: str, paths: list[Path], language: str) -> Table:
    """The rows of one language in `paths`, the files of `spec` for a task of `family`.

    Raises InputError for every row that cannot be used, naming file and row.
    """
    items = _items(_filled(spec, language), ROWS[family], paths)
    return collect(items, str(paths[0]), instead="without columns.id, rows are numbered")


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


def _items(
    spec: HubSplit, row: Callable[[HubSplit, dict, str], dict], paths: list[Path]
) -> Iterator[Item]:
    found = False
    for path in paths:
        for place, nested in READERS[path.suffix](path):
            record = _flat(nested)
            if not all(
                fnmatchcase(str(field(record, column, object, place)), glob)
                for column, glob in spec.only.items()
            ):
                continue
            found = True
            yield place, _excluded(spec, record, place) or row(spec, record, place)
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


def _choice(spec: HubSplit, record: dict, place: str) -> dict:
    return _tabular(spec, record, place, ("context", "question"))


def _class(spec: HubSplit, record: dict, place: str) -> dict:
    return _tabular(spec, record, place, ("text_a", "text_b"))


def _tabular(spec: HubSplit, record: dict, place: str, texts: tuple[str, ...]) -> dict:
    columns = spec.columns
    choices = columns.get("choices", ())
    layout = tables.Layout(
        text={name: columns[name] for name in texts if name in columns},
        label=columns["label"],
        labels=spec.labels,
        choices=tuple(choices) if isinstance(choices, list) else choices,
        id=columns.get("id", ""),
    )
    return dict.fromkeys(texts, "") | tables.row(layout, record, place)


def _tagged(spec: HubSplit, record: dict, place: str) -> dict:
    words = _list(spec, record, "words", str, place)
    tags = [str(tag) for tag in _list(spec, record, "tags", str | int, place)]
    if len(words) != len(tags) or not words:
        raise InputError(f"{place}: {len(words)} words and {len(tags)} tags")
    if spec.labels:
        tags = [spec.labels[known(tag, spec.labels, place)] for tag in tags]
    return _texts(spec, record, place, ()) | {"words": words, "tags": tags}


def _answered(spec: HubSplit, record: dict, place: str) -> dict:
    row = _texts(spec, record, place, ("context", "question"))
    answers = _list(spec, record, "answers", str, place)
    starts = _list(spec, record, "starts", int, place)
    if len(answers) != len(starts):
        raise InputError(f"{place}: {len(answers)} answers and {len(starts)} offsets")
    for answer, start in zip(answers, starts, strict=True):
        check_answer(answer, start, row["context"], place)
    return row | {"answers": answers, "starts": starts}


def _texts(
    spec: HubSplit, record: dict, place: str, names: tuple[str, ...] = ("text", "text_b")
) -> dict:
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


# Each family: (split, record, place) -> the canonical row.
ROWS: Mapping[str, Callable[[HubSplit, dict, str], dict]] = {
    "classify": _class,
    "choose": _choice,
    "tag": _tagged,
    "answer": _answered,
    "mask": _texts,
}
