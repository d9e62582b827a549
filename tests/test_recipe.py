import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xstilts.config.schema import RECIPE_NAME
from xstilts.recipe import Merge, Part, Recipe, RecipeError, Size, Step, parse

tasks = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "none")
languages = st.one_of(st.none(), st.sampled_from(["de", "en", "swa", "zh_hans", "xa"]))
sizes = st.one_of(
    st.none(),
    st.builds(Size, st.integers(1, 10**8)),
    st.builds(Size, st.integers(1, 99), st.just(True)),
)
parts = st.builds(Part, tasks, languages, sizes)
trainings = st.builds(
    lambda parts, max_steps: Step(tuple(sorted(parts, key=str)), max_steps),
    st.lists(parts, min_size=1, max_size=3, unique_by=str),
    st.one_of(st.none(), st.integers(1, 10**6)),
)
several = st.lists(trainings, min_size=2, max_size=3, unique_by=str)
merges = st.builds(
    lambda trainings, scale: Merge(tuple(sorted(trainings, key=str)), scale),
    several,
    # 1/2 and 1/4 are means
    st.one_of(st.none(), st.integers(1, 10_000).filter(lambda n: n % 250).map(lambda n: n / 1000)),
)
recipes = st.lists(st.one_of(trainings, merges), max_size=3).map(lambda steps: Recipe(tuple(steps)))
slow = settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine


@slow
@given(recipes)
def test_printed_recipe_parses_to_itself(recipe):
    assert parse(str(recipe)) == recipe


@slow
@given(recipes)
def test_printed_recipe_is_a_file_name(recipe):
    assert re.fullmatch(r"[a-z0-9_+@~|.-]+", str(recipe))
    assert re.fullmatch(RECIPE_NAME, str(recipe))


@given(st.text(alphabet="ab1_+-|@~kpct. Nes", max_size=14))
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
        ("squad|mnli", "mnli|squad"),
        ("squad|mnli~0.30", "mnli|squad~0.3"),
        ("squad~10k|mnli~1.0", "mnli|squad~10k~1.0"),
        ("mnli~20steps|squad~30steps~0.5", "mnli~20steps|squad~30steps"),
        ("mnli|squad+qqp-ccg|xnli~0.25", "mnli|qqp+squad-ccg|xnli~0.25"),
        ("mnli~0.3", "mnli~0.3"),
        ("mnli~1.0", "mnli"),
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
        ("mnli|", 6, "a task name"),
        ("|mnli", 1, "a task name"),
        ("mnli|squad|mnli", 12, "another training than 'mnli'"),
        ("mnli~0.3|squad", 9, "'-' or the end"),
        ("mnli|squad~0.3~1k", 15, "'-' or the end"),
        ("mnli|squad~0.0", 12, "a scale above 0"),
        ("mnli|squad~11.0", 12, "at most 10"),
        ("mnli|squad~0.1234", 12, "at most 3 decimals"),
    ],
)
def test_mistake_names_position_and_expectation(text, position, expected):
    with pytest.raises(RecipeError, match=f"position {position}: ") as error:
        parse(text)
    assert expected in str(error.value)


def test_merges_bind_between_mixtures_and_chains():
    first, merge, last = parse("qqp-mnli+xnli|squad~0.3-ccg").steps
    assert (str(first), str(last)) == ("qqp", "ccg")
    assert merge.scale == 0.3
    assert list(map(str, merge.trainings)) == ["mnli+xnli", "squad"]
    assert [part.task for part in merge.parts] == ["mnli", "xnli", "squad"]


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
