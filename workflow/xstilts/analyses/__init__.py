"""The analyses of studies: one module per question, all with one function.

    answer(samples, facts) -> Outcome       pure: from scores and facts to words, figures, tables

Partial results are normal: an analysis states what cannot be answered yet.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xstilts.analyses.answer import POINTS, SHARE, Answer, Estimate
from xstilts.recipe import Recipe
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE, Results
from xstilts.results.statistics import ALPHA, Interval, holm
from xstilts.results.tables import signed


@dataclass(frozen=True)
class Facts:
    """Facts about a study that an analysis needs in addition to the scores."""

    question: str
    recipes: Mapping[str, Recipe]
    gains: pd.DataFrame  # as in gains.csv
    validation: Mapping[tuple[str, str, str], list[float]] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)  # of targets, as XTREME's
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
    """Run the analysis with this name."""
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
    """Return an outcome whose answer lists the given figures and tables."""
    answer = Answer(
        analysis=name,
        question=facts.question,
        finding=finding,
        caveats=list(caveats),
        estimates=list(estimates),
        figures=list(figures),
        tables=list(tables),
    )
    return Outcome(answer, figures, tables)


def estimate(label: str, interval: Interval, n: int, unit: str = POINTS, **more: Any) -> Estimate:
    """Return an interval as an estimate of the answer; NaN becomes None."""
    values = {key: getattr(interval, key) for key in ("value", "low", "high", "p")} | more
    finite = {k: float(v) if v is not None and np.isfinite(v) else None for k, v in values.items()}
    return Estimate(label=label, n=n, unit=unit, **finite)


def with_holm(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Return a family of estimates, with p corrected over the family."""
    corrected = holm([np.nan if e.p is None else e.p for e in estimates])
    return [
        e.model_copy(update={"p_holm": None if np.isnan(p) else float(p)})
        for e, p in zip(estimates, corrected, strict=True)
    ]


def is_significant(estimate: Estimate) -> bool:
    """Whether an estimate differs from zero after Holm's correction."""
    return estimate.p_holm is not None and estimate.p_holm < ALPHA


def with_ci(result: Interval | Estimate, unit: str = POINTS, n: str = "", where: str = "") -> str:
    """`+3.2 points on average (95 % CI +1.1 to +5.3; n = 3 seeds)`."""
    low, high = (np.nan if end is None else end for end in (result.low, result.high))
    value, ci = f"{signed(result.value, '+')} {unit}", f"{signed(low, '+')} to {signed(high, '+')}"
    if unit == SHARE:
        value, ci = f"{100 * result.value:.0f} %", f"{100 * low:.0f}–{100 * high:.0f} %"
    ci = "no CI" if np.isnan(low) else f"95 % CI {ci}"
    return " ".join(filter(None, [value, where, f"({ci}; n = {n})" if n else f"({ci})"]))


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: int, name: str) -> str:
    """`1 seed`, `2 seeds`, `1,000 seeds`."""
    return f"{count:,} {name}{'s' if count != 1 else ''}"


def bars(samples: Samples) -> str:
    """Return the sentence of a subtitle that explains the error bars."""
    runs = counted(len(samples.seeds), "seed")
    if len(samples.seeds) == 1:
        return f"Bars: 95 % CIs over test examples ({runs})."
    return f"Bars: 95 % CIs over {runs} and test examples."


def trained(samples: Samples, model: str) -> list[str]:
    """Return the recipes for which a model has a gain, on some target and seed."""
    context = samples.results.context
    return [
        recipe
        for recipe in context.recipes
        if recipe != BASELINE
        and any(samples.gain(model, recipe, t).seeds for t in samples.results.targets(ZERO_SHOT))
    ]


def shared_caveats(samples: Samples) -> list[str]:
    """Return the caveats of any study: the meaning of its CIs, and missing or degenerate runs."""
    results, context = samples.results, samples.results.context
    seeds, caveats = len(context.seeds), []
    if seeds == 1:
        caveats.append(
            "One seed: CIs reflect the choice of test examples, for these training runs only. "
            "Variation between seeds is not included."
        )
    elif seeds < 5:
        caveats.append(
            f"CIs combine variation over {seeds} seeds and test examples (Welch's t). With so few "
            "seeds they are rough, and wide where seeds disagree."
        )
    total, scored = len(context.cells), len(results.scored)
    if scored < total:
        caveats.append(f"{total - scored:,} of {counted(total, 'run')} have no score yet.")
    degenerate = int(results.scored["degenerate"].sum())
    if degenerate:
        caveats.append(
            f"{degenerate:,} of {counted(scored, 'run')} are degenerate: they score no higher than "
            "the majority class. Means include them."
        )
    names = [context.label(t) for t in results.metrics if not samples.has_examples(t)]
    if names:
        caveats.append(
            f"{listed(names)}: this metric cannot be resampled by example, so its CIs reflect "
            "seeds only."
        )
    return caveats


def nothing_yet(name: str, samples: Samples, facts: Facts, wanted: str) -> Outcome:
    """Return the outcome of a study that has no answer yet, because `wanted` is missing."""
    total, scored = len(samples.results.context.cells), len(samples.results.scored)
    finding = f"No answer yet: waiting for {wanted} ({scored:,} of {total:,} runs scored)."
    return outcome(name, facts, finding, shared_caveats(samples), [], {}, {})
