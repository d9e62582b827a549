"""A release with the same rows in several languages, in halves that share no premise."""

import pytest

from xstilts.errors import InputError
from xstilts.sources.files import read

ROWS = [(f"premise {number // 3}", f"hypothesis {number}", "neutral") for number in range(60)]


def write(folder, language, rows=ROWS):
    """Write the file of one language; its texts begin with the language's code."""
    path = folder / f"multinli.train.{language}.tsv"
    lines = [f"{language} {a}\t{language} {b}\t{label}" for a, b, label in rows]
    path.write_text("\n".join(["premise\thypo\tlabel", *lines]) + "\n")
    return path


def test_halves_share_no_premise_in_any_language(tmp_path):
    paths = [write(tmp_path, language) for language in ("de", "en")]
    half = {
        (language, portion): read("xnli-mt", paths, language, portion=portion).rows
        for language in ("de", "en")
        for portion in "ab"
    }
    for (language, _), rows in half.items():
        assert all(row["text_a"].startswith(language) for row in rows)
    premises = {key: {row["text_a"].split(" ", 1)[1] for row in rows} for key, rows in half.items()}
    assert premises["de", "a"] == premises["en", "a"]
    assert premises["de", "b"] == premises["en", "b"]
    assert not premises["de", "a"] & premises["en", "b"]
    for language in ("de", "en"):
        assert len(half[language, "a"]) + len(half[language, "b"]) == len(ROWS)
        assert min(len(half[language, "a"]), len(half[language, "b"])) > 15


def test_rows_of_the_other_half_are_counted(tmp_path):
    table = read("xnli-mt", [write(tmp_path, "en")], "en", portion="a")
    assert len(table.rows) + table.excluded["in the other portion"] == len(ROWS)


@pytest.mark.parametrize(
    ("languages", "portion", "message"),
    [
        (["de"], "a", r"`portion` needs the file \*\.en\.tsv"),
        (["de", "en"], "c", "portion 'c': expected 'a' or 'b'"),
    ],
)
def test_an_impossible_half_is_rejected(tmp_path, languages, portion, message):
    paths = [write(tmp_path, language) for language in languages]
    with pytest.raises(InputError, match=message):
        read("xnli-mt", paths, "de", portion=portion)


def test_files_of_other_languages_are_rejected(tmp_path):
    paths = [write(tmp_path, language) for language in ("de", "fr")]
    with pytest.raises(InputError, match="no file in 'sw'; valid: de, fr"):
        read("xnli-mt", paths, "sw")


def test_files_of_different_length_are_rejected(tmp_path):
    paths = [write(tmp_path, "de", ROWS[:-1]), write(tmp_path, "en")]
    with pytest.raises(InputError, match="differ in their number of rows"):
        read("xnli-mt", paths, "de", portion="a")
