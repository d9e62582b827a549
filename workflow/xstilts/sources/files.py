"""The source `files`: original releases of the benchmarks, and a user's own files, on disk.

A task's entry names a format, a path template per split and options; `read` returns canonical
rows.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from pathlib import Path

from xstilts.errors import InputError, nearest
from xstilts.languages.codes import fill
from xstilts.sources import archives, mewslix
from xstilts.sources.checklist import checklist
from xstilts.sources.records import Item, Table, collect
from xstilts.sources.sentences import bucc, plain_text, tatoeba
from xstilts.sources.squad import passages, squad, tydiqa
from xstilts.sources.tables import LAYOUTS, XNLI_MT, tabular, translated
from xstilts.sources.words import ccgbank, conllu, panx

# A reader takes the paths, the language and its options.
FORMATS: Mapping[str, Callable[..., Iterator[Item]]] = {
    **{name: partial(tabular, layout) for name, layout in LAYOUTS.items()},
    "xnli-mt": partial(translated, XNLI_MT),
    "squad": squad,
    "tydiqa": tydiqa,
    "passages": passages,
    "mewslix": mewslix.mentions,
    "mewslix-pairs": mewslix.pairs,
    "mewslix-entities": mewslix.entities,
    "checklist": checklist,
    "conllu": conllu,
    "panx": panx,
    "ccgbank": ccgbank,
    "tatoeba": tatoeba,
    "bucc": bucc,
    "text": plain_text,
}


# Formats of a user's own files; the split names their columns, as on the Hub.
OWN = ("tsv", "csv", "jsonl", "parquet", "conll")
_FAMILIES = {
    **{name: "choose" if layout.choices else "classify" for name, layout in LAYOUTS.items()},
    "xnli-mt": "classify",
    **dict.fromkeys(("squad", "tydiqa", "checklist"), "answer"),
    **dict.fromkeys(("conllu", "panx", "ccgbank"), "tag"),
    **dict.fromkeys(("tatoeba", "bucc"), "mine"),
    "text": "mask",
}
_EXPECTED = {bool: "true or false", int: "a whole number", str: "text in quotes"}  # of options


def check_format(format: str, options: Mapping[str, object], family: str) -> None:
    """Raise InputError for an unknown format or option, or a format of another family."""
    if format not in OWN:
        check_options(format, options)
        of = _FAMILIES.get(format, "retrieve")
        if of != family:
            suitable = [name for name in FORMATS if _FAMILIES.get(name, "retrieve") == family]
            raise InputError(
                f"format: {format} is of family {of}, the task of family {family}; expected "
                f"{', '.join((*suitable, *OWN))}"
            )
    elif options:
        raise InputError(f"options: format {format} has none; it has `columns`")


@cache
def _options(format: str) -> dict[str, inspect.Parameter]:
    """Return the options of a format of FORMATS, with their types and defaults, by name."""
    numbered = inspect.signature(read).parameters["number_ids"]
    known = {**inspect.signature(FORMATS[format]).parameters, "number_ids": numbered}
    return {name: option for name, option in known.items() if name not in ("paths", "language")}


def check_options(format: str, options: Mapping[str, object]) -> None:
    """Raise InputError for an unknown format, and an option that is unknown or of another type."""
    if format not in FORMATS:
        known = (*OWN, *FORMATS)
        raise InputError(f"format: unknown format {format!r}; {nearest(format, known)}")
    known = _options(format)
    for name, value in options.items():
        if name not in known:
            hint = nearest(name, known)
            raise InputError(f"options: format {format}: unknown option {name!r}; {hint}")
        kind = known[name].annotation
        if kind in _EXPECTED and type(value) is not kind:  # such as "false" for false
            expected = _EXPECTED[kind]
            raise InputError(f"options.{name}: {value!r} is not allowed; expected {expected}")


def without_defaults(format: str, options: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a format that differ from its defaults."""
    known = _options(format) if format in FORMATS else {}
    return {
        name: value
        for name, value in options.items()
        if name not in known or value != known[name].default
    }


def locate(template: str | Iterable[str], root: Path, language: str) -> list[Path]:
    """Return the files that match one or more templates below `root`, sorted; [] if there are none.

    `*`, `?` and `[…]` match as in a shell, `**` any depth; `{language}` is filled by
    `languages.codes.fill`. Raise InputError for an absolute template, or a language without code.
    """
    found: set[Path] = set()
    for one in [template] if isinstance(template, str) else template:
        if not one or Path(one).is_absolute():
            raise InputError(f"path {one!r}: expected a path relative to {root}")
        found.update(archives.matching(root, fill(one, language)))
    return sorted(found, key=lambda path: (path.name, path))


def read(
    format: str,
    paths: list[Path],
    language: str,
    *,
    number_ids: bool = False,
    limit: int | None = None,
    **options,
) -> Table:
    """Return the rows of one language in `paths`, the files of a split in a format of FORMATS.

    With `limit`, only that many rows are read. Rows keep the release's ids. Without ids, or with
    `number_ids` (for a release that repeats ids), the id is the number of the row, from 0. Raise
    InputError, naming file and line, for a row that cannot be used.
    """
    check_options(format, options)
    if not paths:
        raise InputError(f"format {format}: no file for language {language!r}")
    items = islice(FORMATS[format](paths, language, **options), limit)
    return collect(items, str(paths[0]), number_ids)
