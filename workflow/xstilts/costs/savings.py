"""GPU hours that a study saves, by cause: the bill plus all savings is the cost without them."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from math import fsum

from xstilts.config.settings import Precision
from xstilts.costs.bill import Plan
from xstilts.costs.estimates import ESTIMATED, Estimator
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint, Predictions
from xstilts.grid.base import Artefact

_PLAIN = "fp32"


@dataclass(frozen=True)
class Saving:
    """GPU hours that a cause saves, and how they are known."""

    cause: str
    hours: float
    source: str


def savings(plan: Plan, estimator: Estimator) -> list[Saving]:
    """Return the savings of a study, from the one in fp32 without graphs and sharing to the bill.

    The order is precision, CUDA graphs, shared trainings. Each saving is that on top of the earlier
    ones.
    """
    on_gpu = [a for a in plan.computing if plan.costs[a.id].gpus]
    targets = _targets(plan)
    jobs = {a.id: max(1, targets[a.id]) for a in on_gpu}  # number of jobs if none were shared
    estimated = [a for a in on_gpu if plan.costs[a.id].source == ESTIMATED]
    lower = [a for a in estimated if a.settings.precision != _PLAIN]
    basis = f"rates {estimator.table.hardware[estimator.gpu].source}"
    eager = {a.id: _other_hours(a, plan, estimator, a.settings.precision) for a in estimated}
    saved = []
    with suppress(InputError):  # of a benchmark file without fp32
        more = [
            (_other_hours(a, plan, estimator, _PLAIN) - eager[a.id]) * jobs[a.id] for a in lower
        ]
        names = ", ".join(sorted({a.settings.precision for a in lower}))
        saved += [Saving(f"{names} instead of {_PLAIN}", fsum(more), basis)] if lower else []
    more = fsum((eager[a.id] - _hours(a, plan)) * jobs[a.id] for a in estimated)
    if more:
        saved.append(Saving("CUDA graphs, compact embeddings", more, basis))
    if twice := [a for a in on_gpu if jobs[a.id] > 1]:
        more = fsum(_hours(a, plan) * (jobs[a.id] - 1) for a in twice)
        number = sum(jobs[a.id] - 1 for a in twice)
        saved.append(Saving(f"{number} trainings that targets share", more, "counted"))
    return saved


def _targets(plan: Plan) -> Counter[str]:
    """Return the number of targets that share a training as their own, by the training's id."""
    count: Counter[str] = Counter()
    for artefact in plan.by_id.values():
        if isinstance(artefact, Predictions) and not artefact.head:
            families = {part.family for part in artefact.checkpoint.parts}
            count[artefact.checkpoint.id] += artefact.family in families
    return count


def _hours(artefact: Artefact, plan: Plan) -> float:
    return plan.costs[artefact.id].gpu_hours


def _other_hours(
    artefact: Checkpoint | Predictions, plan: Plan, estimator: Estimator, precision: Precision
) -> float:
    """Return the GPU hours of an estimated job in a precision, without CUDA graphs.

    Its start takes as long.
    """
    cost = plan.costs[artefact.id]
    start = estimator.table.assumptions.seconds[artefact.identity.phase]
    slower = estimator.rate(artefact) / estimator.rate(artefact, precision, eager=True) - 1
    return cost.gpu_hours + (cost.seconds - start) * slower * cost.gpus / 3600
