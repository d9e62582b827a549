"""MultiCheckList of XTREME-R: questions from its translated templates; family answer.

The file has one block per test: contexts, questions with their answers, and words to fill them
in, with one column per language. Further columns of a language hold other forms of a word; the
column `…-placeholders` next to them lists the English words that select a form. First names are
not in the file; the task's entry lists some.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from xstilts.errors import InputError, nearest
from xstilts.sources.records import Item, lines

_SLOT = re.compile(r"\{([^}]+)\}")
_COMMA = re.compile(r"\s*[,，、،၊]\s*")
_TEMPLATES = ("Context", "Question", "Answer")  # the other fields are words, of later tests too
_WORDS = {"s": "state"}  # a slot whose list has another name

Cell = list[tuple[str, set[str]]]  # forms, each with the English words that ask for it
Cells = tuple[Cell, Cell]  # in English, in the language
Fill = dict[str, tuple[str, set[str]]]  # slot -> (what it reads as, the English words in use)


def checklist(
    paths: list[Path], language: str, names: tuple[str, ...] = ("Ann", "Ben"), size: int = 100
) -> Iterator[Item]:
    """Return the items of a template file: `size` fillings per test, the same in every language.

    A question is excluded if its answer is not literally in its context, because the language
    inflects it.
    """
    for path in paths:
        for name, fields in _tests(path, language):
            draw = random.Random(name)
            for number in range(size):
                fill = _draw(fields, names, draw)
                context = draw.choice(fields["Context"])
                asked = zip(fields["Question"], fields["Answer"], strict=True)
                for k, cells in enumerate(asked):
                    place = f"{path}: {name}, filling {number}, question {k}"
                    yield place, _row(f"{name}-{number}-{k}", context, *cells, fill)


def _row(id: str, context: Cells, question: Cells, answer: Cells, fill: Fill) -> dict | str:
    """Return the row of filled templates, or the reason for which it is excluded."""
    filled = [_filled(cells, fill) for cells in (context, question, answer)]
    if None in filled:
        return "a template of the release has a slot that nothing fills"
    text = filled[2].rstrip(".")
    if not text or text not in filled[0]:
        return "answer not in its context word for word"
    starts = [filled[0].index(text)]
    row = {"id": id, "context": filled[0], "question": filled[1]}
    return row | {"answers": [text], "starts": starts}


def _tests(path: Path, language: str) -> Iterator[tuple[str, dict[str, list[Cells]]]]:
    """Yield (name, {field: the cells of its rows in English and in the language}) per test."""
    (_, first), *others = lines(path)
    header = first.split("\t")
    for code in ("en", language):
        if code not in header:
            known = {column for column in header[1:] if not column.endswith("-placeholders")}
            raise InputError(f"{path}: no column {code!r}; {nearest(code, known)}")
    name, fields = "", {}
    for place, line in [*others, ("", "Name\t")]:
        values = line.split("\t")
        if values[0] == "Name":
            if name:
                yield name, _whole(fields, name, path)
            name = values[1] if len(values) > 1 else ""
            fields = {word: rows for word, rows in fields.items() if word not in _TEMPLATES}
        elif values[0].strip():
            if len(values) != len(header):
                raise InputError(f"{place}: {len(values)} columns, expected {len(header)}")
            cells = _cell(header, values, "en"), _cell(header, values, language)
            fields.setdefault(values[0], []).append(cells)


def _whole(fields: dict, name: str, path: Path) -> dict:
    """Return the fields of a test. Raise InputError if templates or answers are missing."""
    counts = [len(fields.get(field, ())) for field in _TEMPLATES]
    if 0 in counts or counts[1] != counts[2]:
        raise InputError(
            f"{path}: test {name!r} has {counts[0]} contexts, {counts[1]} questions and {counts[2]}"
            " answers (is the file truncated?)"
        )
    return fields


def _cell(header: list[str], values: list[str], language: str) -> Cell:
    """Return the forms of a row in a language, the first of them even if it is empty."""
    forms = []
    for n, column in enumerate(header):
        if column == language and (values[n].strip() or not forms):
            beside = n + 1 < len(header) and header[n + 1] == f"{language}-placeholders"
            words = set(_COMMA.split(values[n + 1].strip())) - {""} if beside else set()
            forms.append((values[n].strip(), words))
    return forms


def _draw(fields: dict, names: tuple[str, ...], draw: random.Random) -> Fill:
    """Return a filling for every slot in the English templates of a test."""
    rows = [row for field in _TEMPLATES for row in fields[field]]
    slots = {slot for english, _ in rows for slot in _SLOT.findall(english[0][0])}
    people = iter(draw.sample(sorted(names), min(3, len(names))))
    lists = {_WORDS.get(slot.partition("[")[0], slot.partition("[")[0]) for slot in sorted(slots)}
    fill: Fill = {}
    for slot in sorted(slot for slot in slots if slot.startswith("first_name")):
        fill[slot] = (next(people), set())
    if any(slot.startswith("p.") for slot in slots):
        # two properties of things, p.p1 and p.p2, and a value of each, p.v1 and p.v2, from the list
        # that is named after the property
        lists = {word for word in lists if not word.startswith("p.")}
        obj = _chosen(fields, "obj", set(), draw)
        used = {form for _, words in obj for form in words}
        fill |= {f"obj[{n}]": (text, used) for n, (text, _) in enumerate(obj)}
        lists.discard("obj")
        for n, (english, other) in enumerate(draw.sample(fields["property"], 2), 1):
            fill[f"p.p{n}"] = (_form(other, used), {english[0][0]})
            fill[f"p.v{n}"] = _chosen(fields, english[0][0], used, draw)[0]
    for word in sorted(word for word in lists if word in fields):
        found = _chosen(fields, word, {w for _, ws in fill.values() for w in ws}, draw)
        slot = next((s for s, name in _WORDS.items() if name == word), word)
        fill |= {slot: found[0]} | {f"{slot}[{n}]": each for n, each in enumerate(found)}
    return fill


def _chosen(fields: dict, word: str, used: set[str], draw: random.Random) -> list:
    """Return a random row of a word list: (text, English words) of its comma-separated parts."""
    english, other = draw.choice(fields[word])
    parts = _COMMA.split(english[0][0])
    bare = {part.partition(" ")[2] for part in parts if part.startswith(("a ", "an ", "the "))}
    texts = [text for text in _COMMA.split(_form(other, used)) if text]
    if len(texts) < len(parts):
        texts = _form(other, used).split()  # no comma in Thai
    if len(texts) < len(parts):
        texts = [_form(other, used)] * len(parts)
    return [(text, {*parts, *bare}) for text in texts]


def _form(cell: Cell, used: set[str]) -> str:
    """Return the form that the English words in use select, or the first form."""
    return next((text for text, words in cell if words & used), cell[0][0])


def _filled(cells: Cells, fill: Fill) -> str | None:
    """Return a template with its slots filled; None if no list fills one of them."""
    template = _form(cells[1], {word for _, words in fill.values() for word in words})
    slots = [slot.removeprefix("a:") for slot in _SLOT.findall(template)]  # `a:` is the article
    if not fill.keys() >= set(slots):
        return None
    return _SLOT.sub(lambda match: fill[match[1].removeprefix("a:")][0], template)
