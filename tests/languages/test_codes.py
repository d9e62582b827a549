"""Placeholders for the language in paths and names."""

import pytest

from xstilts.errors import InputError
from xstilts.languages.codes import fill


@pytest.mark.parametrize(
    ("template", "language", "expected"),
    [
        ("xnli/{language}.tsv", "de", "xnli/de.tsv"),
        ("tatoeba.{iso3}-eng", "de", "tatoeba.deu-eng"),
        ("tatoeba.{iso3}-eng", "ang", "tatoeba.ang-eng"),
        ("tydiqa/{name}.json", "sw", "tydiqa/swahili.json"),
        ("squad/train.json", "en", "squad/train.json"),
    ],
)
def test_placeholders_are_replaced(template, language, expected):
    assert fill(template, language) == expected


def test_language_without_a_name_is_reported():
    with pytest.raises(InputError, match=r"'de' has no \{name\}; "):
        fill("tydiqa/{name}.json", "de")
