"""Time that `xstilts plan` takes to choose among the cells of a growing study.

    python benchmarks/plan.py

Prints a row per size of the paper's grid, aim and budget (as a share of the total cost): the number
of cells, the seconds of planning (reading, expansion, bill) and of the choice, its optimality gap
and the number of chosen cells. Nothing is trained; all costs are estimates.
"""

import time
from pathlib import Path

from xstilts.costs.bill import make, problem, wall_seconds
from xstilts.costs.choice import AIMS, choose
from xstilts.costs.estimates import Estimator
from xstilts.grid.grid import Grid
from xstilts.grid.state import open_study

STUDY = Path(__file__).resolve().parents[1] / "config" / "studies" / "phang2020.yaml"
SEEDS = [2, 3, 5, 10]
SHARES = [0.1, 0.5]
SECONDS = 15  # the command's default


def main() -> None:
    """Print the table."""
    print(
        f"{'cells':>6} {'plan':>7}  {'aim':9} {'budget':>6} {'choice':>7} {'gap':>6} {'chosen':>6}"
    )
    paper = open_study(STUDY)[0].project
    for seeds in SEEDS:
        study = paper.study.model_copy(update={"seeds": list(range(1, seeds + 1))})
        start = time.monotonic()
        grid = Grid(paper.model_copy(update={"study": study}))
        plan = make(grid, Estimator(grid.project), ())
        plan.bill("recipe")
        wall_seconds(plan, 8)
        planned = time.monotonic() - start
        for aim in AIMS:
            for share in SHARES:
                start = time.monotonic()
                hours = share * plan.total().gpu_hours
                choice = choose(problem(plan, {}, hours, float("inf")), aim, SECONDS)
                seconds = time.monotonic() - start
                print(
                    f"{len(plan.needs):6} {planned:6.1f}s  {aim:9} {share:6.0%} {seconds:6.1f}s "
                    f"{choice.bound / choice.value - 1:6.2%} {len(choice.cells):6}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
