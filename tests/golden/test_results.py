"""The tiny project's results are those on record; see `tests/golden/results.py`."""

import json

import pytest

from tests.golden import results
from xstilts import identity

RECORDED = json.loads(results.RECORD.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def current(published):
    return results.compute()


@pytest.mark.parametrize("phase", [phase for phase in identity.VERSIONS if phase != "fetch"])
def test_results_are_those_on_record(current, phase):
    different = list(results.differences(RECORDED[phase], current[phase], phase))
    assert not different, (
        f"if this is intended, raise identity.VERSIONS[{phase!r}] or a family's VERSION"
    )


def test_differences_are_named_by_their_place():
    recorded = {"a": [1, 2.0], "b": "x", "c": 1}
    current = {"a": [1, 2.00001], "b": "y", "d": 1}
    assert list(results.differences(recorded, current, "train")) == [
        "train / b: y, recorded x",
        "train / c: None, recorded 1",
        "train / d: not recorded",
    ]
    assert list(results.differences([1], [1, 2])) == [": [1, 2], recorded [1]"]
    assert list(results.differences([1.0], [1.01])) == [" [0]: 1.01, recorded 1.0"]
