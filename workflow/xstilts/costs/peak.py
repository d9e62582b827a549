"""Disk space of a study at its peak: pure, from the plan and the times at which its jobs end."""

from collections import defaultdict
from itertools import accumulate
from typing import get_args

from xstilts.config.resources import Keep
from xstilts.costs.bill import Plan, schedule
from xstilts.costs.estimates import Estimator
from xstilts.grid import retention


def peaks(plan: Plan, estimator: Estimator, places: int) -> dict[Keep, float]:
    """Return the largest number of bytes in the results folder, by `keep`.

    Running trainings need space for their resume state. Weights that `keep` does not keep are
    deleted when the last score that descends from them exists.
    """
    return {keep: _peak(plan, estimator, places, keep) for keep in get_args(Keep)}


def _peak(plan: Plan, estimator: Estimator, places: int, keep: Keep) -> float:
    times = schedule(plan, places, keep)
    spans = {a.id: times[str(a.job.benchmark)] for a in plan.to_do}
    changes: list[tuple[float, float]] = [
        (0.0, sum(plan.costs[id].disk for id in plan.done & plan.by_id.keys()))
    ]
    for artefact in plan.to_do:
        start, end = spans[artefact.id]
        scratch = estimator.scratch(artefact)
        changes += [(end, plan.costs[artefact.id].disk), (start, scratch), (end, -scratch)]
    last: dict[str, float] = defaultdict(float)
    for score in plan.artefacts.scores.values():
        for node in {node.id for c in score.predictions.checkpoints for node in c.lineage()}:
            last[node] = max(last[node], spans.get(score.id, (0.0, 0.0))[1])
    changes += [(last[id], -plan.costs[id].disk) for id in retention.passing(plan.grid, keep)]
    # of changes at one time, those that add bytes come first: the peak is not underestimated
    ordered = sorted(changes, key=lambda change: (change[0], -change[1]))
    return max(accumulate(bytes for _, bytes in ordered))
