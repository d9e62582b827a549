"""The lab: a small multilingual world from which text and a miniature of every family come."""

from xstilts.lab.examples import KINDS, rows
from xstilts.lab.languages import LANGUAGES

__all__ = ["KINDS", "LANGUAGES", "rows"]
