"""Hints of error messages."""

import pytest

from xstilts.errors import nearest


@pytest.mark.parametrize(
    ("name", "choices", "hint"),
    [
        ("xnly", ["xnli", "udpos"], "did you mean 'xnli'?"),
        ("XNLI", ["xnli", "udpos"], "did you mean 'xnli'?"),
        ("SQuAD", ["squad", "squad2"], "did you mean 'squad'?"),
        ("A100", ["a100", "h100"], "did you mean 'a100'?"),
        ("XLM-R-base", ["xlmr-base", "xlmr-large"], "did you mean 'xlmr-base'?"),
        ("learning-rate", ["learning_rate", "epochs"], "did you mean 'learning_rate'?"),
        ("zzz", ["b", "a"], "valid: a, b"),
        ("", ["b", "a"], "valid: a, b"),
        ("a", [], "valid: none"),
    ],
)
def test_nearest(name, choices, hint):
    assert nearest(name, choices) == hint


def test_long_lists_of_choices_are_truncated():
    assert nearest("", [f"{number:02}" for number in range(20)]).endswith("10, 11, …")


def test_letters_of_another_script_are_named():
    hint = "did you mean 'tiny'? ('\u0456' is cyrillic small letter byelorussian-ukrainian i)"
    assert nearest("t\u0456ny", ["tiny", "base"]) == hint
