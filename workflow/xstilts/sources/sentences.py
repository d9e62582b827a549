"""Plain sentences: translations to find (family mine) and text for masked LM (family mask)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from xstilts.errors import InputError
from xstilts.languages.codes import TATOEBA_CODES
from xstilts.sources.records import Item, lines

Triple = tuple[str, str, str]


def tatoeba(paths: list[Path], language: str) -> Iterator[Item]:
    """Items of the two aligned files of LASER's Tatoeba test, `tatoeba.deu-eng.deu` and `….eng`.

    The id of line i, from 0, is `i` with the language before it: XTREME's predictions count so.
    """
    english = list(lines(_ending(paths, ".eng")))
    other = _ending(paths, f".{TATOEBA_CODES.get(language, language)}")
    foreign = list(lines(other))
    if len(foreign) != len(english):
        raise InputError(
            f"{other}: {len(foreign)} lines, but its English side has {len(english)}"
            " (is a file cut?)"
        )
    for side, prefix, match, found in (
        ("foreign", language, "en", foreign),
        ("english", "en", language, english),
    ):
        for i, (place, sentence) in enumerate(found):
            yield place, mine(f"{prefix}-{i}", side, sentence, f"{match}-{i}", place)


def bucc(paths: list[Path], language: str) -> Iterator[Item]:
    """Items of a BUCC 2018 pair, three files ending in the language, `.en` and `.gold`.

    A sentence that the gold file does not name has no translation: its match is "".
    """
    foreign, english, gold = (
        _pairs(_ending(paths, ending)) for ending in (f".{language}", ".en", ".gold")
    )
    yield from pools(foreign, english, gold)


def pools(
    foreign: Iterable[Triple], english: Iterable[Triple], gold: Iterable[Triple]
) -> Iterator[Item]:
    """Items of (place, id, sentence) on both sides and (place, foreign id, English id)."""
    sides = {"foreign": list(foreign), "english": list(english)}
    matches = _matches(gold, *({id for _, id, _ in found} for found in sides.values()))
    for side, found in sides.items():
        for place, id, sentence in found:
            yield place, mine(id, side, sentence, matches.get(id, ""), place)


def plain_text(paths: list[Path], language: str) -> Iterator[Item]:
    """Items of files with a sentence per line; blank lines are excluded."""
    for path in paths:
        for place, line in lines(path):
            yield place, {"text": line, "text_b": ""} if line.strip() else "blank line"


def mine(id: str, side: str, sentence: str, match: str, place: str) -> dict:
    """A canonical row of the family mine."""
    if not sentence.strip():
        raise InputError(f"{place}: an empty sentence")
    return {"id": id, "side": side, "text": sentence, "match": match}


def _ending(paths: list[Path], suffix: str) -> Path:
    found = [path for path in paths if path.suffix == suffix]
    if len(found) != 1:
        names = ", ".join(path.name for path in paths)
        raise InputError(
            f"{paths[0].parent}: expected one file ending in {suffix!r}; found {names}"
        )
    return found[0]


def _pairs(path: Path) -> list[Triple]:
    """(place, left, right) of each line `left<TAB>right`."""
    found = []
    for place, line in lines(path):
        left, tab, right = line.partition("\t")
        if not (left and tab and right):
            raise InputError(f"{place}: expected two columns between a tab (is the file cut?)")
        found.append((place, left, right))
    return found


def _matches(gold: Iterable[Triple], foreign: set, english: set) -> dict[str, str]:
    """{id: id of its translation}, both ways."""
    matches: dict[str, str] = {}
    for place, left, right in gold:
        for id, ids in ((left, foreign), (right, english)):
            if id not in ids:
                raise InputError(f"{place}: no sentence has the id {id!r}")
            if id in matches:
                raise InputError(f"{place}: {id!r} already has the translation {matches[id]!r}")
        matches |= {left: right, right: left}
    return matches
