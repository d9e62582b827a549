"""Choice of the cells that fit in a budget: an integer programme. Pure.

Cells share artefacts, and the cost of an artefact counts once. A cell counts only together with the
baseline of its model, target and seed, if the study has one. Done cells cost nothing.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise

import pulp
from scipy.special import stdtrit

from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.units import count

Pair = tuple[str, str, str]  # model, recipe, target
_TOLERANCE = 1e-9  # relative, of sums of floats
_GAP = 1e-4  # relative; at this distance from the optimum the search may end


@dataclass(frozen=True)
class Problem:
    """Cells of a study, their missing artefacts, the costs of these, and the budgets."""

    needs: Mapping[Cell, frozenset[str]]  # ids of missing artefacts; none: the cell is done
    costs: Mapping[str, tuple[float, ...]]  # of an artefact: one number per budget
    budgets: tuple[float, ...]  # infinite: no limit
    units: tuple[str, ...]
    baselines: frozenset[str]  # names of recipes without a step
    run_sds: Mapping[str, float] = field(default_factory=dict)  # by target, over seeds

    @cached_property
    def done(self) -> frozenset[Cell]:
        """Cells that cost nothing."""
        return frozenset(cell for cell, needs in self.needs.items() if not needs)

    @cached_property
    def baseline(self) -> Mapping[Cell, Cell]:
        """Baseline of each cell that has one in the study and is not a baseline itself."""
        keys = {cell: (cell.model, cell.target, cell.seed) for cell in self.needs}
        baselines = {key: cell for cell, key in keys.items() if cell.recipe in self.baselines}
        return {
            cell: baselines[key]
            for cell, key in keys.items()
            if cell.recipe not in self.baselines and key in baselines
        }

    @cached_property
    def pairs(self) -> Mapping[Pair, list[Cell]]:
        """Cells of each pair of recipe and target, one per seed."""
        pairs = defaultdict(list)
        for cell in self.needs:
            pairs[cell.model, cell.recipe, cell.target].append(cell)
        return pairs

    def price(self, ids: Collection[str]) -> tuple[float, ...]:
        """Return the total cost of artefacts; one number per budget."""
        amounts = [self.costs[id] for id in sorted(ids)]
        return tuple(math.fsum(amount[n] for amount in amounts) for n in range(len(self.budgets)))

    def cost(self, cells: Collection[Cell], chosen: Collection[Cell] = ()) -> tuple[float, ...]:
        """Return the cost of the artefacts of cells, without those that `chosen` cells need."""
        return self.price(self._needed(cells) - self._needed(chosen))

    def _needed(self, cells: Collection[Cell]) -> set[str]:
        return set().union(*(self.needs[cell] for cell in cells))

    def fits(self, cells: Collection[Cell]) -> bool:
        """Whether cells with their artefacts are within all budgets."""
        totals = zip(self.cost(cells), self.budgets, strict=True)
        return all(total <= budget * (1 + _TOLERANCE) for total, budget in totals)

    def with_baselines(self, cells: Collection[Cell]) -> set[Cell]:
        """Return the cells and the baselines that they need, without done cells."""
        return ({*cells} | {self.baseline[c] for c in cells if c in self.baseline}) - self.done

    def counted(self, chosen: Collection[Cell]) -> set[Cell]:
        """Return the cells that count after the chosen ones have run."""
        finished = self.done | {*chosen}
        return {cell for cell in finished if self.baseline.get(cell, cell) in finished}


def half_width(seeds: int) -> float:
    """Return half the width of a gain's 95 % interval by Welch's t, in SDs of a run.

    The recipe and its baseline have `seeds` runs each. One run has no interval: it counts as twice
    the interval of two, so that a pair's first interval is worth more than a narrower one.
    """
    if seeds < 2:
        return 2 * half_width(2)
    return float(stdtrit(2 * seeds - 2, 0.975)) * math.sqrt(2 / seeds)


@dataclass(frozen=True)
class Aim:
    """Objective of a choice: the sum of the values of pairs, which grow with their cells."""

    label: str
    value: Callable[[Problem, Pair, int], float]  # of a pair of which n cells count
    shown: str  # format of the sum


def _is_complete(problem: Problem, pair: Pair, n: int) -> bool:
    return pair[1] not in problem.baselines and n == len(problem.pairs[pair])


def _narrowing(problem: Problem, pair: Pair, n: int) -> float:
    if pair[1] in problem.baselines:
        return 0.0
    return problem.run_sds.get(pair[2], 1.0) * (half_width(0) - half_width(n))


AIMS = {
    "cells": Aim("most cells", lambda problem, pair, n: n, "{:,.0f}"),
    "pairs": Aim("most recipe-target pairs with all seeds", _is_complete, "{:,.0f}"),
    "intervals": Aim("narrowest intervals of gains", _narrowing, "{:.2f} points in all"),
}


def value(problem: Problem, chosen: Collection[Cell], aim: str) -> float:
    """Return the value of all done and chosen cells."""
    counted = problem.counted(chosen)
    return sum(
        AIMS[aim].value(problem, pair, len(counted.intersection(cells)))
        for pair, cells in problem.pairs.items()
    )


@dataclass(frozen=True)
class Choice:
    """Cells to run, their value together with the done ones, and a bound of any choice's value."""

    cells: tuple[Cell, ...]  # in study order, including baselines
    value: float
    bound: float  # the value, if no choice is better by more than 0.01 %


def choose(problem: Problem, aim: str, seconds: float = 20) -> Choice:
    """Return the best choice within the budgets that the search finds in `seconds`.

    Raise InputError if no choice that fits would count.
    """
    start = value(problem, (), aim)
    if len(problem.done) == len(problem.needs):
        raise InputError("nothing to choose: all cells are done")
    if value(problem, problem.needs, aim) <= start:
        raise InputError(
            f"--aim {aim}: no cell to do adds to it, for example if the study has no recipe "
            "besides the baseline; use --aim cells"
        )
    chosen, added = _solve(problem, aim, seconds, problem.budgets)
    if not problem.fits(chosen):  # the solver's tolerance is larger
        shrunk = tuple(budget * (1 - 1e-5) for budget in problem.budgets)
        chosen, _ = _solve(problem, aim, seconds, shrunk)
    chosen = _useful(problem, chosen, aim)
    reached = value(problem, chosen, aim)
    if reached <= start:
        raise InputError(_nothing(problem, aim))
    cells = tuple(cell for cell in problem.needs if cell in chosen)
    return Choice(cells, reached, max(reached, start + added))


def _jumps(problem: Problem, aim: str) -> dict[Pair, tuple[list[Cell], list[tuple[int, float]]]]:
    """Return the cells of each pair that do not count yet, and their jumps.

    A jump is (number of cells, value that they add to the pair). Cells that add nothing alone, as
    one seed of a pair that needs all, form one jump with those that follow.
    """
    counted, jumps = problem.counted(()), {}
    for pair, cells in problem.pairs.items():
        new = [cell for cell in cells if cell not in counted]
        done = len(cells) - len(new)
        values = [AIMS[aim].value(problem, pair, n) for n in range(done, len(cells) + 1)]
        places = [0, *(k for k in range(1, len(values)) if values[k] > values[k - 1])]
        jumps[pair] = new, [(b - a, values[b] - values[a]) for a, b in pairwise(places)]
    return jumps


def _useful(problem: Problem, chosen: set[Cell], aim: str) -> set[Cell]:
    """Return the chosen cells without those that raise no value and idle baselines."""
    counted, useful = problem.counted(chosen), []
    for new, jumps in _jumps(problem, aim).values():
        if jumps and len(counted.intersection(new)) >= jumps[0][0]:
            useful += new
    return chosen & problem.with_baselines(counted.intersection(useful))


def _nothing(problem: Problem, aim: str) -> str:
    """Return the message that nothing was chosen, with the cheapest cells that would count."""
    choices = [
        problem.with_baselines(cells)
        for new, jumps in _jumps(problem, aim).values()
        for size, _ in jumps[:1]
        for cells in combinations(new, size)
    ]
    cheapest = min(choices, key=problem.cost)
    cell = max(cheapest, key=lambda cell: (cell.recipe not in problem.baselines, str(cell)))
    others = f" and {count(len(cheapest) - 1, 'more cell')}" if len(cheapest) > 1 else ""
    return (
        f"the budget ({_amounts(problem, problem.budgets)}) is too small: the cheapest useful "
        f"choice, {cell}{others}, costs {_amounts(problem, problem.cost(cheapest))} including "
        "earlier steps"
    )


def _amounts(problem: Problem, amounts: tuple[float, ...]) -> str:
    """Return the amounts that have a budget, with their units."""
    return ", ".join(
        f"{amount:,.0f} {unit}" if amount >= 1000 else f"{amount:.3g} {unit}"
        for unit, budget, amount in zip(problem.units, problem.budgets, amounts, strict=True)
        if budget < math.inf
    )


def _solve(
    problem: Problem, aim: str, seconds: float, budgets: tuple[float, ...]
) -> tuple[set[Cell], float]:
    """Return the chosen cells, and a bound of what any choice can add."""
    model = pulp.LpProblem("plan", pulp.LpMaximize)
    to_do = [cell for cell in problem.needs if cell not in problem.done]
    run = {
        cell: model.add_variable(f"run_{number}", cat=pulp.LpBinary)
        for number, cell in enumerate(to_do)
    }
    model += _objective(problem, aim, run, model)
    for cell, baseline in problem.baseline.items():
        if cell in run and baseline in run:
            model += run[cell] <= run[baseline]
    prices = []
    for number, (users, ids) in enumerate(_shared(problem, to_do).items()):
        pay = model.add_variable(f"pay_{number}", 0, 1)
        prices.append((pay, problem.price(ids)))
        for cell in users:
            model += run[cell] <= pay
    for number, budget in enumerate(budgets):
        if budget < math.inf:
            scale = budget or 1  # near 1: the solver's tolerances are absolute
            model += (
                pulp.lpSum(cost[number] / scale * pay for pay, cost in prices) <= budget / scale
            )
    model.solve(pulp.PULP_CBC_CMD(msg=False, timeLimit=seconds, gapRel=_GAP, threads=1))
    if model.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        raise InputError(f"no choice was found in {seconds:g} s; raise --seconds")
    chosen = {cell for cell, variable in run.items() if (variable.value() or 0) > 0.5}
    if model.sol_status != pulp.LpSolutionOptimal:  # the time was up: relax the integers
        model.solve(pulp.PULP_CBC_CMD(msg=False, mip=False, timeLimit=seconds))
        if model.sol_status != pulp.LpSolutionOptimal:
            return chosen, math.inf
    return chosen, pulp.value(model.objective) or 0.0


def _objective(problem: Problem, aim: str, run: Mapping, model: pulp.LpProblem):
    """Return the objective; add the variables and constraints that it needs to the model."""
    terms = []
    for number, (cells, jumps) in enumerate(_jumps(problem, aim).values()):
        # the constraint of a cell to run includes its baseline
        new = [run.get(cell, run.get(problem.baseline.get(cell))) for cell in cells]
        # a jump of one cell needs no integer: earlier jumps are worth more, so they come first
        kinds = [pulp.LpContinuous if size == 1 else pulp.LpBinary for size, _ in jumps]
        made = [
            model.add_variable(f"jump_{number}_{k}", 0, 1, kind) for k, kind in enumerate(kinds)
        ]
        terms += [gain * variable for (_, gain), variable in zip(jumps, made, strict=True)]
        for earlier, later in pairwise(made):
            model += later <= earlier
        if made:
            model += pulp.lpDot([size for size, _ in jumps], made) <= pulp.lpSum(new)
            for cell in new if sum(size for size, _ in jumps) == len(new) else ():
                model += made[-1] <= cell  # tightens the relaxed problem
    return pulp.lpSum(terms)


def _shared(problem: Problem, cells: list[Cell]) -> dict[tuple[Cell, ...], list[str]]:
    """Return the artefacts that the same cells need, by these cells."""
    users, groups = defaultdict(list), defaultdict(list)
    for cell in cells:
        for id in problem.needs[cell]:
            users[id].append(cell)
    for id, sharing in users.items():
        groups[tuple(sharing)].append(id)
    return groups
