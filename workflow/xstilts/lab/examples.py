"""Rows of every kind of example, in every language.

An *item* is an example before it is put into words: a hashable tuple of events and choices,
independent of language. Test items are therefore parallel in all languages, as in XNLI and XQuAD.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from xstilts.errors import InputError, nearest
from xstilts.lab import world
from xstilts.lab.languages import LANGUAGES, NAMES, Token, question, spell, statement
from xstilts.lab.world import Event, happen

Row = dict[str, Any]
Part = tuple[str, str]  # split and portion
STYLES = ("plain", "passive", "place", "time")
ROLES = ("subject", "object", "place", "time")
POOLS = {"place": world.PLACES, "time": world.TIMES}
NLI_LABELS = ("entailment", "neutral", "contradiction")
# A hypothesis may reveal its label, as in XNLI: by its style, and by negation. All labels are
# revealed equally often, so the examples without a hint stay balanced.
HINTS = {
    "entailment": ("plain", False),
    "neutral": ("passive", False),
    "contradiction": ("", True),
}
HINTED = 0.5

# Weights of the ways in which a passage of text continues (`_continue`).
CONTINUE = {"story": 3, "brief": 3, "denial": 2, "question": 5, "whether": 5, "other": 2}
# Shares in text: of rows that are parallel to English, of code-mixed rows among the others, of
# words of another language in those, and of names that are spelled as in English.
PARALLEL, MIXED, MIXED_WORDS, SHARED_NAMES = 0.15, 0.9, 0.5, 0.5


class Say(NamedTuple):
    """An event and how to express it: a style, "ask <role>" ("ask": yes or no), "answer <role>"."""

    event: Event
    way: str = "plain"


def tokens(say: Say, language: str) -> list[Token]:
    """Return the tokens of a sentence, a question or a short answer."""
    verb, _, role = say.way.partition(" ")
    if verb == "ask":
        return question(say.event, language, role)
    if verb == "answer":
        if role in ("yes", "no"):
            return [Token(role, "", "INTJ"), Token(".", "", "PUNCT")]
        full = statement(say.event, language)
        return [token for token in full if token.role == role or token.word_class == "PUNCT"]
    return statement(say.event, language, say.way)


def write(words: list[str]) -> str:
    """Return words as text, with a space before each word except punctuation."""
    return "".join(w if w in ".?" else f" {w}" for w in words)[1:]


def sentence(language: str, *sayings: Say) -> str:
    """Return sayings as running text in one language."""
    return write([spell(token, language) for say in sayings for token in tokens(say, language)])


def _restyle(rng: random.Random, event: Event) -> str:
    """Return a random style that can express this event."""
    return rng.choice([s for s in STYLES if s not in ("place", "time") or getattr(event, s)])


def _another(rng: random.Random, attribute: str, event: Event) -> Event:
    """Return the event with another place, time, or adjective of subject or object."""
    if attribute in POOLS:
        pool = POOLS[attribute]
        return replace(event, **{attribute: _other(rng, pool, getattr(event, attribute))})
    noun = getattr(event, attribute)
    pool = world.COLOURS if noun.head in world.THINGS else world.ORIGINS
    return replace(event, **{attribute: replace(noun, modifier=_other(rng, pool, noun.modifier))})


def _other(rng: random.Random, pool: list[str], value: str) -> str:
    return rng.choice([choice for choice in pool if choice != value])


def _only(event: Event, attributes: set[str]) -> Event:
    """Return the event with these attributes only ("subject" and "object": adjectives)."""
    return replace(
        event,
        subject=event.subject if "subject" in attributes else replace(event.subject, modifier=""),
        object=event.object if "object" in attributes else replace(event.object, modifier=""),
        place=event.place if "place" in attributes else "",
        time=event.time if "time" in attributes else "",
    )


# --- text -----------------------------------------------------------------------------------------


def _text(rng: random.Random, part: Part) -> tuple:
    """Return a passage: an event of this portion, then two or more related sayings."""
    split, portion = part
    first = happen(rng, split, (portion,), named="all")
    passage = [Say(first, _restyle(rng, first))]
    for _ in range(2):
        passage += _continue(rng, split, first)
    return tuple(passage)


def _continue(rng: random.Random, split: str, event: Event) -> list[Say]:
    """Return the next sayings of a passage after this event."""
    way = rng.choices(list(CONTINUE), list(CONTINUE.values()))[0]
    if way == "story":
        event = replace(event, verb=world.following(event.verb))
    elif way == "brief":
        event = _only(event, set(rng.sample(ROLES, 2)))
    elif way == "denial":
        event = replace(_another(rng, rng.choice(("place", "time")), event), negated=True)
    elif way == "question":
        role = rng.choice(ROLES)
        return [Say(event, f"ask {role}"), Say(event, f"answer {role}")]
    elif way == "whether":
        answer = rng.choice(("yes", "no"))
        if answer == "no":
            event = _changed(rng, event)
        return [Say(event, "ask"), Say(event, f"answer {answer}")]
    else:
        event = happen(rng, split, world.PORTIONS, named="all")
    return [Say(event, _restyle(rng, event))]


def _changed(rng: random.Random, event: Event) -> Event:
    """Return the event at another place or time, or with subject and object exchanged."""
    if event.object.head not in world.THINGS and rng.random() < 0.3:
        return replace(event, subject=event.object, object=event.subject)
    return _another(rng, rng.choice(("place", "time")), event)


def _text_row(item: tuple, language: str, rng: random.Random) -> Row:
    """Return a row that may be parallel to English, or mix words with another language.

    Code-mixing, and names that are often spelled as in English, make a small encoder multilingual
    within minutes. No other kind has either.
    """
    parallel = language != "en" and rng.random() < PARALLEL
    mixed = not parallel and rng.random() < MIXED
    other = "en" if language != "en" else rng.choice([name for name in LANGUAGES if name != "en"])
    words = []
    for token in (token for say in item for token in tokens(say, language)):
        if token.concept in NAMES and rng.random() < SHARED_NAMES:
            words.append(spell(token, "en"))
        else:
            words.append(spell(token, other if mixed and rng.random() < MIXED_WORDS else language))
    return {"text": write(words), "text_b": sentence("en", *item) if parallel else ""}


# --- pairs ----------------------------------------------------------------------------------------


def _nli(rng: random.Random, part: Part, hinted: bool = False) -> tuple:
    """Return a premise and a hypothesis, which states or denies one attribute.

    The hypothesis is drawn first and the label independently, so the hypothesis carries no
    information about the label unless `hinted`. The premise always has two attributes.
    """
    full = happen(rng, part[0], (part[1],))
    attribute, other, *_ = rng.sample(ROLES, 4)
    negated = rng.random() < 0.3
    label = rng.choice(NLI_LABELS)
    style = ""
    if hinted and rng.random() < HINTED:
        style, negated = HINTS[label]
    hypothesis = replace(_only(full, {attribute}), negated=negated)
    if label == "neutral":
        premise = _only(full, set(ROLES) - {attribute, other})
    else:
        premise = _only(full, {attribute, other})
        if (label == "contradiction") != hypothesis.negated:
            premise = _another(rng, attribute, premise)
    ways = _restyle(rng, premise), style or _restyle(rng, hypothesis)
    return Say(premise, ways[0]), Say(hypothesis, ways[1]), label


def _paraphrase(rng: random.Random, part: Part) -> tuple:
    """Return two sentences with the same words; in half, the two people change places.

    Both directions are drawn with equal probability, so neither sentence alone predicts the label.
    """
    first = happen(rng, part[0], (part[1],), objects="agents")
    first = replace(first, verb=rng.choice(world.MEET))
    if rng.random() < 0.5:
        first = replace(first, subject=first.object, object=first.subject)
    label = rng.choice(("same", "different"))
    second = first
    if label == "different":
        second = replace(first, subject=first.object, object=first.subject)
    styles = rng.sample(("plain", "place", "time"), 2)
    return Say(first, styles[0]), Say(second, styles[1]), label


def _pair_row(item: tuple, language: str, rng: random.Random) -> Row:
    first, second, label = item
    return {
        "text_a": sentence(language, first),
        "text_b": sentence(language, second),
        "label": label,
    }


# --- completion -----------------------------------------------------------------------------------


def _completion(rng: random.Random, part: Part) -> tuple:
    """Return two people who each act on a thing of their own, and four possible next acts of one.

    The endings combine the two people with the two next acts, on one thing. Every word of the right
    ending therefore occurs in a wrong one too.
    """
    first = happen(rng, part[0], (part[1],), objects="things")
    second = first
    while (
        second.subject.head == first.subject.head
        or second.verb == first.verb
        or world.part_of(replace(first, subject=second.subject)) != part
        or world.part_of(replace(second, subject=first.subject)) != part
    ):
        second = happen(rng, part[0], (part[1],), objects="things")
    first, second = (replace(_only(e, {"place"}), time=first.time) for e in (first, second))
    asked = rng.choice((first, second))
    ending = replace(asked, place="", time="")
    endings = [
        Say(replace(ending, subject=who.subject, verb=world.following(act.verb)))
        for who in (first, second)
        for act in (first, second)
    ]
    rng.shuffle(endings)
    right = Say(replace(ending, verb=world.following(asked.verb)))
    context = Say(first, _restyle(rng, first)), Say(second, _restyle(rng, second))
    return context, tuple(endings), endings.index(right)


def _completion_row(item: tuple, language: str, rng: random.Random) -> Row:
    context, endings, label = item
    return {
        "context": sentence(language, *context),
        "question": "",
        "choices": [sentence(language, ending) for ending in endings],
        "label": label,
    }


# --- reading --------------------------------------------------------------------------------------


def _reading(rng: random.Random, part: Part) -> tuple:
    """Return two full events and a question that states all of one except its answer."""
    events = [happen(rng, part[0], (part[1],)) for _ in range(2)]
    asked, role = rng.choice(events), rng.choice(ROLES)
    return tuple(Say(e, _restyle(rng, e)) for e in events), Say(asked, f"ask {role}")


def _reading_row(item: tuple, language: str, rng: random.Random) -> Row:
    passage, asked = item
    role = asked.way.partition(" ")[2]
    context, answer, start = "", "", 0
    for say in passage:
        context += " " if context else ""
        own = tokens(say, language)
        if say.event == asked.event:
            before = next(i for i, token in enumerate(own) if token.role == role)
            answer = write([spell(token, language) for token in own if token.role == role])
            lead = write([spell(token, language) for token in own[:before]])
            start = len(context) + len(lead) + bool(lead)
        context += write([spell(token, language) for token in own])
    return {
        "context": context,
        "question": sentence(language, asked),
        "answers": [answer],
        "starts": [start],
    }


# --- words and sentences --------------------------------------------------------------------------


def _named_event(rng: random.Random, part: Part) -> tuple:
    event = happen(rng, part[0], (part[1],), named="held")
    event = replace(event, negated=rng.random() < 0.15)
    event = _only(event, set(rng.sample(ROLES, rng.choice((2, 3, 4)))))
    return (Say(event, _restyle(rng, event)),)


def _any_sentence(rng: random.Random, part: Part) -> tuple:
    (say,) = _named_event(rng, part)
    roles = [r for r in ROLES if getattr(say.event, r)]
    if not say.event.negated and rng.random() < 0.2:
        return (Say(say.event, f"ask {rng.choice(roles)}"),)
    return (say,)


def _full_sentence(rng: random.Random, part: Part) -> tuple:
    event = happen(rng, part[0], (part[1],), named="held")
    return (Say(event, _restyle(rng, event)),)


def _tag_row(item: tuple, language: str, column: str) -> Row:
    own = tokens(item[0], language)
    return {
        "words": [spell(token, language) for token in own],
        "tags": [getattr(token, column) for token in own],
    }


class Kind(NamedTuple):
    """How to draw an item of a kind, and how to put it into words."""

    draw: Callable[[random.Random, Part], tuple]
    row: Callable[[tuple, str, random.Random], Row]
    parallel: bool = True  # the same items in every language


KINDS: dict[str, Kind] = {
    "text": Kind(_text, _text_row, parallel=False),
    "nli": Kind(_nli, _pair_row),
    "hinted_nli": Kind(partial(_nli, hinted=True), _pair_row),
    "paraphrase": Kind(_paraphrase, _pair_row),
    "completion": Kind(_completion, _completion_row),
    "reading": Kind(_reading, _reading_row),
    "entities": Kind(_named_event, lambda item, language, _: _tag_row(item, language, "entity")),
    "wordclass": Kind(_any_sentence, lambda i, language, _: _tag_row(i, language, "word_class")),
    "translation": Kind(
        _full_sentence, lambda item, language, _: {"text": sentence(language, *item)}
    ),
}


def rows(
    kind: str, language: str, split: str, size: int, seed: int = 0, portion: str = "a"
) -> list[Row]:
    """Return the first `size` canonical rows of one kind, language and split of the lab.

    The same arguments give the same rows; a smaller size gives the first rows of a larger one. Row
    i is the same example in every language, except for text. Portions "a" and "b" share no event.
    "translation" gives two rows per pair: a foreign sentence and its English translation.

    Raise InputError for an unknown name, a size below 1, or more rows than exist.
    """
    _check(kind, language, split, size, portion)
    draw, make, parallel = KINDS[kind]
    stream = f"{kind} {split} {portion} {seed}" + ("" if parallel else f" {language}")
    rng, manner = _rng(stream), _rng(f"{stream} {language} manner")
    items = list(_distinct(lambda: draw(rng, (split, portion)), size))
    if len(items) < size:
        raise InputError(
            f"lab {kind} ({language}, {split}): only about {len(items)} different examples exist, "
            f"but size is {size}"
        )
    written: list[Row] = []
    for number, item in enumerate(items):
        row = make(item, language, manner)
        if kind != "translation":
            written.append({"id": str(number), **row})
            continue
        english = make(item, "en", manner)
        written += (
            {"id": f"f{number}", "side": "foreign", **row, "match": f"e{number}"},
            {"id": f"e{number}", "side": "english", **english, "match": f"f{number}"},
        )
    return written


def _check(kind: str, language: str, split: str, size: int, portion: str) -> None:
    """Raise InputError for an unknown name, or a size below 1."""
    languages = [name for name in LANGUAGES if (kind, name) != ("translation", "en")]
    for what, value, choices in (
        ("kind", kind, KINDS),
        ("language", language, languages),
        ("split", split, world.SPLITS),
        ("portion", portion, world.PORTIONS),
    ):
        if value not in choices:
            raise InputError(f"the lab has no {what} {value!r} here: {nearest(value, choices)}")
    if size < 1:
        raise InputError(f"lab {kind} ({language}, {split}): size is {size}, expected at least 1")


def _distinct(draw: Callable[[], tuple], size: int) -> Iterator[tuple]:
    """Yield at most `size` different items; end early after 1,000 draws without a new one."""
    seen: set[tuple] = set()
    misses = 0
    while len(seen) < size and misses <= 1000:
        item = draw()
        misses = misses + 1 if item in seen else 0
        if not misses:
            seen.add(item)
            yield item


def _rng(stream: str) -> random.Random:
    return random.Random(hashlib.sha256(stream.encode()).digest())
