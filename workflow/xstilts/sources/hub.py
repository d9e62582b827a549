"""Files whose columns a task's entry names: of a dataset on the Hub, or a user's own.

The entry names the column of each canonical field; a family turns records into rows. No dataset
needs code of its own. `split` is a `HubSplit` of the configuration, or a `FilesSplit` with columns.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, islice
from pathlib import Path
from types import UnionType
from typing import Any

from xstilts.errors import InputError
from xstilts.languages.codes import fill
from xstilts.sources import tables
from xstilts.sources.archives import opened
from xstilts.sources.records import (
    Item,
    Table,
    check_once,
    collect,
    csv,
    field,
    json_rows,
    jsonl,
    text_rows,
    tsv,
)
from xstilts.sources.words import conll
from xstilts.text import decode_json

_SPACED = ("words", "tags")  # fields that a text lists between spaces
_QUOTED = ("['", '["')  # how lists begin in Python's notation and in NumPy's
_BATCH = 1000  # rows in memory at once: a row may be an article, or BUCC's two pools


def parquet(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, record) for each row of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    number = 0
    try:
        with opened(path) as file:
            # a member of an archive cannot be read from its end
            source = file if file.seekable() else io.BytesIO(file.read())
            table = pa.parquet.ParquetFile(source)
            check_once(table.schema_arrow.names, str(path))
            records = (
                record for batch in table.iter_batches(_BATCH) for record in batch.to_pylist()
            )
            for number, record in enumerate(records, 1):
                yield f"{path}: row {number}", record
    except UnicodeDecodeError:
        raise InputError(f"{path}: a text after row {number} is not UTF-8") from None
    except OverflowError as error:  # of a date, for example
        raise InputError(f"{path}: a value after row {number} cannot be read: {error}") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not valid Parquet, or truncated: {error}") from None


def own_tsv(path: Path) -> Iterator[tuple[str, dict | None]]:
    """Yield (place, record) as `tsv`, but without the quotation marks of CSV.

    pandas and SIB-200 write a text with quotation marks as CSV does, `"She said ""no"" twice"`.
    """
    for place, record in tsv(path):
        yield place, record and {column: _unquoted(value) for column, value in record.items()}


def _unquoted(value: str) -> str:
    """Return the text of a value in quotation marks in which all others are doubled."""
    inside = value[1:-1]
    if '""' in inside and value[0] == value[-1] == '"' and '"' not in inside.replace('""', ""):
        return inside.replace('""', '"')
    return value


READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, dict | None]]]] = {
    ".parquet": parquet,
    ".jsonl": jsonl,
    ".json": json_rows,
    ".csv": csv,
    ".tsv": own_tsv,
    ".txt": text_rows,
    ".conll": conll,
}


@dataclass(frozen=True)
class Record:
    """A record of a file, read by the names of canonical fields."""

    split: Any
    values: Mapping[str, Any]
    place: str
    language: str

    @property
    def excluded(self) -> str | None:
        """Reason for which the benchmark excludes the record, if it does."""
        for column, reasons in self.split.excluded.items():
            for written in _written(field(self.values, column, object, self.place)):
                if reason := reasons.get(written):
                    return reason
        return None

    def texts(self, *names: str) -> dict[str, str]:
        """Return the text of each field, and the id if it has a column.

        A field without column is "". Raise InputError if a column is missing or holds another type.
        """
        columns = self.split.columns
        row = {
            name: field(self.values, columns[name], str, self.place) if name in columns else ""
            for name in names
        }
        if "id" in columns:
            row["id"] = str(field(self.values, columns["id"], str | int, self.place))
        return row

    def listed(self, name: str, kind: Any) -> list:
        """Return the list of a field, which may be written as text (TSV, CSV).

        Raise InputError for a value that is not of `kind`.
        """
        column = self.split.columns[name]
        if column not in self.values and self.values.get(column.rpartition(".")[0]) == []:
            return []  # of structures: an empty list does not show their fields
        given = field(self.values, column, list | str | int, self.place)
        try:
            values = _as_list(given, name, kind)
        except ValueError as error:
            raise InputError(
                f"{self.place}: column {column!r} holds {given!r:.80}: {error}"
            ) from None
        for value in values:
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise InputError(f"{self.place}: column {column!r} has {value!r} in its list")
        return values

    def _keys(self, choices: Any) -> str:
        """Return the column with the labels of choices that are texts with labels, if any.

        Raise InputError for another column that labels the choices, in another order.
        """
        if keys := self.split.columns.get("keys", ""):
            return keys
        parent, dot, _ = str(choices).rpartition(".text")
        if dot and f"{parent}.label" in self.values:
            return f"{parent}.label"
        for column, values in self.values.items():
            inside = dot and column.startswith(f"{parent}.")
            if self._are_labels(values, str | int if inside else str, choices):
                raise InputError(
                    f"{self.place}: column {column!r} holds {values}, the labels of the choices; "
                    f"write `keys: {column}` in `columns`"
                )
        return ""

    def _are_labels(self, values: Any, kind: type | UnionType, choices: Any) -> bool:
        """Whether values label as many choices, and not in the order of the split's labels."""
        listed = self.values.get(str(choices))
        if not (isinstance(values, list) and isinstance(listed, list)):
            return False
        if len(values) != len(listed) or not all(isinstance(value, kind) for value in values):
            return False
        positions = [self.split.labels.get(str(value)) for value in values]
        return None not in positions and positions != [*range(len(positions))]

    def labelled(self, *names: str) -> dict | str:
        """Return the row of an example with texts and one label, as `sources.tables` reads it."""
        columns = self.split.columns
        choices = columns.get("choices", ())
        values = self.values
        if isinstance(choices, str) and isinstance(values.get(choices), str):  # TSV, CSV
            values = {**values, choices: self.listed("choices", str)}
        layout = tables.Layout(
            text={name: columns[name] for name in names if name in columns},
            label=columns["label"],
            labels=self.split.labels,
            choices=tuple(choices) if isinstance(choices, list) else choices,
            keys=self._keys(choices),
            id=columns.get("id", ""),
            wording=self.split.wording,
        )
        return dict.fromkeys(names, "") | tables.row(layout, values, self.place)


def each(records: Iterable[Record], row: Callable[[Record], dict | str]) -> Iterator[Item]:
    """Yield one item per record: its row, or the reason for which it is excluded."""
    for record in records:
        yield record.place, record.excluded or row(record)


def kind(path: str | Path) -> str:
    """Return the ending of a file that decides how it is read: the one before `.gz`."""
    return Path(str(path).removesuffix(".gz")).suffix


def read(
    split: Any,
    items: Callable[[Iterator[Record]], Iterable[Item]],
    paths: list[Path],
    language: str,
) -> Table:
    """Return the rows of one language in `paths`, the files of a split.

    `items` is the family's `hub_items`. Raise InputError, naming file and row, for a row that
    cannot be used.
    """
    split = _with_language(split, language)
    return collect(
        islice(items(_records(split, paths, language)), split.limit),
        str(paths[0]),
        instead="without columns.id, rows are numbered",
    )


def _written(value: Any) -> list[str]:
    """Return the ways in which an entry may write a value: True or true, 2.0 or 2."""
    if value is None or isinstance(value, bool):
        return [str(value), json.dumps(value)]
    if isinstance(value, float) and value.is_integer():
        return [str(value), f"{value:.0f}"]
    return [str(value)]


def _with_language(split: Any, language: str) -> Any:
    """Return the split with the language in the names of columns and in the patterns of `only`."""
    language = split.code(language)
    columns = {
        name: [fill(part, language) for part in column]
        if isinstance(column, list)
        else fill(column, language)
        for name, column in split.columns.items()
    }
    only = {fill(column, language): fill(glob, language) for column, glob in split.only.items()}
    return split.model_copy(update={"columns": columns, "only": only})


def _records(split: Any, paths: list[Path], language: str) -> Iterator[Record]:
    """Yield the records of all files that match `only`. Raise InputError if none does."""
    empty = True
    for path in paths:
        for place, nested in _reader(split, path)(path):
            values = _flat(nested)
            if all(
                any(fnmatchcase(text, glob) for text in _written(field(values, c, object, place)))
                for c, glob in split.only.items()
            ):
                empty = False
                yield Record(split, values, place, language)
    if empty:
        raise InputError(f"{paths[0]}: no row{f' with {split.only}' if split.only else ''}")


def _reader(split: Any, path: Path) -> Callable[[Path], Iterator[tuple[str, dict | None]]]:
    """Return the reader of the split's format; on the Hub, a file's ending decides."""
    return READERS[f".{split.format}" if hasattr(split, "format") else kind(path)]


def check_columns(split: Any, path: Path, language: str) -> None:
    """Raise InputError if the first row of a file lacks a column that the split names."""
    split = _with_language(split, language)
    for place, nested in islice(_reader(split, path)(path), 1):
        values = _flat(nested)
        listed = ([c] if isinstance(c, str) else c for c in split.columns.values())
        for column in (*chain.from_iterable(listed), *split.only, *split.excluded):
            if values.get(column.rpartition(".")[0]) != []:
                field(values, column, object, place)


def _as_list(value: list | str | int, name: str, kind: Any) -> list:
    """Return a list, or the list that a text stands for.

    The text is a JSON list, or words or tags between spaces, or the only answer with its start.
    Raise ValueError for a list in another notation, such as Python's.
    """
    if not isinstance(value, str):
        return value if isinstance(value, list) else [value]
    if value.startswith("["):
        try:
            written = decode_json(value)
        except ValueError:
            written = None
        if isinstance(written, list) and all(isinstance(entry, kind) for entry in written):
            return written
        # no tag begins with [, but a word may; an answer is checked against its text
        if name == "tags" or (value.startswith(_QUOTED) and name != "answers"):
            between = f"{name} between spaces, or " if name in _SPACED else ""
            example = '["O", "O"]' if name == "tags" else '["a", "b"]'
            raise ValueError(f"expected {between}a JSON list such as {example}")
    if name in _SPACED:
        return value.split()
    if kind is int:
        return [_number(part) for part in value.split()]
    return [value] if value else []


def _number(text: str) -> int | str:
    """Return the number that a text states; another text, or a number too long, stays a text."""
    with suppress(ValueError):
        return int(text) if text.isdecimal() else text
    return text


def _translations(value: Mapping) -> list[tuple[str, str]]:
    """Return (language, text) of parallel lists, as XNLI's all_languages; [] for other values."""
    codes, texts = value.get("language"), value.get("translation")
    if len(value) != 2 or not isinstance(codes, list) or not isinstance(texts, list):
        return []
    paired = len(codes) == len(texts) == len(set(map(str, codes)))
    return list(zip(codes, texts, strict=True)) if paired else []


def _flat(record: dict) -> dict:
    """Return a record in which `answers.text` is a column, for a field inside a column.

    A list of objects with equal fields is read like an object of lists: newer releases have both.
    Of translations in a list of languages, each language is a field.
    """
    flat = {}
    for name, value in record.items():
        if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            shared = [key for key in value[0] if all(key in entry for entry in value)]
            value = {key: [entry[key] for entry in value] for key in shared}
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": content for inner, content in value.items()}
            flat |= {f"{name}.{language}": text for language, text in _translations(value)}
    return flat | record  # a column of this very name comes first
