"""Events of the lab's world: who does what to whom, where and when.

Concepts are named by their English word. An *event* is one occurrence. The split decides which
participants may meet, so no event of a test item can occur in training or in text.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, product

# fmt: off
AGENTS = [
    "doctor", "farmer", "teacher", "baker", "singer", "sailor", "judge", "painter",
    "nurse", "guard", "pilot", "tailor", "hunter", "miller", "poet", "smith",
]
THINGS = [
    "apple", "lamp", "chair", "bottle", "basket", "book", "clock", "drum",
    "ladder", "mirror", "hammer", "carpet", "kettle", "window", "boat", "wagon",
]
PEOPLE = [
    "adam", "boris", "clara", "david", "elena", "felix", "greta", "henry",
    "irene", "jacob", "karen", "lucas", "maria", "nadia", "oscar", "paula",
]
FAMILIES = ["abbott", "brandt", "castro", "dumont", "fischer", "hansen", "ivanov", "lopez"]
FIRMS = ["acme", "boreal", "corvus", "fortuna", "gemini", "helios", "krypton", "lumen"]
CITIES = [
    "athens", "berlin", "cairo", "dublin", "geneva", "hanoi",
    "jakarta", "lisbon", "madrid", "nairobi", "oslo", "prague",
]
FIRM_KINDS = ["bank", "school", "press"]
PLACES = ["garden", "market", "forest", "kitchen", "harbour", "church", "meadow", "station"]
TIMES = ["monday", "tuesday", "wednesday", "thursday", "friday", "sunday"]
ORIGINS = ["northern", "southern", "eastern", "western", "royal", "foreign"]
COLOURS = ["red", "green", "blue", "white", "black", "yellow"]
# Verbs for things and for people. In a story each is followed by the next, in a circle.
HANDLE = ["lift", "clean", "open", "paint", "mend", "wash"]
MEET = ["watch", "follow", "greet", "help", "call", "visit"]
# fmt: on

SPLITS = ("train", "validation", "test")
PORTIONS = ("a", "b")
# Participants i and j meet in the part that owns (i + j) mod 8. The sum is symmetric, so exchanged
# roles stay in the same part, and every thing has two agents in every part.
PARTS = {
    ("train", "a"): {0, 1},
    ("train", "b"): {2, 3},
    ("validation", "a"): {4},
    ("validation", "b"): {5},
    ("test", "a"): {6},
    ("test", "b"): {7},
}
_NUMBER = {n: i for names in (AGENTS, THINGS, PEOPLE, FIRMS) for i, n in enumerate(names)}


@dataclass(frozen=True)
class Noun:
    """A participant: its head concept and a modifier (adjective, surname, kind of firm)."""

    head: str
    modifier: str = ""


@dataclass(frozen=True)
class Event:
    """One occurrence. `place` and `time` are "" if they are not mentioned."""

    subject: Noun
    verb: str
    object: Noun
    place: str = ""
    time: str = ""
    negated: bool = False


def part_of(event: Event) -> tuple[str, str]:
    """Return the only (split, portion) in which these two participants meet."""
    owner = (_NUMBER[event.subject.head] + _NUMBER[event.object.head]) % 8
    return next(part for part, owned in PARTS.items() if owner in owned)


def names(pool: Sequence[str], split: str) -> Sequence[str]:
    """Return the names of a split: half for train, a quarter for each other split."""
    half, quarter = len(pool) // 2, len(pool) // 4
    start = {"train": 0, "validation": half, "test": half + quarter}[split]
    return pool[start : start + (half if split == "train" else quarter)]


def following(verb: str) -> str:
    """Return the verb that usually comes next in a story."""
    circle = HANDLE if verb in HANDLE else MEET
    return circle[(circle.index(verb) + 1) % len(circle)]


@cache
def meetings(
    split: str, portions: tuple[str, ...], named: str, objects: str
) -> tuple[list[tuple[str, str]], list[float]]:
    """Return the (subject, object) heads that may meet, and cumulative weights (Zipf per class).

    named: "none", "held" (names of this split only) or "all". objects: "things", "agents", "any".
    """
    choose = {"none": lambda pool: (), "held": lambda pool: names(pool, split), "all": tuple}[named]
    named_heads = [*choose(PEOPLE), *choose(FIRMS)]
    subjects = [*AGENTS, *named_heads]
    targets = {"things": THINGS, "agents": subjects, "any": [*THINGS, *subjects]}[objects]
    allowed = set().union(*(PARTS[split, portion] for portion in portions))
    heads, weights = [], []
    for subject, target in product(subjects, targets):
        if subject != target and (_NUMBER[subject] + _NUMBER[target]) % 8 in allowed:
            heads.append((subject, target))
            weights.append(_weight(subject) * _weight(target))
    return heads, list(accumulate(weights))


def _weight(head: str) -> float:
    if head in AGENTS or head in THINGS:
        return 1 / (_NUMBER[head] + 4)
    return 0.1


def prefer(rng: random.Random, head: str, choices: Sequence[str]) -> str:
    """Return a random choice; in 60 %, one of the two that this concept prefers."""
    if rng.random() < 0.6:
        first = zlib.crc32(f"{head} {choices[0]}".encode())
        return choices[(first + rng.randrange(2)) % len(choices)]
    return rng.choice(choices)


def describe(rng: random.Random, head: str, split: str, named: str) -> Noun:
    """Return a noun with this head and an adjective, or the rest of its name."""
    families = FAMILIES if named == "all" else names(FAMILIES, split)
    if head in PEOPLE:
        return Noun(head, rng.choice(families) if rng.random() < 0.5 else "")
    if head in FIRMS:
        return Noun(head, prefer(rng, head, FIRM_KINDS))
    return Noun(head, prefer(rng, head, COLOURS if head in THINGS else ORIGINS))


def happen(
    rng: random.Random,
    split: str,
    portions: tuple[str, ...],
    named: str = "none",
    objects: str = "any",
) -> Event:
    """Return a full event: two participants with modifiers, a place and a time."""
    pairs, weights = meetings(split, portions, named, objects)
    subject, target = rng.choices(pairs, cum_weights=weights)[0]
    place = prefer(rng, subject, PLACES)
    if named != "none" and rng.random() < 0.5:
        place = prefer(rng, subject, CITIES if named == "all" else names(CITIES, split))
    return Event(
        subject=describe(rng, subject, split, named),
        verb=prefer(rng, target, HANDLE if target in THINGS else MEET),
        object=describe(rng, target, split, named),
        place=place,
        time=prefer(rng, target, TIMES),
    )
