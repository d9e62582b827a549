"""Two rows of a study with the same trainings are refused."""

import pytest

from tests import CONFIG
from tests.grid.test_grid import grid
from xstilts.errors import InputError
from xstilts.grid.state import open_study


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"recipes": ["none", "lab_nli", "lab_nli@en"]}, "'lab_nli' and 'lab_nli@en'"),
        ({"recipes": ["lab_nli~2500", "lab_nli"]}, "'lab_nli~2500' and 'lab_nli'"),
        ({"recipes": ["lab_text@all", "lab_text"]}, "'lab_text@all' and 'lab_text'"),
        ({"recipes": [{"a": "lab_nli"}, {"b": "lab_nli"}]}, "recipes: 'a' and 'b'"),
        (
            {"recipes": ["lab_nli+lab_squad", "lab_squad@en+lab_nli"]},
            r"'lab_nli\+lab_squad' and 'lab_nli\+lab_squad@en'",
        ),
        (
            {"recipes": ["lab_nli", "lab_nli~9steps"], "train": {"max_steps": 9}},
            "'lab_nli' and 'lab_nli~9steps'",
        ),
        (
            {"arms": {"a": {}, "b": {"train": {"epochs": 2}}}, "train": {"epochs": 2}},
            r"arms: 'lab_tiny\+a' and 'lab_tiny\+b'",
        ),
    ],
)
def test_rows_of_one_training_are_refused(changes, rows):
    with pytest.raises(InputError, match=f"^--config, .*{rows} are the same training"):
        open_study(CONFIG / "config.yaml", {"controls": []} | changes)


def test_rows_that_differ_under_an_arm_are_accepted():
    arms = {"few": {"train": {"max_steps": 9}}, "many": {}}
    grid(recipes=["none", "lab_nli", "lab_nli~9steps"], arms=arms).check_rows_differ(str)


def test_data_given_twice_in_a_step_are_refused():
    found = grid(recipes=["none", "lab_nli+lab_nli@en"])
    with pytest.raises(InputError, match="'lab_nli' and 'lab_nli@en' are the same data"):
        found.scores()
