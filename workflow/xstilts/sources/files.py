"""The source `files`: the original releases of the benchmarks, as a user has them on disk.

A task names a format, a path template per split, and options; what comes back is canonical rows.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from xstilts.errors import InputError, nearest
from xstilts.sources.records import Item
from xstilts.sources.sentences import TATOEBA_CODES, bucc, plain_text, tatoeba
from xstilts.sources.squad import TYDIQA_NAMES, passages, squad, tydiqa
from xstilts.sources.tables import LAYOUTS, tabular
from xstilts.sources.words import ccgbank, conllu, panx

# A reader takes the paths, the language and its options.
FORMATS: Mapping[str, Callable[..., Iterator[Item]]] = {
    **{name: partial(tabular, layout) for name, layout in LAYOUTS.items()},
    "squad": squad,
    "tydiqa": tydiqa,
    "passages": passages,
    "conllu": conllu,
    "panx": panx,
    "ccgbank": ccgbank,
    "tatoeba": tatoeba,
    "bucc": bucc,
    "text": plain_text,
}

_PLACEHOLDERS = {"{iso3}": TATOEBA_CODES, "{name}": TYDIQA_NAMES}


@dataclass(frozen=True)
class Table:
    """The canonical rows of one split; how many the benchmark itself excludes, by reason."""

    rows: list[dict]
    excluded: dict[str, int]
    gaps: tuple[int, ...] = ()  # positions in the release, from 0, of what is excluded


def locate(template: str | Iterable[str], root: Path, language: str) -> list[Path]:
    """The files that one or several templates, relative to `root`, name: sorted; none is [].

    `*`, `?` and `[…]` match as in a shell, `**` any depth. `{language}` becomes the language,
    `{iso3}` its three letters in Tatoeba, `{name}` its English name in TyDiQA.
    Raises InputError for an absolute template, and a language without such a code.
    """
    templates = [template] if isinstance(template, str) else template
    found = {path for one in templates for path in _locate(one, root, language)}
    return sorted(found, key=lambda path: (path.name, path))


def _locate(template: str, root: Path, language: str) -> Iterator[Path]:
    if not template or Path(template).is_absolute():
        raise InputError(f"path {template!r}: expected a path relative to {root}")
    pattern = template.replace("{language}", language)
    for placeholder, names in _PLACEHOLDERS.items():
        if placeholder in pattern:
            if placeholder == "{iso3}" and len(language) == 3:
                names = {language: language}  # already such a code, of a language without two
            if language not in names:
                hint = nearest(language, names)
                raise InputError(f"path {template!r}: no {placeholder} for {language!r}; {hint}")
            pattern = pattern.replace(placeholder, names[language])
    return (path for path in root.glob(pattern) if path.is_file())


def read(
    format: str, paths: list[Path], language: str, *, number_ids: bool = False, **options
) -> Table:
    """The rows of one language in `paths`, which are files of one split in a format of FORMATS.

    Rows keep the id of the release, if it has one; else, or with `number_ids` (for a release that
    repeats ids), it is the number of the row, from 0.
    Raises InputError for every row that cannot be used, naming file and line.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; {nearest(format, FORMATS)}")
    reader = FORMATS[format]
    known = set(inspect.signature(reader).parameters) - {"paths", "language"} | {"number_ids"}
    for option in options.keys() - known:
        raise InputError(f"format {format}: unknown option {option!r}; {nearest(option, known)}")
    if not paths:
        raise InputError(f"format {format}: no file for language {language!r}")

    rows: list[dict] = []
    excluded: Counter[str] = Counter()
    gaps: list[int] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(reader(paths, language, **options)):
        if isinstance(row, str):
            excluded[row] += 1
            gaps.append(number)
            continue
        if number_ids and "match" in row:
            raise InputError(f"format {format}: number_ids would lose which sentences are a pair")
        id = str(number) if number_ids else row.get("id", str(number))
        if id in places:
            raise InputError(
                f"{place}: id {id!r} again, after {places[id]}"
                " (number_ids: true numbers the rows instead)"
            )
        places[id] = place
        rows.append(row | {"id": id})
    if not rows:
        raise InputError(f"{paths[0]}: no row is left, excluded: {dict(excluded)}")
    return Table(rows, dict(excluded), tuple(gaps))
