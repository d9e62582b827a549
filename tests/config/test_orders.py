"""Orders of tasks as recipes."""

from itertools import permutations

import pytest
from pydantic import ValidationError

from tests.grid.test_grid import grid
from xstilts.config.orders import Orders
from xstilts.errors import InputError
from xstilts.recipe import parse, trainings
from xstilts.report.view import notes

COUNTS = {"a": 300, "b": 100, "c": 200, "d": 50}


def examples(part):
    return COUNTS[part.task]


def test_all_orders_have_the_same_steps():
    orders = Orders(
        tasks=["a", "b", "c"],
        steps=90,
        given=["size_up", "size_down", {"similarity": ["c", "a", "b"]}],
    )
    assert orders.recipes(examples) == {
        "size_up": "b~30steps-c~30steps-a~30steps",
        "size_down": "a~30steps-c~30steps-b~30steps",
        "similarity": "c~30steps-a~30steps-b~30steps",
        "mixture": "a+b+c~90steps",
        "merge": "a~30steps|b~30steps|c~30steps",
        "alone_a": "a~90steps",
        "alone_b": "b~90steps",
        "alone_c": "c~90steps",
    }
    for recipe in orders.recipes(examples).values():
        steps = [training for step in parse(recipe).steps for training in trainings(step)]
        assert sum(step.max_steps for step in steps) == 90


def test_random_orders_differ_and_depend_on_the_seed():
    def drawn(random, seed):
        chains = Orders(tasks=list("abcd"), steps=4, random=random, seed=seed).chains(examples)
        return [tuple(order) for order in chains.values()]

    assert len(set(drawn(10, 1))) == 10
    assert drawn(10, 1) == drawn(10, 1) != drawn(10, 2)
    assert drawn(3, 1) == drawn(10, 1)[:3]
    assert len(set(drawn(1000, 1))) == 24, "there are no more"


def test_random_orders_exclude_given_orders():
    given = [{"back": ["c", "b", "a"]}, "size_up"]
    orders = Orders(tasks=list("abc"), steps=3, given=given, random=9)
    chains = orders.chains(lambda part: ord(part.task))
    assert chains["size_up"] == ["a", "b", "c"]
    assert sorted(map(tuple, chains.values())) == sorted(permutations("abc"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": ["a", "a"], "steps": 2}, "a task is given twice"),
        ({"tasks": ["a", "a@de"], "steps": 2, "forgetting": True}, "a task is given twice"),
        ({"tasks": ["a", "b+c"], "steps": 2}, "'b\\+c': expected one task"),
        (
            {"tasks": ["a", "b"], "steps": 3},
            "3 is not allowed; expected a multiple of the number of tasks, 2",
        ),
        ({"tasks": ["a", "b"], "steps": 2, "given": [{"x": ["a"]}]}, "given.x: expected an order"),
    ],
)
def test_wrong_orders_are_reported(values, message):
    with pytest.raises(ValidationError, match=message):
        Orders(**values)


ORDERS = {"tasks": ["lab_squad", "lab_wordclass", "lab_completion"], "steps": 60, "random": 6}


def test_a_study_trains_shared_prefixes_once():
    found = grid(recipes=["none"], orders=ORDERS, targets=["lab_entities"], controls=[], seeds=[1])
    assert len(found.recipes) == 1 + 6 + 2 + 3
    alone, tree = found.count_trainings()
    # each cell for itself: none, six chains, four controls that train, the merge of three trainings
    assert alone == 1 + 6 * 4 + 4 * 2 + 4
    # as a tree the chains are 3 first, 6 second and 6 third steps; the first are also merged
    assert tree == 1 + (3 + 6 + 6) + 4 + 6 + 4 + 1
    assert f"Shared steps: {tree} trainings instead of {alone}." in notes(found)


def test_orders_by_size_use_the_stated_sizes():
    found = grid(orders={**ORDERS, "given": ["size_up"], "random": 0})
    assert str(found.recipes["size_up"]).startswith("lab_completion")  # 1,000 of 1,500
    with pytest.raises(InputError, match="task 'ccg' states no `rows`, so its size is unknown"):
        grid(orders={"tasks": ["ccg", "mnli"], "steps": 2, "given": ["size_up"]})
    with pytest.raises(InputError, match="orders: unknown task 'mnl'"):
        grid(orders={"tasks": ["mnl", "mnli"], "steps": 2, "given": ["size_up"]})


def test_size_counts_all_languages_of_a_part():
    """`lab_text` has 5 x 8,000 examples, `lab_nli@all` 5 x 2,500, `lab_text@xb` 8,000."""
    tasks = ["lab_nli@all", "lab_text@xb", "lab_text", "lab_nli@xb"]
    orders = {"tasks": tasks, "steps": 4, "given": ["size_up", "size_down"]}
    recipes = grid(orders=orders).recipes
    order = ["lab_nli@xb", "lab_text@xb", "lab_nli@all", "lab_text"]
    assert [str(part) for part in recipes["size_up"].parts] == order
    assert [str(part) for part in recipes["size_down"].parts] == order[::-1]


def test_forgetting_uses_the_head_of_the_own_step():
    orders = {**ORDERS, "random": 2, "forgetting": True}
    found = grid(recipes=["none"], orders=orders, targets=["lab_entities"], controls=[], seeds=[1])
    plain = grid(
        recipes=["none"], orders={**orders, "forgetting": False}, targets=["lab_entities"],
        controls=[], seeds=[1],
    )  # fmt: skip
    assert found.count_trainings() == plain.count_trainings()
    assert found.artefacts().checkpoints.keys() == plain.artefacts().checkpoints.keys()
    chain = str(found.recipes["random_1"])
    first, second, third = (step.parts[0].task for step in found.recipes["random_1"].steps)
    retained = found.retained()
    ends = {task: retained["lab_tiny", chain, task, 1].predictions for task in (first, third)}
    assert ends[third].head is None
    assert ends[first].checkpoint is ends[third].checkpoint
    assert ends[first].head.chain == f"{first}~20steps"
    assert ends[first].head in ends[first].checkpoint.lineage()
    assert ("lab_tiny", f"{first}~20steps", first, 1) in retained
    assert ("lab_tiny", f"{first}~20steps", second, 1) not in retained
    squad = next(s for (_, _, task, _), s in retained.items() if task == "lab_squad")
    assert [d.split for d in squad.predictions.scored] == ["validation"]
    assert {s.id for s in found.aside()} < {s.id for s in found.artefacts().scores.values()}


def test_forgetting_leaves_out_tasks_without_labels():
    orders = {"tasks": ["lab_squad", "lab_text"], "steps": 40, "random": 2, "forgetting": True}
    found = grid(recipes=["none"], orders=orders, targets=["lab_entities"], controls=[], seeds=[1])
    assert {task for _, _, task, _ in found.retained()} == {"lab_squad"}
