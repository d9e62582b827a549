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
    seeds = draw(st.sampled_from([[1], [1, 2]]))
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
    pairs = {(c.model, c.recipe, c.target) for c in cells}
    spreads = {pair: draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) for pair in sorted(pairs)}
    return Problem(needs, costs, budgets, UNITS[:kinds], NONE, spreads)


def best(problem: Problem, aim: str) -> float:
    """The value of the best choice, by trying them all."""
    to_do = [cell for cell, ids in problem.needs.items() if ids]
    choices = itertools.chain.from_iterable(
        itertools.combinations(to_do, n) for n in range(len(to_do) + 1)
    )
    return max(
        value(problem, chosen, aim) for chosen in choices if problem.fits(problem.cost(chosen))
    )


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from(sorted(AIMS)))
def test_no_choice_is_better(problem, aim):
    assume(len(problem.needs) - len(problem.done) <= 10)
    expected, start = best(problem, aim), value(problem, (), aim)
    try:
        choice = choose(problem, aim)
    except InputError:
        assert expected <= start + 1e-9
        return
    assert problem.fits(problem.cost(choice.cells))
    assert not {*choice.cells} & problem.done
    assert {*choice.cells} <= problem.counted(choice.cells)
    assert choice.value == pytest.approx(value(problem, choice.cells, aim))
    tolerance = 2e-4 if aim == "intervals" else 1e-9
    assert choice.value >= expected - tolerance * max(1, expected - start)
    assert choice.bound >= expected - 1e-9
    assert choice.gap <= tolerance


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
    assert choice.gap == 0


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


def test_intervals_prefer_the_uncertain_and_the_new():
    problem = grid(["none", "a", "b"], seeds=2, budget=2)
    wide = replace(problem, spreads={("m", "b", "x"): 2.0})
    assert {cell.recipe for cell in choose(wide, "intervals").cells} == {"none", "b"}
    there = {
        c: frozenset() if c.seed == 1 and c.recipe != "b" else n for c, n in wide.needs.items()
    }
    one = replace(problem, needs=there, budgets=(1,))
    assert names(choose(one, "intervals")) == ["b.s1"]  # its first gain, not the second of another


def test_half_width_falls_as_the_root_of_n():
    assert [half_width(n) for n in (1, 4)] == [1, 0.5]
    assert half_width(0) > half_width(1)


def test_nothing_to_choose_is_an_error():
    problem = grid(["none"])
    with pytest.raises(InputError, match="all cells are done"):
        choose(replace(problem, needs=dict.fromkeys(problem.needs, frozenset())), "cells")
    with pytest.raises(InputError, match="no recipe besides the baseline"):
        choose(problem, "pairs")


def test_choice_may_use_the_budget_completely():
    problem = grid(["none", "a", "b"], budget=0.3)
    costs = dict.fromkeys(problem.costs, (0.1,))
    choice = choose(replace(problem, costs=costs), "cells")
    assert len(choice.cells) == 3  # 0.1 + 0.1 + 0.1 is more than 0.3 in floating point
