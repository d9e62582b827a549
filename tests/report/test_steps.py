"""The tree of steps and the costs, from columns of numbers."""

from xstilts.report import steps

# One model, recipes `none` and `a`, targets t and u, two seeds; t and u train on the same data.
NODES = {
    "id": ["root", "a1", "a2", "t1", "t2", "at1", "at2", "p1", "p2", "q1", "q2"],
    "parent": [None, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6],
    "phase": ["initialise", *["train"] * 6, *["predict"] * 4],
    "chain": ["init", "a~10k", "a~10k", "t", "t", "a~10k-t", "a~10k-t", *["t"] * 4],
    "model": ["m"] * 11,
    "settings": [0, *[1] * 6, *[2] * 4],
    "state": ["done"] * 9 + ["failed", "missing"],
    "seconds": [None, 10, 20, 100, 100, 200, 200, 1, 1, None, None],
    "gpus": [0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0],
    "bytes": [5] * 11,
}
CELLS = {"model": [0] * 4, "recipe": [0, 0, 1, 1], "predictions": [7, 8, 9, 10]}


def tree():
    """Return the branches, whose labels are capitals."""
    return steps.branches(NODES, CELLS, ["m"], str.upper)


def test_seeds_of_a_step_are_one_branch():
    root, *branches = tree()
    names = ["A~10k", "T", "T", "predictions: T", "predictions: T"]
    assert [branch.name for branch in branches] == names
    assert all(len(branch.nodes) == 2 for branch in branches)
    assert [child.name for child in root.trainings] == ["A~10k", "T"]
    assert root.name == "M: random weights"
    assert root.is_open


def test_a_branch_states_time_recipes_and_runs():
    root, step, *_, predicted = tree()
    assert root.facts == "not measured · shared by 2 recipes · used by 4 runs"
    assert step.facts == "2 seeds · 30 s · used by 2 runs"
    assert step.state == ""
    assert predicted.state == "failed"


def test_an_origin_equal_to_the_label_is_named_once():
    root = steps.branches(NODES, CELLS, ["m"], lambda name: "random weights")[0]
    assert root.name == "random weights"


def test_costs_are_sorted_and_count_each_gpu():
    [(dear, parts, size), (cheap, others, _)] = steps.costs(NODES, CELLS, [0, 1])[0]
    assert (dear, cheap) == (1, 0)
    assert parts == [60, 0, 400, None]
    assert others == [0, 0, 200, 2]
    assert size == 30


def test_a_step_of_two_recipes_is_shared():
    cells = CELLS | {"recipe": [0, 0, 1, 2]}
    nodes = NODES | {"parent": [None, 0, 0, 0, 0, 1, 1, 3, 4, 5, 6]}
    rows = {recipe: parts for recipe, parts, _ in steps.costs(nodes, cells, [0, 1, 1])[0]}
    assert rows[1] == [0, 20, 200, None]
    assert rows[2] == [0, 20, 200, None]


def test_a_recipe_uses_all_that_it_merges():
    nodes = {
        "id": ["root", "a", "b", "ab", "abt", "p"],
        "parent": [None, 0, 0, 0, 3, 4],
        "merged": [None, None, None, [1, 2], None, None],
        "phase": ["initialise", "train", "train", "merge", "train", "predict"],
        "chain": ["init", "a", "b", "a|b~0.3", "a|b~0.3-t", "t"],
        "model": ["m"] * 6,
        "settings": [0, 1, 1, 2, 1, 3],
        "state": ["done"] * 6,
        "seconds": [None, 10, 20, 3, 100, 1],
        "gpus": [0] * 6,
        "bytes": [5] * 6,
    }
    cells = {"model": [0], "recipe": [0], "predictions": [5]}
    names = [branch.name for branch in steps.branches(nodes, cells, ["m"], str.upper)]
    assert names[3:5] == ["merge: A | B~0.3", "T"]
    assert all(use.runs == 1 for use in steps.uses(nodes, cells))
    [(_, parts, size)] = steps.costs(nodes, cells, [2])[0]
    assert parts == [30, 0, 100, 1]
    assert size == 20


def test_pretraining_is_no_cost_of_a_recipe():
    chain = ["pretrain-text" if name == "init" else name for name in NODES["chain"]]
    phase, spent = ["train", *NODES["phase"][1:]], [7, *NODES["seconds"][1:]]
    nodes = NODES | {"chain": chain, "phase": phase, "seconds": spent}
    assert steps.pretraining(nodes) == 7
    assert steps.pretraining(NODES) is None
    lengths = [0, 1]
    assert steps.costs(nodes, CELLS, lengths) == steps.costs(NODES, CELLS, lengths)


def test_environments_name_python_and_libraries():
    values = {"python": "3.11", "libraries": {"torch": "2.13"}}
    assert steps.environment(values) == "Python 3.11, torch 2.13"
