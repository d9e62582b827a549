"""Plain sentences: translations to find (family mine) and text (family mask)."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from xstilts.errors import InputError
from xstilts.languages.codes import TATOEBA_CODES
from xstilts.sources.records import Item, check_language, lines

Triple = tuple[str, str, str]
_SENTENCE_ID = re.compile(r"([a-z]{2,3})-\d+")


def tatoeba(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield the items of LASER's two aligned Tatoeba files, `tatoeba.deu-eng.deu` and `….eng`.

    The id of line i is the language and i, from 0, as in XTREME's predictions.
    """
    english = list(lines(_ending(paths, ".eng")))
    other = _ending(paths, f".{TATOEBA_CODES.get(language, language)}")
    foreign = list(lines(other))
    if len(foreign) != len(english):
        raise InputError(
            f"{other}: {len(foreign)} lines, but its English side has {len(english)}"
            " (is a file truncated?)"
        )
    for side, prefix, match, sentences in (
        ("foreign", language, "en", foreign),
        ("english", "en", language, english),
    ):
        for i, (place, sentence) in enumerate(sentences):
            yield place, mine(f"{prefix}-{i}", side, sentence, f"{match}-{i}", place)


def bucc(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield the items of a BUCC 2018 pair: three files that end in the language, `.en` and `.gold`.

    A sentence that is not in the gold file has no translation: its match is "".
    """
    foreign, english, gold = (
        _pairs(_ending(paths, ending)) for ending in (f".{language}", ".en", ".gold")
    )
    for triples, code in ((foreign, language), (english, "en")):
        for place, id, _ in triples:
            if stated := _SENTENCE_ID.fullmatch(id):
                check_language(stated[1], code, place)
    yield from pools(foreign, english, gold)


def pools(
    foreign: Iterable[Triple], english: Iterable[Triple], gold: Iterable[Triple]
) -> Iterator[Item]:
    """Yield items of two pools (place, id, sentence) and gold (place, foreign id, English id)."""
    sides = {"foreign": list(foreign), "english": list(english)}
    matches = _matches(gold, *({id for _, id, _ in triples} for triples in sides.values()))
    for side, triples in sides.items():
        for place, id, sentence in triples:
            yield place, mine(id, side, sentence, matches.get(id, ""), place)


def plain_text(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield an item per line, which holds one sentence; blank lines are excluded."""
    for path in paths:
        for place, line in lines(path):
            yield place, {"text": line, "text_b": ""} if line.strip() else "blank line"


def mine(id: str, side: str, sentence: str, match: str, place: str) -> dict:
    """Return a canonical row of the family mine. Raise InputError for an empty sentence."""
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
    """Return (place, left, right) for each line `left<TAB>right`."""
    pairs = []
    for place, line in lines(path):
        left, tab, right = line.partition("\t")
        if not (left and tab and right):
            raise InputError(
                f"{place}: expected two columns, separated by a tab (is the file truncated?)"
            )
        pairs.append((place, left.strip(), right))
    return pairs


def _matches(gold: Iterable[Triple], foreign: set, english: set) -> dict[str, str]:
    """Return the id of each sentence's translation, in both directions."""
    matches: dict[str, str] = {}
    for place, left, given in gold:
        right = given.strip()
        for id, ids in ((left, foreign), (right, english)):
            if id not in ids:
                raise InputError(f"{place}: no sentence has the id {id!r}")
            if id in matches:
                raise InputError(f"{place}: {id!r} already has the translation {matches[id]!r}")
        matches |= {left: right, right: left}
    return matches
