"""Mewsli-X of XTREME-R: mentions of entities rank descriptions of entities; family retrieve.

The files are JSON lines, as the release's script `get-mewsli-x.sh` makes them.
"""

from collections.abc import Iterator
from pathlib import Path

from xstilts.errors import InputError, nearest
from xstilts.sources.records import Item, field, jsonl

_MARKS = str.maketrans("{}", "()")  # braces mark the mention, so the text has none


def mentions(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield a question per mention in the WikiNews articles of a language."""
    languages = set()
    for path in paths:
        for place, record in jsonl(path):
            article = field(record, "context", dict, place)
            languages.add(field(article, "language", str, place))
            if article["language"] == language:
                for n, mention in enumerate(field(record, "mentions", list, place), 1):
                    where = f"{place}, mention {n}"
                    yield where, _question(article, mention, where)
    _check_language(language, languages, paths)


def pairs(paths: list[Path], language: str, candidates: bool = False) -> Iterator[Item]:
    """Yield an item per mention in the Wikipedia files, with the description of its entity.

    With `candidates`, also yield each entity, before its first mention: the mentions rank these.
    """
    languages, seen = set(), set()
    for path in paths:
        for place, record in jsonl(path):
            pair = field(record, "contextual_mention", dict, place)
            article = field(pair, "context", dict, place)
            languages.add(field(article, "language", str, place))
            if article["language"] != language:
                continue
            row = _question(article, field(pair, "mention", dict, place), place)
            entity = _entity(field(record, "entity", dict, place), place)
            if row["matches"] != [entity["id"]]:
                raise InputError(
                    f"{place}: the mention is of {row['matches'][0]!r}, but the entity next to it "
                    f"is {entity['id']!r}"
                )
            if candidates and entity["id"] not in seen:
                seen.add(entity["id"])
                yield place, entity
            yield place, row | {"text": entity["text"]}
    _check_language(language, languages, paths)


def entities(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield a candidate per entity of the candidate set, which serves all languages.

    Entities keep whatever language they are described in.
    """
    for path in paths:
        for place, record in jsonl(path):
            yield place, _entity(record, place)


def _check_language(language: str, languages: set[str], paths: list[Path]) -> None:
    if language not in languages:
        raise InputError(f"{paths[0]}: no text in {language!r}; {nearest(language, languages)}")


def _question(article: dict, mention: dict, place: str) -> dict:
    """Return the mention, then its sentence with the mention in braces, as in XTREME's baseline.

    The mention comes first so that truncation never loses it.
    """
    text = field(article, "text", str, place)
    if not text:
        raise InputError(
            f"{place}: the article has no text, as in the *_no_text-*.jsonl of the release; its "
            "script get-mewsli-x.sh fills it in: read the files that it makes"
        )
    span = field(mention, "mention_span", dict, place)
    name, (start, end) = field(span, "text", str, place), _bounds(span, place)
    if not 0 <= start < end or text[start:end] != name:
        raise InputError(
            f"{place}: mention {name!r} is not at {start} to {end}, where the text has "
            f"{text[start:end]!r}"
        )
    first, last = _sentence(article, start, end, place)
    left, right = (part.translate(_MARKS) for part in (text[first:start], text[end:last]))
    return {
        "id": field(mention, "example_id", str, place),
        "question": _one_line(f"{name}: {left} {{ {name} }} {right}"),
        "text": "",
        "context": "",
        "matches": [field(mention, "entity_id", str, place)],
    }


def _bounds(span: dict, place: str) -> tuple[int, int]:
    return field(span, "start", int, place), field(span, "end", int, place)


def _sentence(article: dict, start: int, end: int, place: str) -> tuple[int, int]:
    """Return start and end of the sentence, or sentences, that contain a mention."""
    spans = [_bounds(span, place) for span in field(article, "sentence_spans", list, place)]
    held = [span for span in spans if span[0] < end and start < span[1]]
    if not held:
        raise InputError(f"{place}: the mention at {start} to {end} is in no sentence")
    return min(start, held[0][0]), max(end, held[-1][1])


def _entity(record: dict, place: str) -> dict:
    """Return a candidate: the first sentences of the entity's article, without its title."""
    description = _one_line(field(record, "description", str, place))
    if not description:
        raise InputError(f"{place}: the description is empty")
    id = field(record, "entity_id", str, place)
    return {"id": id, "question": "", "text": description, "context": "", "matches": []}


def _one_line(text: str) -> str:
    return " ".join(text.split())
