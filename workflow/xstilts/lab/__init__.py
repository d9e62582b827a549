"""The lab: a small synthetic world that generates text and a miniature of every family."""

from xstilts.lab.examples import KINDS, rows
from xstilts.lab.languages import LANGUAGES
