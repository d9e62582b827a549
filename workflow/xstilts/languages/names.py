"""Name, family and script of each language code, for tables and reports."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from xstilts.languages.codes import TATOEBA_CODES

_TABLE = Path(__file__).with_name("languages.yaml")
OTHER = "other"
LEVELS = ("low", "high", "unknown")  # of resources
LOW = 2  # the highest class of low-resource languages


class Language(NamedTuple):
    """A language; the family of an Indo-European language is its branch, such as Germanic."""

    code: str
    name: str
    family: str
    script: str
    resource_class: int | None = None  # 0 to 5, of Joshi et al. 2020

    @property
    def resource(self) -> str:
        """Resource level: low for the classes 0 to 2, high for the others, or unknown."""
        if self.resource_class is None:
            return LEVELS[-1]
        return LEVELS[0] if self.resource_class <= LOW else LEVELS[1]

    def spellings(self) -> list[str]:
        """Return the other names of the language: in English, and its code of three letters."""
        return [self.name, TATOEBA_CODES.get(self.code, "")]


@cache
def languages() -> dict[str, Language]:
    """Return the known languages by code."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, if PyYAML has it
    entries = yaml.load(_TABLE.read_text(encoding="utf-8"), loader)
    return {code: Language(code, *entry) for code, entry in entries.items()}


def language(code: str) -> Language:
    """Return the language of a code.

    A variant such as `zh_tw` takes name, family and script of `zh`. The name of an unknown language
    is its code.
    """
    known = languages()
    found = known.get(code) or known.get(code.split("_")[0])
    return found._replace(code=code) if found else Language(code, code, OTHER, OTHER)


def by_code(codes: Iterable[str]) -> dict[str, Language]:
    """Return languages by their codes."""
    return {code: language(code) for code in codes}


def labels(codes: Iterable[str]) -> dict[str, str]:
    """Return the names of languages by code; with the code where two have one name."""
    known = by_code(codes)
    counts = Counter(entry.name for entry in known.values())
    return {
        code: entry.name
        if counts[entry.name] == 1 or entry.name == code
        else f"{entry.name} ({code})"
        for code, entry in known.items()
    }
