"""The five languages, and how each expresses an event.

English, and four constructed languages that differ from it in vocabulary, script, word order and
morphology (in the spirit of K et al. 2020 and Dufter & Schütze 2020). They share no word with it.
"""

import hashlib
import random
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from xstilts.lab import world
from xstilts.lab.world import Event, Noun


@dataclass(frozen=True)
class Language:
    """A grammar as data; the defaults are those of English.

    `order` places Subject, Verb, Object, Place and Time. Syllables are drawn from `consonants` and
    `vowels`; English has its own words.
    """

    name: str
    script: str
    order: str
    consonants: str = ""
    vowels: str = ""
    adjective_first: bool = True
    prepositions: bool = True
    articles: bool = True
    question_first: bool = True
    particles_first: bool = True  # negation and the passive particle precede the verb
    accusative: str = ""
    verb_ending: str = ""


LANGUAGES: dict[str, Language] = {
    "en": Language("English", "Latin", "SVOPT"),
    "xa": Language("Xala", "Latin", "SVOPT", "bdfgjklmnprstvz", "aeiou", adjective_first=False),
    "xb": Language(
        "Xobu",
        "Cyrillic",
        "SVOTP",
        "бвгджзклмнпрстфш",
        "аеиоуы",
        articles=False,
        accusative="юм",
        verb_ending="ять",
    ),
    "xc": Language("Xico", "Greek", "VSOPT", "βγδζθκλμνπρστφχ", "αεηιου", adjective_first=False),
    "xd": Language(
        "Xedi",
        "Georgian",
        "STPOV",
        "ბგდვზთკლმნპრსტფქშჩ",
        "აეიოუ",
        prepositions=False,
        articles=False,
        question_first=False,
        particles_first=False,
        accusative="ჰა",
    ),
}
FUNCTION_WORDS = [
    *("the", "not", "in", "by", "was", "did"),
    *("who", "what", "where", "when", "yes", "no"),
]
CONTENT_WORDS = (
    world.AGENTS + world.THINGS + world.HANDLE + world.MEET + world.PLACES + world.TIMES
    + world.ORIGINS + world.COLOURS + world.FIRM_KINDS
    + world.PEOPLE + world.FAMILIES + world.FIRMS + world.CITIES
)  # fmt: skip
NAMES = frozenset(world.PEOPLE + world.FAMILIES + world.FIRMS + world.CITIES)


class Token(NamedTuple):
    """A word before spelling. role: its part in the event (subject, object, place, time)."""

    concept: str
    inflection: str  # "", "accusative" or "finite"
    word_class: str
    entity: str = "O"
    role: str = ""


@cache
def lexicon(language: str) -> dict[str, str]:
    """Return the word of each concept: English, or random syllables in other languages."""
    if language == "en":
        return {concept: concept for concept in FUNCTION_WORDS + CONTENT_WORDS}
    letters = LANGUAGES[language]
    rng = random.Random(hashlib.sha256(f"lexicon {language}".encode()).digest())
    taken = set(FUNCTION_WORDS + CONTENT_WORDS)
    words = {}
    for concept in FUNCTION_WORDS + CONTENT_WORDS:
        while True:
            count = 1 if concept in FUNCTION_WORDS else rng.choice((2, 2, 3))
            word = "".join(
                rng.choice(letters.consonants) + rng.choice(letters.vowels) for _ in range(count)
            ) + rng.choice(("", rng.choice(letters.consonants)))
            if word not in taken:
                break
        taken.add(word)
        words[concept] = word
    return words


def spell(token: Token, language: str) -> str:
    """Return the word of a token in any language, which is how texts are mixed."""
    if token.word_class == "PUNCT":
        return token.concept
    word, grammar = lexicon(language)[token.concept], LANGUAGES[language]
    if token.inflection == "accusative":
        return word + grammar.accusative
    if token.inflection == "finite":
        if language == "en":
            return word + ("d" if word.endswith("e") else "ed")
        return word + grammar.verb_ending
    return word


def noun_phrase(noun: Noun, grammar: Language, role: str, accusative: bool = False) -> list[Token]:
    """Return article, adjective and noun in the language's order; names have no article."""
    inflection = "accusative" if accusative else ""
    if noun.head in world.PEOPLE or noun.head in world.FIRMS:
        kind = "PER" if noun.head in world.PEOPLE else "ORG"
        rest = [Token(noun.modifier, "", "PROPN", f"I-{kind}", role)] if noun.modifier else []
        return [Token(noun.head, inflection, "PROPN", f"B-{kind}", role), *rest]
    tokens = [Token(noun.head, inflection, "NOUN", "O", role)]
    if noun.modifier:
        adjective = Token(noun.modifier, "", "ADJ", "O", role)
        tokens.insert(0 if grammar.adjective_first else 1, adjective)
    article = [Token("the", "", "DET")] if grammar.articles else []
    return article + tokens


def _adposition(concept: str, phrase: list[Token], grammar: Language) -> list[Token]:
    adposition = [Token(concept, "", "ADP")]
    return adposition + phrase if grammar.prepositions else phrase + adposition


def _place(place: str, grammar: Language) -> list[Token]:
    if place in world.CITIES:
        phrase = [Token(place, "", "PROPN", "B-LOC", "place")]
    else:
        phrase = noun_phrase(Noun(place), grammar, "place")
    return _adposition("in", phrase, grammar)


def _verb(event: Event, language: str, passive: bool) -> list[Token]:
    verb = Token(event.verb, "finite", "VERB")
    particles = [Token("was", "", "AUX")] if passive else []
    if language == "en":
        if event.negated and not passive:
            return [Token("did", "", "AUX"), Token("not", "", "PART"), verb._replace(inflection="")]
        return [*particles, *([Token("not", "", "PART")] if event.negated else []), verb]
    if event.negated:
        particles.insert(0, Token("not", "", "PART"))
    return [*particles, verb] if LANGUAGES[language].particles_first else [verb, *particles[::-1]]


def _slots(event: Event, language: str) -> dict[str, list[Token]]:
    grammar = LANGUAGES[language]
    return {
        "S": noun_phrase(event.subject, grammar, "subject"),
        "V": _verb(event, language, passive=False),
        "O": noun_phrase(event.object, grammar, "object", accusative=True),
        "P": _place(event.place, grammar) if event.place else [],
        "T": [Token(event.time, "", "NOUN", "O", "time")] if event.time else [],
    }


def statement(event: Event, language: str, style: str = "plain") -> list[Token]:
    """Return the event as a sentence. style: "plain", "passive", or "place" / "time" first."""
    grammar = LANGUAGES[language]
    slots, order = _slots(event, language), grammar.order
    if style == "passive":
        by = _adposition("by", noun_phrase(event.subject, grammar, "subject"), grammar)
        patient = noun_phrase(event.object, grammar, "object")
        slots |= {"S": patient, "V": _verb(event, language, passive=True), "O": by}
    elif style != "plain":
        first = style[0].upper()
        order = first + order.replace(first, "")
    return [token for slot in order for token in slots[slot]] + [Token(".", "", "PUNCT")]


def question(event: Event, language: str, role: str) -> list[Token]:
    """Return the question for "subject", "object", "place" or "time"; "" asks yes or no."""
    grammar = LANGUAGES[language]
    asked = {"place": "where", "time": "when", "": "did"}.get(role)
    if asked is None:
        asked = "what" if getattr(event, role).head in world.THINGS else "who"
    word = [Token(asked, "", {"who": "PRON", "what": "PRON", "did": "AUX"}.get(asked, "ADV"))]
    slots = _slots(event, language)
    if language == "en" and role != "subject":
        slots["V"] = [Token(event.verb, "", "VERB")]
        if role:
            word.append(Token("did", "", "AUX"))
    slot = role[:1].upper() or "?"
    slots[slot] = word
    order = grammar.order
    if grammar.question_first:
        order = slot + order.replace(slot, "")
    elif not role:
        order += slot
    return [token for slot in order for token in slots[slot]] + [Token("?", "", "PUNCT")]
