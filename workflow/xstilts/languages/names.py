"""What tables and reports say of a language code: name, family and script."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

_TABLE = Path(__file__).with_name("languages.yaml")
OTHER = "other"


class Language(NamedTuple):
    """A language; of Indo-European languages the family is the branch."""

    code: str
    name: str
    family: str
    script: str


@cache
def languages() -> dict[str, Language]:
    """The languages that are known, by code."""
    entries = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return {code: Language(code, *entry) for code, entry in entries.items()}


def language(code: str) -> Language:
    """`zh_tw` is found as `zh`; an unknown language is called by its code, of family `other`."""
    known = languages()
    found = known.get(code) or known.get(code.split("_")[0])
    return found._replace(code=code) if found else Language(code, code, OTHER, OTHER)
