"""Words with a tag each: UD CoNLL-U, WikiANN (PAN-X) and CCGbank; family tag."""

import re
from collections.abc import Iterator, Mapping
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

from xstilts.errors import InputError
from xstilts.sources.records import Item, blocks, check_language, known, lines

NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]

# UPOS by rank: a fused word takes the tag of its highest part in the tree, and of several equally
# high parts the first in this order. From XTREME's conllu_to_conll.py, which omits SYM.
_RANK = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT SYM"
_RANK_FIRST = {  # tags that rank first in these languages
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
UPOS = _RANK.split()


class Part(NamedTuple):
    """A syntactic word of a CoNLL-U sentence."""

    form: str
    tag: str
    heads: tuple[int, ...]  # numbers of its heads, from 1; 0 = root; enhanced edges count


# as fr-ud-test_00001 and es-dev-2-s1; the split in it is that of the first release of a treebank
_ORIGIN = re.compile(r"([a-z]{2,3})(?:_[a-z]+)?-(?:ud-)?(?:train|dev|test)[-_]")


def conllu(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield the surface words and UPOS tags of UD treebanks, as XTREME converts them.

    A multiword token is one word: its fused form, with the tag of its part that is highest in the
    tree. Empty nodes are dropped, and so are spaces and zero-width non-joiners in words. A sentence
    whose words are withheld (`_`, for their licence) is excluded. Raise InputError for a sentence
    whose id states another language.
    """
    for path in paths:
        for block in blocks(path):
            row = surface(*_parse(block), language, block[0][0])
            ids = [line.partition("=")[2].strip() for _, line in block if _SENT_ID.match(line)]
            if ids and (origin := _ORIGIN.match(ids[0])):
                check_language(origin[1], language, block[0][0])
            yield (
                block[0][0],
                row if isinstance(row, str) else row | ({"id": ids[0]} if ids else {}),
            )


Spans = Mapping[int, tuple[int, str]]  # first part of a fused word -> its last part, its form


def surface(parts: list[Part], spans: Spans, language: str, place: str) -> dict | str:
    """Return a sentence's surface words and tags, or the reason for which it is excluded."""
    end = 0
    for first, (last, form) in sorted(spans.items()):
        if first <= end:
            raise InputError(f"{place}: {form!r} fuses word {first}, which is fused already")
        end = last
        if not first <= last <= len(parts):
            raise InputError(
                f"{place}: {form!r} fuses words {first} to {last}, but the sentence has"
                f" {len(parts)} (is the file truncated?)"
            )
    for n, part in enumerate(parts, 1):
        if not part.form:
            raise InputError(f"{place}: word {n} is empty")
        if part.heads[0] > len(parts):
            raise InputError(
                f"{place}: the head of {part.form!r} is word {part.heads[0]}, but the sentence has"
                f" {len(parts)} (is the file truncated?)"
            )
    rank = f"{_RANK_FIRST.get(language, '')} {_RANK}".split()
    words, tags = _fuse(parts, spans, rank)
    words = [word.replace("\u200c", "").replace(" ", "") for word in words]
    withheld = words.count("_")
    if withheld and withheld >= len(words) - 1:
        return "sentence with its words withheld"
    return {"words": words, "tags": tags}


def number(text: str, place: str) -> tuple[int, str | None, int]:
    """Return first number, separator and last number of a word's number: 4, 4-5 or 4.1."""
    found = _NUMBER.fullmatch(text)
    if not found:
        raise InputError(f"{place}: {text!r} is not a word number, such as 4, 4-5 or 4.1")
    return int(found[1]), found[2], int(found[3] or found[1])


_SENT_ID = re.compile(r"#\s*sent_id\s*=")
_NUMBER = re.compile(r"([0-9]{1,9})(?:([-.])([0-9]{1,9}))?")
_WORD = re.compile(r"[0-9]{1,9}")


def _parse(block: list[tuple[str, str]]) -> tuple[list[Part], Spans]:
    """Return the syntactic words of a sentence, and the spans of fused words."""
    parts: list[Part] = []
    spans: dict[int, tuple[int, str]] = {}
    for place, line in block:
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            raise InputError(f"{place}: {len(columns)} columns, expected the 10 of CoNLL-U")
        first, separator, last = number(columns[0], place)
        match separator:
            case "-":
                if first in spans:
                    raise InputError(f"{place}: word {first} is fused already")
                spans[first] = (last, columns[1])
            case None:
                if first != len(parts) + 1:
                    raise InputError(f"{place}: word {first}, expected {len(parts) + 1}")
                if columns[6] != "_" and not _WORD.fullmatch(columns[6]):
                    raise InputError(f"{place}: {columns[6]!r} is no head, such as 4, 0 or _")
                heads = _heads(columns[6], columns[8])
                parts.append(Part(columns[1], known(columns[3], UPOS, place), heads))
    if not parts:
        raise InputError(f"{block[0][0]}: a sentence without words")
    return parts, spans


def _heads(head: str, enhanced: str) -> tuple[int, ...]:
    """Return the heads of a word: that of the tree, and those of enhanced edges (4:nsubj|7:obj).

    Edges from empty nodes (8.1) do not count.
    """
    others = [edge.partition(":")[0] for edge in enhanced.split("|")]
    heads = [int(other) for other in [head, *others] if _WORD.fullmatch(other)]
    return tuple(heads) if head != "_" else (0, *heads)


def _fuse(parts: list[Part], spans: Spans, rank: list[str]) -> tuple[list[str], list[str]]:
    """Return the surface words and their tags."""

    def height(number: int) -> tuple[int, int]:
        return _ancestors(parts, number), rank.index(parts[number - 1].tag)

    words, tags, first = [], [], 1
    while first <= len(parts):
        last, form = spans.get(first, (first, parts[first - 1].form))
        words.append(form)
        tags.append(parts[min(range(first, last + 1), key=height) - 1].tag)
        first = last + 1
    return words, tags


def _ancestors(parts: list[Part], number: int) -> int:
    """Return how many nodes lie on the paths from the root to a word, as conllu_to_conll counts."""
    found: set[int] = set()
    waiting = [number]
    while waiting:
        new = set(parts[waiting.pop() - 1].heads) - found
        found |= new
        waiting += [head for head in new if 0 < head <= len(parts)]
    return len(found - {number})


_TAGGED = re.compile(r"([^:\s]+):\s*(.*\S)\s+(\S+)")


def panx(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield the items of WikiANN files: lines `language:word<TAB>tag`, blank between sentences.

    As in XTREME's preprocessing, white space around word and tag does not count.
    """
    for path in paths:
        for block in blocks(path):
            words, tags = [], []
            for place, line in block:
                match = _TAGGED.fullmatch(line.strip())
                if not match:
                    raise InputError(f"{place}: {line!r}, expected language:word<TAB>tag")
                code, word, tag = match.groups()
                check_language(code.replace("-", "_"), language, place)
                words.append(word)
                tags.append(known(tag, NER, place))
            yield block[0][0], {"words": words, "tags": tags}


def conll(path: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield (place, record) for each sentence of a file in the CoNLL layout.

    A line has a word and its tags, separated by spaces or tabs; a blank line ends a sentence.
    Columns are named by their number, from "1". Lines `-DOCSTART-` (CoNLL 2003) are skipped, and
    so are lines before the words of a sentence such as `# id 7` (MultiCoNER) and `# text = …`.
    """
    for block in blocks(path):
        words = dropwhile(lambda row: _COMMENT.match(row[1]), block)
        rows = [(place, _GAP.split(line.strip(" \t"))) for place, line in words]
        rows = [row for row in rows if row[1][0] != "-DOCSTART-"]
        width = len(rows[0][1]) if rows else 0
        for place, columns in rows if len(rows) < len(block) else ():
            if _FUSED.fullmatch(columns[0]):
                raise InputError(f"{place}: {columns[0]} of CoNLL-U; `format: conllu` reads it")
        for place, columns in rows:
            if len(columns) != width or width == 1:
                expected = f"{width} as in the first line" if width > 1 else "a word and its tag"
                raise InputError(f"{place}: {len(columns)} columns, expected {expected}")
        if rows:
            table = zip(*(columns for _, columns in rows), strict=True)
            yield rows[0][0], {str(n): list(column) for n, column in enumerate(table, 1)}


_GAP = re.compile("[ \t]+")
_COMMENT = re.compile(r"#\s*(?:id\s|\w+\s*=|newdoc\b|newpar\b)")
_FUSED = re.compile(r"\d+[-.]\d+")  # number of a fused word, or of an empty node
_LEAF = re.compile(r"\(<L (\S+) \S+ \S+ (\S+) \S+>\)")
_NODE = re.compile(r"\(<T \S+ \d+ \d+>")


def ccgbank(paths: list[Path], language: str) -> Iterator[Item]:
    """Yield words and categories of CCGbank `.auto` files: `ID=` lines and trees alternate.

    Words stay as CCGbank writes them (-LRB- is a bracket).
    """
    for path in paths:
        name = ""
        for place, line in lines(path):
            if bool(name) == line.startswith("ID="):
                raise InputError(f"{place}: expected {'a tree' if name else 'ID=… and a tree'}")
            if line.startswith("ID="):
                name = line.split()[0].removeprefix("ID=")
                continue
            leaves = _LEAF.findall(line)
            skeleton = _NODE.sub("(", _LEAF.sub("", line)).replace(" ", "")
            if not leaves or skeleton.strip("()") or skeleton.count("(") != skeleton.count(")"):
                raise InputError(f"{place}: not a complete CCG tree (is the file truncated?)")
            tags, words = map(list, zip(*leaves, strict=True))
            yield place, {"id": name, "words": words, "tags": tags}
            name = ""
        if name:
            raise InputError(f"{path}: the tree of {name} is missing (is the file truncated?)")
