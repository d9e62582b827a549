"""The analyses of studies: one module per question, all with one function.

    answer(samples, facts) -> Outcome       pure: scores and facts in; words, figures, tables out

Partial results are normal: an analysis says what is not determined yet.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xstilts.analyses.answer import Answer, Estimate
from xstilts.recipe import Recipe
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE, Results
from xstilts.results.statistics import Interval, holm
from xstilts.results.tables import signed

POINTS = "points"


@dataclass(frozen=True)
class Facts:
    """What an analysis needs to know of a study, beside its scores."""

    question: str
    recipes: Mapping[str, Recipe]
    gains: pd.DataFrame  # as in gains.csv
    validation: Mapping[tuple[str, str, str], list[float]] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)  # target -> its kind
    parameters: Mapping[str, int] = field(default_factory=dict)  # of models
    gpu_hours: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (model, recipe)
    examples: Mapping[str, int] = field(default_factory=dict)  # a recipe's intermediate examples
    adversarial: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    # name -> (target, another target that stands for the subset)
    retained: Mapping[tuple[str, str, str, int], float] = field(default_factory=dict)
    # (model, chain so far, task, seed) -> score of the task with its own head
    orders: Mapping[str, str] = field(default_factory=dict)  # recipe -> given, random, control


@dataclass(frozen=True)
class Outcome:
    """An answer with its figures and tables, by the stems that the answer lists."""

    answer: Answer
    figures: Mapping[str, Callable[[Results], Figure]] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def run(name: str, samples: Samples, facts: Facts) -> Outcome:
    """The outcome of the analysis of that name."""
    return importlib.import_module(f"xstilts.analyses.{name}").answer(samples, facts)


def outcome(
    name: str,
    facts: Facts,
    finding: str,
    caveats: Sequence[str],
    estimates: Sequence[Estimate],
    figures: Mapping[str, Callable[[Results], Figure]],
    tables: Mapping[str, pd.DataFrame],
) -> Outcome:
    """An outcome whose answer lists the figures and tables that are given."""
    said = Answer(
        analysis=name,
        question=facts.question,
        finding=finding,
        caveats=list(caveats),
        estimates=list(estimates),
        figures=list(figures),
        tables=list(tables),
    )
    return Outcome(said, figures, tables)


def estimate(label: str, found: Interval, n: int, unit: str = POINTS, **more: Any) -> Estimate:
    """An interval as an answer holds it; NaN becomes None."""
    values = {"value": found.value, "low": found.low, "high": found.high, "p": found.p, **more}
    finite = {k: float(v) if v is not None and np.isfinite(v) else None for k, v in values.items()}
    return Estimate(label=label, n=n, unit=unit, **finite)


def with_holm(estimates: Sequence[Estimate]) -> list[Estimate]:
    """A family of estimates, with p corrected over it."""
    corrected = holm([np.nan if e.p is None else e.p for e in estimates])
    return [
        e.model_copy(update={"p_holm": None if np.isnan(p) else float(p)})
        for e, p in zip(estimates, corrected, strict=True)
    ]


def told(found: Interval | Estimate, unit: str = POINTS, digits: int = 1) -> str:
    """`+3.2 points (95 % interval +1.1 to +5.3)`."""
    low, high = (np.nan if end is None else end for end in (found.low, found.high))

    def number(value: float) -> str:
        return signed(value, "+") if digits == 1 else f"{value:+.{digits}f}".replace("-", "−")

    if np.isnan(low):
        return f"{number(found.value)} {unit} (no interval)"
    return f"{number(found.value)} {unit} (95 % interval {number(low)} to {number(high)})"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: int, name: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {name}{'s' if count != 1 else ''}"


def bars(samples: Samples) -> str:
    """What the bars of a figure are, for its subtitle."""
    runs = counted(len(samples.seeds), "seed")
    if len(samples.seeds) == 1:
        return f"Bars: 95 % intervals over test examples, of {runs}."
    return f"Bars: 95 % intervals over {runs} and test examples."


def trained(samples: Samples, model: str) -> list[str]:
    """The recipes that a model has a gain for, on some target and seed."""
    context = samples.results.context
    return [
        recipe
        for recipe in context.recipes
        if recipe != BASELINE
        and any(samples.gain(model, recipe, t).seeds for t in samples.results.targets(ZERO_SHOT))
    ]


def shared_caveats(samples: Samples) -> list[str]:
    """What holds for the answer of any study: how sure intervals are, what is missing."""
    results, context = samples.results, samples.results.context
    seeds, caveats = len(context.seeds), []
    if seeds == 1:
        caveats.append(
            "One seed: intervals are over test examples, for these trainings; what another seed "
            "would change is not in them."
        )
    elif seeds < 5:
        caveats.append(
            f"{seeds} seeds: intervals are over seeds and test examples, by Welch's t, which takes "
            "trainings of one seed for independent; so few seeds tell their own spread badly, and "
            "where seeds differ much intervals are wide."
        )
    total, scored = len(context.cells), len(results.scored)
    if scored < total:
        caveats.append(f"{total - scored} of {total} cells have no score yet.")
    lost = int(results.scored["degenerate"].sum())
    if lost:
        caveats.append(
            f"{lost} of {scored} cells are degenerate, not above the majority class; they count."
        )
    kept = {target for target in results.metrics if samples.has_examples(target)}
    without = [context.label(t) for t in results.metrics if t not in kept]
    if without:
        caveats.append(
            f"{listed(without)}: the metric is no sum over examples, so intervals are over seeds."
        )
    return caveats


def nothing_yet(name: str, samples: Samples, facts: Facts, why: str) -> Outcome:
    """The outcome of a study whose scores do not determine an answer."""
    return outcome(name, facts, f"No answer yet: {why}.", shared_caveats(samples), [], {}, {})
