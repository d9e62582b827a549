"""A short run of the fuzzer: odd input never ends in a traceback."""

import pytest

from tests.fuzz import ATTEMPTS, fuzz, workplace


@pytest.mark.parametrize("kind", ATTEMPTS)
def test_odd_input_is_handled(kind):
    with workplace():
        assert list(fuzz(10 if kind == "arguments" else 60, seed=11, kinds=[kind])) == []
