"""The choice of cells in a budget, compared with all possible choices."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xstilts.costs.choice import AIMS, Problem, choose, half_width, value
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell

COST = st.integers(0, 9)
NONE = frozenset({"none"})
UNITS = ("hours", "bytes")


@st.composite
def problems(draw) -> Problem:
    """A small grid: checkpoints that recipes share, parts of it done, one or two budgets."""
    recipes = draw(st.sampled_from([["none", "a"], ["none", "a", "a-b"], ["a", "b"], ["none"]]))
    targets = draw(st.sampled_from([["x"], ["x", "y"]]))
    seeds = draw(st.sampled_from([[1], [1, 2], [1, 2, 3]]))
    cells = [Cell("m", r, t, s) for r in recipes for t in targets for s in seeds]
    kinds = draw(st.integers(1, 2))
    costs, needs = {}, {}
    for cell in cells:
        steps = [] if cell.recipe == "none" else cell.recipe.split("-")
        ids = ["root", *("-".join(steps[:n]) + f".s{cell.seed}" for n in range(1, len(steps) + 1))]
        ids.append(str(cell))
        for id in ids:
            if id not in costs:
                costs[id] = tuple(draw(COST) for _ in range(kinds))
        needs[cell] = frozenset(ids)
    made = set(draw(st.lists(st.sampled_from(sorted(costs)), max_size=4)))
    if draw(st.booleans()):  # a whole cell, so that its shared artefacts are done, too
        made |= needs[draw(st.sampled_from(cells))]
    needs = {cell: ids - made for cell, ids in needs.items()}
    budgets = tuple(draw(st.integers(1, 30)) for _ in range(kinds))
    run_sds = {target: draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) for target in targets}
    return Problem(needs, costs, budgets, UNITS[:kinds], NONE, run_sds)


def best(problem: Problem, aim: str) -> float:
    """The value of the best choice, by trying them all."""
    to_do = [cell for cell, ids in problem.needs.items() if ids]
    choices = itertools.chain.from_iterable(
        itertools.combinations(to_do, n) for n in range(len(to_do) + 1)
    )
    return max(value(problem, chosen, aim) for chosen in choices if problem.fits(chosen))


@settings(max_examples=60)
@given(problems(), st.sampled_from(sorted(AIMS)))
def test_no_choice_is_better(problem, aim):
    assume(len(problem.needs) - len(problem.done) <= 10)
    expected, start = best(problem, aim), value(problem, (), aim)
    try:
        choice = choose(problem, aim)
    except InputError:
        assert expected <= start + 1e-9
        return
    assert problem.fits(choice.cells)
    assert not {*choice.cells} & problem.done
    assert {*choice.cells} <= problem.counted(choice.cells)
    assert choice.value == pytest.approx(value(problem, choice.cells, aim))
    tolerance = 2e-4 if aim == "intervals" else 1e-9
    assert choice.value >= expected - tolerance * max(1, expected - start)
    assert expected - 1e-9 <= choice.bound * (1 + 1e-4)
    assert choice.bound <= choice.value * (1 + 1e-4) + 1e-9


def grid(recipes: list[str], seeds: int = 1, budget: float = 10, **costs: float) -> Problem:
    """A grid on target x whose cells cost 1 each; `costs` are those of the recipes."""
    needs, amounts = {}, {name: (cost,) for name, cost in costs.items()}
    for recipe in recipes:
        for seed in range(1, seeds + 1):
            cell = Cell("m", recipe, "x", seed)
            amounts[str(cell)] = (1.0,)
            steps = {recipe} & {*costs}
            needs[cell] = frozenset({str(cell), *steps})
    return Problem(needs, amounts, (budget,), UNITS[:1], NONE)


def names(choice) -> list[str]:
    return [f"{cell.recipe}.s{cell.seed}" for cell in choice.cells]


def test_shared_step_is_paid_once():
    choice = choose(grid(["none", "a"], seeds=2, budget=9, a=5), "cells")
    assert names(choice) == ["none.s1", "none.s2", "a.s1", "a.s2"]
    assert choice.bound == choice.value


def test_recipe_counts_only_with_its_baseline():
    problem = grid(["none", "a"], budget=10, a=0)
    # the baseline costs more than the budget: neither counts
    dear = {**problem.costs, "m.none.x.s1": (11.0,)}
    with pytest.raises(
        InputError, match=r"\(10 hours\) is too small: .*choice, m\.none\.x\.s1, costs 11 hours"
    ):
        choose(replace(problem, costs=dear), "cells")


def test_done_baseline_costs_nothing():
    problem = grid(["none", "a"], budget=1)
    needs = {**problem.needs, Cell("m", "none", "x", 1): frozenset()}
    choice = choose(replace(problem, needs=needs), "cells")
    assert names(choice) == ["a.s1"]
    assert choice.value == 2  # with the baseline, which is done


def test_pairs_need_all_their_seeds():
    # 8 buys both baselines and seed 1 of three recipes, or two recipes with both seeds
    problem = grid(["none", "a", "b", "c"], seeds=2, budget=7)
    assert choose(problem, "cells").value == 7
    choice = choose(problem, "pairs")
    assert choice.value == 2
    assert len(choice.cells) == 6  # the hour that is left completes no pair


def two_targets(budget: float, **run_sds: float) -> Problem:
    """Three seeds of a recipe on targets x and y, both baselines done; a cell costs 1."""
    cells = [Cell("m", recipe, t, s) for recipe in ("none", "a") for t in "xy" for s in (1, 2, 3)]
    needs = {c: frozenset() if c.recipe == "none" else frozenset({str(c)}) for c in cells}
    costs = {str(cell): (1.0,) for cell in cells}
    return Problem(needs, costs, (budget,), UNITS[:1], NONE, run_sds)


def test_intervals_prefer_the_uncertain_target():
    choice = choose(two_targets(3, x=1.0, y=3.0), "intervals")
    assert [str(cell) for cell in choice.cells] == [f"m.a.y.s{seed}" for seed in (1, 2, 3)]
    assert choice.value == pytest.approx(3 * (8.605 - 2.267), abs=0.01)


def test_a_first_interval_is_worth_more_than_a_third_seed():
    choice = choose(two_targets(4), "intervals")
    assert sorted(cell.target for cell in choice.cells) == ["x", "x", "y", "y"]


def test_one_seed_adds_nothing_to_intervals():
    assert len(choose(two_targets(3), "intervals").cells) == 3  # not two and one
    with pytest.raises(InputError, match=r"m\.a\..* and 1 more cell, costs 2 hours"):
        choose(two_targets(1), "intervals")


def test_half_widths_are_those_of_welch():
    assert [round(half_width(n), 2) for n in (2, 3, 5)] == [4.30, 2.27, 1.46]
    assert half_width(0) == half_width(1) == 2 * half_width(2)


def test_nothing_to_choose_is_an_error():
    problem = grid(["none"])
    with pytest.raises(InputError, match="all cells are done"):
        choose(replace(problem, needs=dict.fromkeys(problem.needs, frozenset())), "cells")
    with pytest.raises(InputError, match="no recipe besides the baseline; use --aim cells"):
        choose(problem, "pairs")


def test_choice_may_use_the_budget_completely():
    problem = grid(["none", "a", "b"], budget=0.3)
    costs = dict.fromkeys(problem.costs, (0.1,))
    choice = choose(replace(problem, costs=costs), "cells")
    assert len(choice.cells) == 3  # 0.1 + 0.1 + 0.1 is more than 0.3 in floating point
