import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.identity import Identity, canonical, digest

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_digest_does_not_depend_on_key_order(value):
    assert digest(dict(reversed(value.items()))) == digest(value)


@given(json_values, json_values)
def test_digest_differs_if_canonical_json_differs(one, other):
    assert (digest(one) == digest(other)) == (canonical(one) == canonical(other))


def test_known_digest():
    # sha256 of {"a":[1,2.5,"ä"],"b":null}, computed with sha256sum
    assert digest({"b": None, "a": [1, 2.5, "ä"]}) == "44c57cc6d7b0"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_outside_json_have_no_digest(value):
    with pytest.raises(ValueError):
        digest(value)


def test_digest_covers_phase_and_version_not_name(monkeypatch):
    first = Identity("train", "a", {"seed": 1})
    assert first.id == f"a.{first.digest}"
    assert Identity("train", "b", {"seed": 1}).digest == first.digest
    assert Identity("predict", "a", {"seed": 1}).digest != first.digest
    monkeypatch.setitem(__import__("xstilts.identity").identity.VERSIONS, "train", 99)
    assert Identity("train", "a", {"seed": 1}).digest != first.digest


def test_long_names_stay_file_names():
    assert len(Identity("train", "x" * 400, {}).id) < 200
    for name in ("é" * 200, "x" + "語" * 100):
        assert len(Identity("train", name, {}).id.encode()) < 200


def test_long_names_keep_model_seed_and_target():
    model, target, seed = "m" * 60, "t" * 60, 2**63
    name = f"{model}.{'-'.join(['task'] * 90)}.s{seed}.{target}"
    id = Identity("predict", name, {}).id
    assert id.startswith(f"{model}.task-")
    assert re.fullmatch(rf"[^/]+\.s{seed}\.{target}\.[0-9a-f]{{12}}", id)
