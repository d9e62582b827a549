"""Words with a tag each: UD CoNLL-U, WikiANN (PAN-X) and CCGbank; family tag."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from xstilts.errors import InputError
from xstilts.sources.records import Item, blocks, known, lines

NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]

# UPOS, in the order in which the parts of a fused word give it their tag if several stand equally
# high in the tree: that of XTREME's conllu_to_conll.py, which leaves out SYM.
_RANK = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT SYM"
_RANK_FIRST = {  # what comes first in these languages
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
UPOS = _RANK.split()


class Part(NamedTuple):
    """A syntactic word of a CoNLL-U sentence."""

    form: str
    tag: str
    head: int  # number of its head, from 1; 0 = root


def conllu(paths: list[Path], language: str) -> Iterator[Item]:
    """Items with the words and UPOS tags of UD treebanks, made from surface words as XTREME does.

    A multiword token is one word: its fused form, and the tag of the part that stands highest in
    the tree. Empty nodes are left out; spaces and zero-width non-joiners in a word are dropped; a
    sentence whose words are withheld (`_`, for their licence) is excluded.
    """
    rank = f"{_RANK_FIRST.get(language, '')} {_RANK}".split()
    for path in paths:
        for block in blocks(path):
            place = block[0][0]
            parts, spans = _parse(block)
            words, tags = _fuse(parts, spans, rank)
            withheld = words.count("_")
            if withheld and withheld >= len(words) - 1:
                yield place, "sentence with its words withheld"
                continue
            ids = [line.partition("=")[2].strip() for _, line in block if _SENT_ID.match(line)]
            yield place, {"words": words, "tags": tags} | ({"id": ids[0]} if ids else {})


_SENT_ID = re.compile(r"#\s*sent_id\s*=")
_NUMBER = re.compile(r"(\d+)(?:([-.])(\d+))?")


def _parse(block: list[tuple[str, str]]) -> tuple[list[Part], dict[int, tuple[int, str]]]:
    """The syntactic words of a sentence, and {first part: (last part, form)} of its fused words."""
    parts: list[Part] = []
    spans: dict[int, tuple[int, str]] = {}
    for place, line in block:
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            raise InputError(f"{place}: {len(columns)} columns, expected the 10 of CoNLL-U")
        number = _NUMBER.fullmatch(columns[0])
        if not number:
            raise InputError(f"{place}: {columns[0]!r} is no word number, such as 4, 4-5 or 4.1")
        form = columns[1].replace("\u200c", "").replace(" ", "")
        match number[2]:
            case "-":
                spans[int(number[1])] = (int(number[3]), form)
            case None:
                if int(number[1]) != len(parts) + 1:
                    raise InputError(f"{place}: word {number[1]}, expected {len(parts) + 1}")
                head = int(columns[6]) if columns[6].isdecimal() else 0
                parts.append(Part(form, known(columns[3], UPOS, place), head))
    if not parts:
        raise InputError(f"{block[0][0]}: a sentence without words")
    for first, (last, form) in spans.items():
        if not first <= last <= len(parts):
            raise InputError(
                f"{block[0][0]}: {form!r} fuses words {first} to {last}, but the sentence has"
                f" {len(parts)} (is the file cut?)"
            )
    return parts, spans


def _fuse(
    parts: list[Part], spans: dict[int, tuple[int, str]], rank: list[str]
) -> tuple[list[str], list[str]]:
    """The surface words and their tags."""

    def height(number: int) -> tuple[int, int]:
        depth, above = 0, number
        while 0 < above <= len(parts) and depth <= len(parts):  # the latter ends a cycle
            depth, above = depth + 1, parts[above - 1].head
        return depth, rank.index(parts[number - 1].tag)

    words, tags, first = [], [], 1
    while first <= len(parts):
        last, form = spans.get(first, (first, parts[first - 1].form))
        words.append(form)
        tags.append(parts[min(range(first, last + 1), key=height) - 1].tag)
        first = last + 1
    return words, tags


def panx(paths: list[Path], language: str) -> Iterator[Item]:
    """Items of WikiANN files: lines `language:word<TAB>tag`, a blank line after each sentence."""
    for path in paths:
        for block in blocks(path):
            words, tags = [], []
            for place, line in block:
                word, tab, tag = line.partition("\t")
                _, colon, word = word.partition(":")
                if not (tab and colon and word.strip()):
                    raise InputError(f"{place}: {line!r}, expected language:word<TAB>tag")
                words.append(word.strip())
                tags.append(known(tag, NER, place))
            yield block[0][0], {"words": words, "tags": tags}


_LEAF = re.compile(r"\(<L (\S+) \S+ \S+ (\S+) \S+>\)")
_NODE = re.compile(r"\(<T \S+ \d+ \d+>")


def ccgbank(paths: list[Path], language: str) -> Iterator[Item]:
    """Items of CCGbank `.auto` files, an `ID=` line and a tree in turns: words and categories.

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
                raise InputError(f"{place}: not a whole CCG tree (is the file cut?)")
            yield (
                place,
                {
                    "id": name,
                    "words": [word for _, word in leaves],
                    "tags": [category for category, _ in leaves],
                },
            )
            name = ""
        if name:
            raise InputError(f"{path}: the tree of {name} is missing (is the file cut?)")
