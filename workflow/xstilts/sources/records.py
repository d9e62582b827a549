"""Text, TSV, CSV and JSON files as records; an error message names file and line."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from csv import Error as CsvError
from csv import field_size_limit
from csv import reader as csv_reader
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import UnionType
from typing import Any, BinaryIO

from xstilts.errors import InputError, nearest
from xstilts.sources.archives import opened
from xstilts.text import decode_json

# Place in the file, for messages, and a canonical row; or a string, the reason for which the
# benchmark itself excludes the row.
Item = tuple[str, dict | str]

_LISTED = 20  # columns in a message
_PAGE = re.compile(r"\ufeff?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_SPACED_QUOTE = re.compile(r',[ \t]+"(?=[^",\r\n])')  # inside of quotation marks, they are doubled


@dataclass(frozen=True)
class Table:
    """Canonical rows of one split, and how many rows the benchmark excludes, by reason."""

    rows: list[dict]
    excluded: dict[str, int]
    gaps: tuple[int, ...] = ()  # positions of excluded rows in the release, from 0


def collect(
    items: Iterable[Item],
    where: str,
    number_ids: bool = False,
    instead: str = "number_ids: true numbers the rows instead",
) -> Table:
    """Return a table of items with unique ids; messages name `where` and advise `instead`.

    Rows keep the release's ids. Without ids, or with `number_ids`, the id is the number of the row,
    from 0. Raise InputError for a repeated id, for rows with different numbers of choices (they
    could not share a batch), and if no row is left.
    """
    rows: list[dict] = []
    excluded: Counter[str] = Counter()
    gaps: list[int] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(items):
        if isinstance(row, str):
            excluded[row] += 1
            gaps.append(number)
            continue
        if number_ids and "match" in row:
            raise InputError(f"{place}: number_ids would lose which sentences are a pair")
        id = str(number) if number_ids else row.get("id", str(number))
        if not id.strip():
            raise InputError(f"{place}: the id is empty ({instead})")
        if id in places:
            raise InputError(f"{place}: id {id!r} is repeated; first in {places[id]} ({instead})")
        places[id] = place
        if rows and len(row.get("choices", ())) != len(rows[0].get("choices", ())):
            raise InputError(
                f"{place}: {len(row['choices'])} choices, "
                f"but {len(rows[0]['choices'])} in the rows before"
            )
        rows.append(row | {"id": id})
    if not rows:
        why = f", excluded: {dict(excluded)}" if excluded else "; the file has none"
        raise InputError(f"{where}: no row is left{why}")
    return Table(rows, dict(excluded), tuple(gaps))


def text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without byte order mark; `.gz` is decompressed."""
    with opened(path) as file:
        return "".join(line for _, line in _decoded(path, file))


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, line) for each line, without its LF or CRLF; reads one line at a time.

    Only LF ends a line: `str.splitlines` also splits at U+2028 and other characters in sentences.
    """
    with opened(path) as file:
        for place, line in _decoded(path, file):
            content = line.removesuffix("\n").removesuffix("\r")
            if "\r" in content and not line.endswith("\n") and place == f"{path}:1":
                raise InputError(f"{place}: only CR ends lines; convert the line ends to LF")
            yield place, content


def _decoded(path: Path, file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield (place, line with its end); blank lines are held back until another line follows."""
    held: list[tuple[str, str]] = []
    is_empty, position = True, 0
    for number, data in enumerate(file, 1):
        try:
            line = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}:{number}: not UTF-8 (byte {position + error.start} of the file); convert "
                "it to UTF-8"
            ) from None
        position += len(data)
        if "\0" in line:
            raise InputError(f"{path}:{number}: a zero byte: the file is damaged, or not UTF-8")
        if number == 1 and _PAGE.match(line):
            raise InputError(
                f"{path}:1: a page of HTML, as a failed download leaves; download the file again"
            )
        held.append((f"{path}:{number}", line.removeprefix("\ufeff") if number == 1 else line))
        if not is_empty or data.strip():
            is_empty = False
            yield from held
            held.clear()
    if is_empty:
        raise InputError(f"{path}: the file is empty")


def blocks(path: Path) -> Iterator[list[tuple[str, str]]]:
    """Yield the runs of (place, line) between blank lines."""
    for is_text, block in groupby(lines(path), key=lambda row: bool(row[1].strip())):
        if is_text:
            yield list(block)


def tsv(path: Path, ragged: bool = False) -> Iterator[tuple[str, dict | None]]:
    """Yield (place, record) for each row below the header; quotation marks have no special meaning.

    A row with another number of columns is an error, or None if the release is `ragged`.
    """
    return _table(((place, line.split("\t")) for place, line in lines(path)), ragged)


def csv(path: Path) -> Iterator[tuple[str, dict | None]]:
    """Yield (place, record) for each row below the header; quoted values may contain line ends."""
    return _table(_csv_rows(path))


def _csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    field_size_limit(2**31 - 1)  # an article may be longer than the default of 128 kB
    content = text(path)
    if spaced := _SPACED_QUOTE.search(content):
        line = content.count("\n", 0, spaced.start()) + 1
        raise InputError(f"{path}:{line}: a space before a quotation mark; delete the space")
    reader = csv_reader(io.StringIO(content, newline=""), strict=True)
    line = 1
    try:
        for values in reader:
            yield f"{path}:{line}", values
            line = reader.line_num + 1
    except CsvError as error:
        raise InputError(f"{path}:{line}: not valid CSV, or truncated: {error}") from None


def _table(
    rows: Iterator[tuple[str, list[str]]], ragged: bool = False
) -> Iterator[tuple[str, dict | None]]:
    place, columns = next(rows)
    check_once(columns, place)
    for place, values in rows:
        if len(values) == len(columns):
            yield place, dict(zip(columns, values, strict=True))
        elif ragged:
            yield place, None
        elif len(values) > 1 or "".join(values).strip():  # else a blank line
            raise InputError(
                f"{place}: {len(values)} columns, expected {len(columns)} as in the header"
                " (is the file truncated?)"
            )


def check_once(columns: Iterable[str], place: str) -> None:
    """Raise InputError if a column is given twice."""
    repeated = [name for name, count in Counter(columns).items() if name and count > 1]
    if repeated:
        raise InputError(f"{place}: column {repeated[0]!r} is given twice; rename one of them")


def jsonl(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, record) for each line, which holds one JSON object."""
    for place, line in lines(path):
        if line.strip():
            yield place, parse(line, place)


def json_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, record) for each object of a JSON array, or of each line."""
    content = text(path)
    if not content.lstrip().startswith("["):
        with suppress(ValueError):
            if "\n" in content.strip() and isinstance(decode_json(content), dict):
                raise InputError(
                    f"{path}: one JSON object; expected an array of rows, or a row per line"
                )
        yield from jsonl(path)
        return
    for number, record in enumerate(decode(content, str(path)), 1):
        yield f"{path}: row {number}", json_object(record, f"{path}: row {number}")


def text_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, record) for each line, in the column `text`."""
    return ((place, {"text": line}) for place, line in lines(path))


def document(path: Path) -> dict:
    """Return the JSON object of a file."""
    return parse(text(path), str(path))


def parse(source: str, place: str) -> dict:
    """Return the JSON object in a text. Raise InputError naming the place if it holds none."""
    return json_object(decode(source, place), place)


def decode(source: str, place: str) -> Any:
    """Return the value of JSON text. Raise InputError naming the place if it is not valid."""
    try:
        return decode_json(source, unique=True)
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None


def json_object(value: Any, place: str) -> dict:
    """Return `value`. Raise InputError naming the place if it is no JSON object."""
    if not isinstance(value, dict):
        raise InputError(f"{place}: expected a JSON object, found {type(value).__name__}")
    return value


def field(record: Any, name: str, kind: type | UnionType, place: str) -> Any:
    """Return `record[name]`. Raise InputError if it is missing or not of `kind`."""
    names = record if isinstance(record, dict) else ()
    if name not in names:
        hint = nearest(name, names)
        listed = ", ".join([*map(str, names)][:_LISTED]) + (", …" if len(names) > _LISTED else "")
        # the nearest name may be the wrong one
        columns = "" if hint.startswith("valid:") else f" Its columns: {listed}"
        raise InputError(f"{place}: no column {name!r}; {hint}{columns}")
    value = record[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        expected = getattr(kind, "__name__", kind)
        raise InputError(f"{place}: column {name!r} holds {value!r}, expected {expected}")
    return value


def known(label: str, labels: Iterable[str], place: str) -> str:
    """Return `label`. Raise InputError if it is not among `labels`."""
    if label not in labels:
        raise InputError(f"{place}: unknown label {label!r}; valid: {', '.join(sorted(labels))}")
    return label


def check_language(stated: str, language: str, place: str) -> None:
    """Raise InputError if a file states another language than that which is read."""
    if stated != language:
        raise InputError(f"{place}: the file states language {stated!r}, expected {language!r}")
