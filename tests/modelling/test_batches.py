"""Batches: the examples of each optimiser step."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.modelling.batches import Supply, plan, split, subsample
from xstilts.modelling.steps import ceil_div
from xstilts.recipe import Size

counts = st.integers(1, 200)
seeds = st.integers(0, 2**40)


@given(counts, seeds, counts, counts)
def test_subsamples_are_nested_and_distinct(count, seed, size, other_size):
    small, large = sorted((size, other_size))
    chosen = subsample(count, Size(small), seed)
    assert len(chosen) == len(set(chosen)) == min(small, count)
    assert set(chosen) <= set(subsample(count, Size(large), seed)) <= set(range(count))
    assert chosen == sorted(chosen)


def test_subsamples_differ_between_seeds():
    assert subsample(1000, Size(10), 1) != subsample(1000, Size(10), 2)
    assert subsample(5, None, 1) == [0, 1, 2, 3, 4]
    assert len(subsample(40, Size(5, percent=True), 1)) == 2


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 40), seeds)
def test_every_pass_sees_every_example_once(lengths, batch_size, seed):
    steps = plan({"a": Supply(lengths, 2)}, batch_size, seed)
    per_pass = ceil_div(len(lengths), batch_size)
    assert len(steps) == 2 * per_pass
    for start in (0, per_pass):
        seen = [example for _, batch in steps[start : start + per_pass] for example in batch]
        assert sorted(seen) == list(range(len(lengths)))
    assert max(len(batch) for _, batch in steps) <= batch_size


@pytest.mark.parametrize(
    ("epochs", "cap", "max_steps", "expected"),
    [
        (3, None, None, 9),
        (0.5, None, None, 2),
        (0.01, None, None, 1),
        (3, 10, None, 3),
        (3, 10, 7, 7),
    ],
)
def test_the_number_of_steps(epochs, cap, max_steps, expected):
    # 21 examples in batches of 10 are 3 steps a pass, of which the cap leaves one
    steps = plan({"a": Supply([1] * 21, epochs, cap)}, 10, 1, max_steps=max_steps)
    assert len(steps) == expected


def test_the_steps_of_several_tasks_add_up():
    supplies = {"a": Supply([1] * 40, 2), "b": Supply([1] * 95, 1), "c": Supply([1] * 95, 1, 20)}
    assert len(plan(supplies, 10, 1)) == 2 * 4 + 10 + 2


def test_batches_hold_examples_of_similar_length():
    lengths = [(37 * number) % 101 for number in range(1000)]
    batches = [batch for _, batch in plan({"a": Supply(lengths, 1)}, 10, 1)]
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(spread) / len(spread) < 5, "of a hundred; at random it is about 80"
    means = [sum(lengths[i] for i in batch) for batch in batches]
    assert means != sorted(means), "long and short batches are mixed"


def test_tasks_are_drawn_by_capped_size_or_uniformly():
    supplies = {"a": Supply([1] * 900, 1), "b": Supply([1] * 900, 1, 300)}
    drawn = Counter(task for task, _ in plan(supplies, 9, 1, "proportional", 4000))
    assert drawn["a"] / 4000 == pytest.approx(0.75, abs=0.03)
    drawn = Counter(task for task, _ in plan(supplies, 9, 1, "uniform", 4000))
    assert drawn["a"] / 4000 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.9), (2.0, 0.75), (1e9, 0.5)])
def test_temperature_flattens_the_shares_of_tasks(temperature, share):
    supplies = {"a": Supply([1] * 900, 1), "b": Supply([1] * 100, 1)}
    steps = plan(supplies, 9, 1, "temperature", 4000, temperature)
    assert Counter(task for task, _ in steps)["a"] / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.9), (2.0, 0.75)])
def test_languages_are_drawn_by_their_temperature(temperature, share):
    supply = Supply([1] * 1000, 1, groups=(900, 100), temperature=temperature)
    batches = [batch for _, batch in plan({"a": supply}, 10, 1, max_steps=4000)]
    assert all(len({example < 900 for example in batch}) == 1 for batch in batches)
    assert {example for batch in batches for example in batch} == set(range(1000))
    drawn = sum(batch[0] < 900 for batch in batches) / len(batches)
    assert drawn == pytest.approx(share, abs=0.03)


def test_a_plan_depends_only_on_its_arguments():
    supplies = {"a": Supply([3, 1, 2] * 9, 3), "b": Supply([1] * 20, 3)}
    first = plan(supplies, 4, 7)
    assert plan(supplies, 4, 7) == first
    assert plan(supplies, 4, 8) != first
    longer = plan(supplies, 4, 7, max_steps=len(first) + 10)
    streams = [{t: [b for task, b in p if task == t] for t in "ab"} for p in (first, longer)]
    for task in "ab":
        shared = min(len(stream[task]) for stream in streams)
        assert streams[0][task][:shared] == streams[1][task][:shared]


GOLDEN = [("a", [2, 3]), ("b", [0, 1]), ("b", [2]), ("a", [0, 1]), ("a", [4])]


def test_a_plan_of_a_fixed_seed_never_changes():
    # a change here would give two results one identity
    assert plan({"a": Supply([1, 2, 3, 4, 5], 1), "b": Supply([1, 1, 2], 1)}, 2, 3) == GOLDEN


@given(st.integers(1, 50), st.integers(1, 60))
def test_micro_batches_are_similar_and_complete(count, parts):
    chunks = split(count, parts)
    assert len(chunks) == parts
    assert sorted(position for chunk in chunks for position in chunk) == list(range(count))
    sizes = [len(chunk) for chunk in chunks]
    assert max(sizes) - min(sizes) <= 1
