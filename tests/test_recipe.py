import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.recipe import Part, Recipe, RecipeError, Size, Step, parse

tasks = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "none")
languages = st.one_of(st.none(), st.sampled_from(["de", "en", "swa", "zh_hans", "xa"]))
sizes = st.one_of(
    st.none(),
    st.builds(Size, st.integers(1, 10**8)),
    st.builds(Size, st.integers(1, 99), st.just(True)),
)
parts = st.builds(Part, tasks, languages, sizes)
steps = st.builds(
    lambda parts, max_steps: Step(tuple(sorted(parts, key=str)), max_steps),
    st.lists(parts, min_size=1, max_size=4, unique_by=str),
    st.one_of(st.none(), st.integers(1, 10**6)),
)
recipes = st.lists(steps, max_size=4).map(lambda steps: Recipe(tuple(steps)))


@given(recipes)
def test_printed_recipe_parses_to_itself(recipe):
    assert parse(str(recipe)) == recipe


@given(recipes)
def test_printed_recipe_is_a_file_name(recipe):
    assert re.fullmatch(r"[a-z0-9_+@~-]+", str(recipe))


@given(st.text(alphabet="ab1_+-@~kpct. Nes", max_size=14))
def test_any_text_parses_or_names_a_position(text):
    try:
        recipe = parse(text)
    except RecipeError as error:
        assert 0 <= error.position <= len(text)
        assert f"position {error.position + 1}: expected " in str(error)
    else:
        assert parse(str(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        ("mnli", "mnli"),
        ("mnli-hellaswag", "mnli-hellaswag"),
        ("squad2+mnli+qqp", "mnli+qqp+squad2"),
        ("mnli@de~10000", "mnli@de~10k"),
        ("mnli~100pct", "mnli"),
        ("mnli~1500", "mnli~1500"),
        ("mnli~2000k", "mnli~2m"),
        ("mnli~5pct", "mnli~5pct"),
        ("mnli@de+mnli", "mnli+mnli@de"),
        ("mnli@all~10000", "mnli@all~10k"),
        ("mnli~1000~300steps-qqp", "mnli~1k~300steps-qqp"),
        ("squad+mnli~1k~300steps", "mnli~1k+squad~300steps"),
    ],
)
def test_canonical_form(text, canonical):
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "a task name"),
        ("MNLI", 1, "a task name"),
        ("mnli++squad", 6, "a task name"),
        ("mnli-", 6, "a task name"),
        ("mnli-none", 6, "'none' stands alone"),
        ("mnli@", 6, "a language code"),
        ("mnli@DE", 6, "a language code"),
        ("mnli@de@fr", 8, "'~', '+', '-' or the end"),
        ("mnli~0", 6, "a size"),
        ("mnli~101pct", 6, "from 1 to 100"),
        ("mnli~10k@de", 9, "'+', '-' or the end"),
        ("mnli squad", 5, "'@', '~', '+', '-' or the end"),
        ("mnli+mnli", 6, "another task than 'mnli'"),
        ("mnli~1000+mnli~1k", 11, "another task than 'mnli~1k'"),
        ("mnli~300steps+qqp", 14, "'-' or the end"),
        ("mnli~300steps~1k", 14, "'-' or the end"),
    ],
)
def test_mistake_names_position_and_expectation(text, position, expected):
    with pytest.raises(RecipeError, match=f"position {position}: ") as error:
        parse(text)
    assert expected in str(error.value)


def test_a_step_with_one_task_differs_from_two_steps():
    assert parse("a-b") != parse("b-a")
    assert parse("a+b") == parse("b+a")


@pytest.mark.parametrize(
    ("size", "total", "count"),
    [
        (Size(10), 100, 10),
        (Size(10), 4, 4),
        (Size(5, True), 200, 10),
        (Size(1, True), 10, 1),
        (Size(100, True), 7, 7),
    ],
)
def test_size_of_a_total(size, total, count):
    assert size.of(total) == count
