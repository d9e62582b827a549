"""Choice of the cells that fit in a budget: an integer programme. Pure.

Cells share artefacts, and each artefact is paid once. A cell counts only together with the baseline
of its model, target and seed, if the study has one. Done cells cost nothing.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pulp

from xstilts.costs.units import count
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell

AIMS = {
    "cells": "most cells",
    "pairs": "most recipe-target pairs with all seeds",
    "intervals": "narrowest intervals of gains",
}
Pair = tuple[str, str, str]  # model, recipe, target
_TOLERANCE = 1e-9  # relative, of sums of floats


@dataclass(frozen=True)
class Problem:
    """Cells of a study, their missing artefacts, the costs of these, and the budgets."""

    needs: Mapping[Cell, frozenset[str]]  # ids of missing artefacts; none: the cell is done
    costs: Mapping[str, tuple[float, ...]]  # of an artefact: one number per budget
    budgets: tuple[float, ...]  # infinite: no limit
    units: tuple[str, ...]
    baselines: frozenset[str]  # names of recipes without a step
    spreads: Mapping[Pair, float] = field(default_factory=dict)  # sd of the gain over seeds

    @cached_property
    def done(self) -> frozenset[Cell]:
        """Cells that cost nothing."""
        return frozenset(cell for cell, needs in self.needs.items() if not needs)

    @cached_property
    def baseline(self) -> Mapping[Cell, Cell]:
        """Baseline of each cell that has one in the study and is not a baseline itself."""
        baselines = {
            (cell.model, cell.target, cell.seed): cell
            for cell in self.needs
            if cell.recipe in self.baselines
        }
        return {
            cell: baselines[key]
            for cell in self.needs
            if cell.recipe not in self.baselines
            and (key := (cell.model, cell.target, cell.seed)) in baselines
        }

    @cached_property
    def pairs(self) -> Mapping[Pair, list[Cell]]:
        """Cells of each pair, one per seed; baselines have no pair."""
        pairs = defaultdict(list)
        for cell in self.needs:
            if cell.recipe not in self.baselines:
                pairs[cell.model, cell.recipe, cell.target].append(cell)
        return pairs

    def price(self, ids: Collection[str]) -> tuple[float, ...]:
        """Return the total cost of artefacts; one number per budget."""
        amounts = [self.costs[id] for id in sorted(ids)]
        return tuple(math.fsum(amount[n] for amount in amounts) for n in range(len(self.budgets)))

    def needed(self, cells: Collection[Cell]) -> set[str]:
        """Return the missing artefacts of cells, each once."""
        return set().union(*(self.needs[cell] for cell in cells))

    def cost(self, cells: Collection[Cell]) -> tuple[float, ...]:
        """Return the total cost of cells with their artefacts; one number per budget."""
        return self.price(self.needed(cells))

    def fits(self, *prices: tuple[float, ...]) -> bool:
        """Whether the sum of prices is within all budgets."""
        totals = zip(map(math.fsum, zip(*prices, strict=True)), self.budgets, strict=True)
        return all(total <= budget * (1 + _TOLERANCE) for total, budget in totals)

    def with_baselines(self, cells: Collection[Cell]) -> set[Cell]:
        """Return the cells and the baselines that they need, without done cells."""
        return ({*cells} | {self.baseline[c] for c in cells if c in self.baseline}) - self.done

    def counted(self, chosen: Collection[Cell]) -> set[Cell]:
        """Return the cells that count after the chosen ones have run."""
        finished = self.done | {*chosen}
        return {cell for cell in finished if self.baseline.get(cell, cell) in finished}


def value(problem: Problem, chosen: Collection[Cell], aim: str) -> float:
    """Return the value after the chosen cells have run: cells, pairs, or narrowing in points.

    The narrowing of a pair from n gains to n + k is sd (f(n) - f(n + k)); f is `half_width`.
    """
    counted = problem.counted(chosen)
    if aim == "cells":
        return len(counted)
    if aim == "pairs":
        return sum(counted.issuperset(cells) for cells in problem.pairs.values())
    before = problem.counted(())
    return sum(
        problem.spreads.get(pair, 1.0)
        * (half_width(len(before.intersection(cells))) - half_width(len(counted & {*cells})))
        for pair, cells in problem.pairs.items()
    )


def half_width(n: int) -> float:
    """Half the width of an interval of n gains, in standard deviations: 1/sqrt(n).

    Without a constant factor. No gain means an infinite interval, which counts as that of half a
    gain.
    """
    return 1 / math.sqrt(n or 0.5)


def gains_of(scores: Mapping[Cell, float], baselines: Collection[str]) -> dict[Pair, list[float]]:
    """Return the existing gains of each pair: score minus the baseline's score of the same seed."""
    base = {(c.model, c.target, c.seed): scores[c] for c in scores if c.recipe in baselines}
    gains: dict[Pair, list[float]] = defaultdict(list)
    for cell, score in scores.items():
        key = (cell.model, cell.target, cell.seed)
        if cell.recipe not in baselines and key in base:
            gains[cell.model, cell.recipe, cell.target].append(score - base[key])
    return gains


def spreads(cells: Collection[Cell], gains: Mapping[Pair, Sequence[float]]) -> dict[Pair, float]:
    """Return the standard deviation over seeds of the gain of each pair.

    Two or three seeds are too few for one pair, so it is pooled over the recipes of a target: the
    root of sum (x - mean)^2 / sum (n - 1). A target without two gains of one recipe uses the value
    pooled over all targets; without any gain, it is 1.
    """
    squares, freedom = defaultdict(float), defaultdict(int)
    for (_, _, target), values in gains.items():
        mean = sum(values) / len(values)
        for key in (target, None):
            squares[key] += sum((value - mean) ** 2 for value in values)
            freedom[key] += len(values) - 1
    pooled = {key: math.sqrt(squares[key] / n) for key, n in freedom.items() if n}
    fallback = pooled.get(None, 1.0)
    pairs = dict.fromkeys((cell.model, cell.recipe, cell.target) for cell in cells)
    return {pair: pooled.get(pair[2], fallback) for pair in pairs}


@dataclass(frozen=True)
class Choice:
    """Cells to run, and the quality of the choice."""

    cells: tuple[Cell, ...]  # in study order, including baselines
    value: float  # of the function `value`
    bound: float  # upper bound of any choice within the budgets

    @property
    def gap(self) -> float:
        """Possible gain of a longer search, as a share of the bound; 1 if unknown."""
        if self.bound == math.inf:
            return 1.0
        return max(0.0, self.bound - self.value) / self.bound if self.bound else 0.0


def choose(problem: Problem, aim: str, seconds: float = 20) -> Choice:
    """Return the best choice within the budgets that the search finds in `seconds`.

    Raise InputError if no choice that fits would count.
    """
    _check(problem, aim)
    start = value(problem, (), aim)
    chosen, bound = _solve(problem, aim, seconds, problem.budgets)
    if not problem.fits(problem.cost(chosen)):  # the solver's tolerance is larger
        shrunk = tuple(budget * (1 - 1e-5) for budget in problem.budgets)
        chosen, _ = _solve(problem, aim, seconds, shrunk)
    chosen = _useful(problem, chosen, aim)
    reached = value(problem, chosen, aim)
    if reached <= start:
        raise InputError(_nothing(problem, aim))
    cells = tuple(cell for cell in problem.needs if cell in chosen)
    return Choice(cells, reached, max(reached, bound + start))


def _check(problem: Problem, aim: str) -> None:
    if len(problem.done) == len(problem.needs):
        raise InputError("nothing to choose: all cells are done")
    if aim != "cells" and not problem.pairs:
        raise InputError(
            f"--aim {aim}: the study has no recipe besides the baseline; use --aim cells"
        )


def _nothing(problem: Problem, aim: str) -> str:
    """Return the message that nothing was chosen, with the cheapest cells that would count."""
    to_do = [cell for cell in problem.needs if cell not in problem.done]
    groups = [[cell] for cell in to_do] if aim == "cells" else list(problem.pairs.values())
    counted = problem.counted(())
    choices = [problem.with_baselines(cells) for cells in groups if not counted.issuperset(cells)]
    cheapest = min(filter(None, choices), key=problem.cost)
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
    """Return the chosen cells, and an upper bound of what a choice can add."""
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
    groups = _shared(problem, to_do)
    paid = []
    for number, (users, cost) in enumerate(groups.items()):
        pay = model.add_variable(f"pay_{number}", 0, 1)
        paid.append((pay, cost))
        for cell in users:
            model += run[cell] <= pay
    for number, budget in enumerate(budgets):
        if budget < math.inf:
            scale = budget or 1  # near 1: the solver's tolerances are absolute
            model += pulp.lpSum(cost[number] / scale * pay for pay, cost in paid) <= budget / scale
    relative = 0 if aim != "intervals" else 1e-4
    model.solve(pulp.PULP_CBC_CMD(msg=False, timeLimit=seconds, gapRel=relative, threads=1))
    status = model.sol_status
    if status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        raise InputError(f"no choice was found in {seconds:g} s; raise --seconds")
    chosen = {cell for cell, variable in run.items() if (variable.value() or 0) > 0.5}
    if status == pulp.LpSolutionOptimal:
        return chosen, (pulp.value(model.objective) or 0.0) * (1 + relative)
    # the time was up: the relaxed problem bounds what a longer search could reach
    model.solve(pulp.PULP_CBC_CMD(msg=False, mip=False, timeLimit=seconds))
    if model.sol_status != pulp.LpSolutionOptimal:
        return chosen, math.inf
    relaxed = pulp.value(model.objective) or 0.0
    return chosen, relaxed if aim == "intervals" else math.floor(relaxed + 1e-6)


def _objective(problem: Problem, aim: str, run: Mapping, model: pulp.LpProblem):
    """Return the objective; add the variables and constraints that it needs to the model."""
    counts = {}  # cell -> variable: 1 if the cell comes to count
    for cell in problem.needs:
        baseline = problem.baseline.get(cell)
        if cell in run:
            counts[cell] = run[cell]  # its constraint includes the baseline
        elif baseline in run:
            counts[cell] = run[baseline]
    if aim == "cells":
        return pulp.lpSum(counts.values())
    terms = []
    for number, (pair, cells) in enumerate(problem.pairs.items()):
        new = [counts[cell] for cell in cells if cell in counts]
        if not new:
            continue
        if aim == "pairs":
            complete = model.add_variable(f"complete_{number}", 0, 1)
            for cell in new:
                model += complete <= cell
            terms.append(complete)
            continue
        n = len(cells) - len(new)
        more = []
        for k in range(len(new)):  # each further gain is worth less, so they fill in order
            step = model.add_variable(f"more_{number}_{k}", 0, 1)
            more.append(step)
            narrowing = half_width(n + k) - half_width(n + k + 1)
            terms.append(problem.spreads.get(pair, 1.0) * narrowing * step)
        model += pulp.lpSum(more) <= pulp.lpSum(new)
    return pulp.lpSum(terms)


def _shared(problem: Problem, cells: list[Cell]) -> dict[tuple[Cell, ...], list[float]]:
    """Return the total costs of the artefacts that the same cells need, by these cells."""
    users: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        for id in problem.needs[cell]:
            users[id].append(cell)
    groups: dict[tuple[Cell, ...], list[float]] = {}
    for id, sharing in users.items():
        total = groups.setdefault(tuple(sharing), [0.0] * len(problem.budgets))
        for number, amount in enumerate(problem.costs[id]):
            total[number] += amount
    return groups


def _useful(problem: Problem, chosen: set[Cell], aim: str) -> set[Cell]:
    """Return the chosen cells without those of incomplete pairs and without idle baselines."""
    counted = problem.counted(chosen)
    if aim == "cells":
        return chosen & counted
    gains = [
        cell
        for pair, cells in problem.pairs.items()
        for cell in cells
        if cell in counted
        and (counted.issuperset(cells) if aim == "pairs" else problem.spreads.get(pair, 1.0))
    ]
    return chosen & problem.with_baselines(gains)
