"""The notation of claims: what it means, and where a mistake is."""

import pytest

from tests import shipped
from xstilts.config.claims import ALL, EACH_OTHER, Comparison, Gain, parse
from xstilts.config.project import assemble
from xstilts.errors import InputError, NotationError

STUDY = {
    "study": "s",
    "models": ["lab_tiny"],
    "recipes": ["none", {"chain": "lab_mnli-lab_squad"}, "lab_mnli"],
    "targets": ["lab_nli", "lab_reading"],
    "seeds": [1],
}


def study(**changes):
    return assemble({**STUDY, **changes}, shipped())


@pytest.mark.parametrize(
    ("text", "comparison"),
    [
        ("mean gain of squad > 0", Comparison(Gain(("squad",)), True)),
        ("gain of squad>2.5", Comparison(Gain(("squad",)), True, None, 2.5)),
        (
            "gain of squad on tydiqa < gain of squad, mnli on xnli in sw, ur - 1",
            Comparison(
                Gain(("squad",), ("tydiqa",)),
                False,
                Gain(("squad", "mnli"), ("xnli",), ("sw", "ur")),
                -1.0,
            ),
        ),
        (
            "gain of mnli@de~10k-squad+mlm > gain of each other",
            Comparison(Gain(("mnli@de~10k-squad+mlm",)), True, Gain(EACH_OTHER)),
        ),
        (
            "gain of all on tatoeba > gain of all on each other + 3",
            Comparison(Gain(ALL, ("tatoeba",)), True, Gain(ALL, EACH_OTHER), 3.0),
        ),
    ],
)
def test_a_claim_states_a_comparison(text, comparison):
    assert parse(text) == comparison


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "'gain of'"),
        ("gain squad > 0", 6, "'of' and names of recipes"),
        ("gain of squad on > 0", 18, "the name of a target"),
        ("gain of squad", 14, "'>' or '<'"),
        ("gain of squad >", 16, "a number or 'gain of'"),
        ("gain of squad > 5 6", 19, "the end"),
        ("gain of each other > 1", 9, "the name of a recipe"),
        ("gain of a > gain of each other on each other", 35, "the name of a target"),
        ("gain of a > gain of b + c", 25, "a number of points"),
        ("gain of a, > 0", 12, "the name of a recipe"),
    ],
)
def test_a_mistake_is_shown_where_it_is(text, position, expected):
    with pytest.raises(NotationError, match=rf"position {position}: expected {expected}") as error:
        parse(text)
    assert str(error.value).splitlines()[-1].index("^") == position + 1


def claim(holds_if):
    return {"claims": [{"says": "It helps.", "source": "A 2020", "holds_if": holds_if}]}


@pytest.mark.parametrize(
    ("holds_if", "message"),
    [
        ("gain of lab_mnly > 0", "claims, 1. holds_if: unknown recipe with a gain 'lab_mnly'"),
        ("gain of none > 0", "unknown recipe with a gain 'none'"),
        ("gain of lab_wordclass > 0", "unknown recipe with a gain 'lab_wordclass'"),
        ("gain of all on lab_nly > 0", "unknown target 'lab_nly': did you mean 'lab_nli'"),
        ("gain of all in de > 0", "unknown language 'de'"),
        ("gain of all > gain of each other", "`each other` needs recipes named"),
        ("gain of chain > gain of chain on each other", "`each other` needs targets named"),
        ("gain of chain", "position 14: expected '>' or '<', found the end"),
    ],
)
def test_a_claim_names_what_the_study_has(holds_if, message):
    with pytest.raises(InputError, match=message):
        study(**claim(holds_if))


@pytest.mark.parametrize("name", ["chain", "lab_mnli-lab_squad", "best"])
def test_a_recipe_is_claimed_by_name_or_notation(name):
    assert study(**claim(f"gain of {name} on lab_nli in xa > 0")).study.claims
