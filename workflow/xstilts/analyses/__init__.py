"""The analyses of studies: one module per question, all with one function.

    answer(samples, facts) -> Outcome       pure: from scores and facts to words, figures, tables

Partial results are normal: an analysis states what cannot be answered yet.
"""

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from xstilts.analyses.answer import POINTS, SHARE, Answer, Estimate, Verdict
from xstilts.config.claims import Claim
from xstilts.recipe import Recipe
from xstilts.results.drawing import Drawing
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE, MEAN
from xstilts.results.statistics import Error, Interval, Sample
from xstilts.results.tables import signed
from xstilts.results.verdicts import (
    detectable,
    family,
    fewest_seeds,
    power_sentence,
    stated_power,
)
from xstilts.units import count


@dataclass(frozen=True)
class Facts:
    """Facts about a study that an analysis needs in addition to the scores."""

    question: str
    recipes: Mapping[str, Recipe]
    # (model, recipe, target) -> validation score of each seed, NaN if missing
    validation: Mapping[tuple[str, str, str], list[float]] = field(default_factory=dict)
    # model -> recipe -> target -> score
    published: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)  # of targets, as XTREME's
    parameters: Mapping[str, int] = field(default_factory=dict)  # of models
    families: Mapping[str, str] = field(default_factory=dict)  # of models, such as XLM-R
    gpu_hours: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (model, recipe)
    examples: Mapping[str, int] = field(default_factory=dict)  # a recipe's intermediate examples
    # name -> (target, another target that stands for the subset)
    adversarial: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    claims: Sequence[Claim] = ()
    # (model, chain so far, task, seed) -> score of the task with its own head
    retained: Mapping[tuple[str, str, str, int], float] = field(default_factory=dict)
    orders: Mapping[str, str] = field(default_factory=dict)  # recipe -> given, random, control
    longer: Collection[tuple[str, str]] = ()  # (recipe, target) with the same training data


@dataclass(frozen=True)
class Outcome:
    """The findings of an analysis; figures and tables are by the stems of their files."""

    finding: str
    caveats: Sequence[str]
    estimates: Sequence[Estimate] = ()
    figures: Mapping[str, Callable[[], Drawing]] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    power: str = ""
    claims: Sequence[Verdict] = ()
    analysis: str = ""  # with its question, filled in by `run`
    question: str = ""

    @cached_property
    def answer(self) -> Answer:
        """The answer, as in answer.json."""
        texts = {name: getattr(self, name) for name in ("analysis", "question", "finding", "power")}
        lists = ("caveats", "estimates", "claims", "figures", "tables")
        return Answer(**texts, **{name: list(getattr(self, name)) for name in lists})


def run(name: str, samples: Samples, facts: Facts) -> Outcome:
    """Run the analysis with this name, unless no run has learned anything."""
    if finding := nothing_learned(samples, samples.context.models):
        outcome = Outcome(finding, shared_caveats(samples))
    else:
        outcome = importlib.import_module(f"xstilts.analyses.{name}").answer(samples, facts)
        if facts.claims:
            claims = importlib.import_module("xstilts.analyses.claims")
            outcome = claims.add(outcome, samples, facts)
    return replace(outcome, analysis=name, question=facts.question)


def nothing_learned(samples: Samples, models: Sequence[str]) -> str:
    """Return the finding if all runs of some models are degenerate; empty otherwise."""
    scored = samples.results.scored
    scored = scored[scored["model"].isin(models)]
    if scored.empty or not scored["degenerate"].all():
        return ""
    return (
        f"Nothing was learned: all {count(len(scored), 'run')} score no higher than the majority "
        "class."
    )


def estimate(
    label: str, interval: Interval, n: int, unit: str = POINTS, effect: float | None = None
) -> Estimate:
    """Return an interval as an estimate of the answer; NaN becomes None."""
    names = ("value", "low", "high", "p", "p_adjusted")
    values = {name: getattr(interval, name) for name in names} | {"effect": effect}
    verdict = None if np.isnan(interval.p_adjusted) else interval.significant
    known = {name: finite(value) for name, value in values.items()}
    return Estimate(label=label, n=n, unit=unit, significant=verdict, **known)


def finite(value: float | None) -> float | None:
    """Return a number as an answer states it; NaN and infinity become None."""
    return float(value) if value is not None and np.isfinite(value) else None


def judged(named: Iterable[tuple[str, Interval, int]], unit: str = POINTS) -> list[Estimate]:
    """Return (label, interval, n) as a family of estimates with simultaneous CIs."""
    named = list(named)
    intervals = family([interval for _, interval, _ in named])
    return [
        estimate(label, interval, n, unit)
        for (label, _, n), interval in zip(named, intervals, strict=True)
    ]


def judged_samples(named: Iterable[tuple[str, Sample]], unit: str = POINTS) -> list[Estimate]:
    """Return (label, sample) as such a family; n is the number of seeds."""
    return judged(((label, sample.interval, sample.seeds) for label, sample in named), unit)


def ends(interval: Interval, name: str = "gain") -> dict[str, float | bool]:
    """Return the columns of a table that show a gain with its verdict."""
    return {**interval_columns(interval, name), "significant": interval.significant}


def interval_columns(interval: Interval | Estimate, name: str = "gain") -> dict[str, float]:
    """Return the columns of a table that show a value with its CI."""
    return {name: interval.value, "low": interval.low, "high": interval.high}


def effect(estimate: Estimate | Interval, of: str) -> str:
    """Return `significant effect of …`, `no significant effect of …` or `no verdict on …`."""
    if estimate.p_adjusted is None or np.isnan(estimate.p_adjusted):
        return f"no verdict on {of}"
    return f"{'' if estimate.significant else 'no '}significant effect of {of}"


def capital(text: str) -> str:
    """Return a text with a capital, which begins a sentence."""
    return text[:1].upper() + text[1:]


def power(
    samples: Samples,
    quantities: Sequence[Sample],
    name: str,
    unit: str = POINTS,
    tests: int | None = None,
) -> str:
    """Return the smallest effect that the study finds, and the seeds that one point takes.

    Both are for a typical one of the quantities, in a family of `tests`. The run SD is that of its
    most variable term: the others may be means, of more baselines or of several recipes.
    """
    tests = tests or max(1, len(quantities))
    known = [s for s in quantities if s.seeds > 1 and s.error.variance > 0]
    if not known:
        recipes = len(samples.context.recipes) - 1
        return stated_power(len(samples.seeds), recipes, tests, name="gain")
    typical = sorted(known, key=lambda sample: sample.error.variance)[len(known) // 2]
    error, seeds = typical.error, typical.seeds
    least = detectable(float(np.sqrt(error.variance)), error.freedom, tests, error.examples)
    sd = np.sqrt(max(error.by_run.values()) * seeds)
    basis = "the variance measured so far"
    if unit == POINTS:
        basis = f"the run SD of {signed(sd)} points measured so far"
    needed = seeds_needed(error, seeds, tests)
    return power_sentence(seeds, basis, f"{name} of {signed(least)} {unit}", needed)


def seeds_needed(error: Error, seeds: int, tests: int, effect: float = 1.0) -> str:
    """Return the number of seeds that finds an effect, as text, from the error of `seeds` seeds."""

    def least(number: int) -> float:
        variance = error.seeds * seeds / number + error.examples
        freedom = error.freedom * (number - 1) / (seeds - 1)
        return detectable(float(np.sqrt(variance)), freedom, tests, error.examples)

    return fewest_seeds(least, effect)


def with_ci(result: Interval | Estimate, unit: str = POINTS, n: str = "", where: str = "") -> str:
    """Return a text such as `+3.2 points on average (95 % CI +1.1 to +5.3; n = 3 seeds)`."""
    if result.value is None or np.isnan(result.value):  # of partial results
        return "not known yet, as no seed has all runs"
    low, high = (np.nan if end is None else end for end in (result.low, result.high))
    value, ci = f"{signed(result.value, '+')} {unit}", f"{signed(low, '+')} to {signed(high, '+')}"
    if unit == SHARE:
        value, ci = f"{100 * result.value:.0f} %", f"{100 * low:.0f}–{100 * high:.0f} %"
    ci = "no CI" if np.isnan(low) else f"95 % CI {ci}"
    return " ".join(filter(None, [value, where, f"({ci}; n = {n})" if n else f"({ci})"]))


def listed(names: Sequence[str]) -> str:
    """Return names as a text: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def bars(samples: Samples) -> str:
    """Return the sentence of a subtitle that explains the error bars."""
    runs = count(len(samples.seeds), "seed")
    if len(samples.seeds) == 1:
        return f"Bars: 95 % CIs over test examples ({runs})."
    return f"Bars: 95 % CIs over {runs} and test examples."


def trained(samples: Samples, model: str) -> list[str]:
    """Return the recipes for which a model has a gain, on some target and seed."""
    context = samples.context
    return [
        recipe
        for recipe in context.recipes
        if recipe != BASELINE and any(samples.gain(model, recipe, t).seeds for t in samples.targets)
    ]


def mean_gains(
    samples: Samples, model: str, labels: Mapping[str, str]
) -> list[tuple[str, Interval]]:
    """Return (label, mean zero-shot gain over targets) of some recipes, the largest first."""
    keys = {label: (model, recipe, MEAN, ZERO_SHOT) for recipe, label in labels.items()}
    rows = [(x, samples.intervals[key]) for x, key in keys.items() if key in samples.intervals]
    return sorted(rows, key=lambda row: -row[1].value)


def shared_caveats(samples: Samples) -> list[str]:
    """Return the caveats of any study: the meaning of its CIs, and missing or degenerate runs."""
    results, context = samples.results, samples.context
    caveats = [*filter(None, [context.versions]), *_about_seeds(samples)]
    total, scored = len(context.cells), len(results.scored)
    if scored < total:
        caveats.append(f"{total - scored:,} of {count(total, 'run')} have no score yet.")
    degenerate = int(results.scored["degenerate"].sum())
    if degenerate:
        caveats.append(
            f"{degenerate:,} of {count(scored, 'run')} ({100 * degenerate / scored:.0f} %) are "
            "degenerate: they score no higher than the majority class. Means include them; column "
            "gain_learned of the table gains leaves them out."
        )
    names = [samples.label(t) for t in results.metrics if not samples.has_examples(t)]
    if names:
        caveats.append(
            f"{listed(names)}: this metric cannot be resampled by example, so its CIs reflect "
            "seeds only."
        )
    return caveats


def _about_seeds(samples: Samples) -> list[str]:
    """Return the caveats on the variation between runs."""
    seeds, scored = len(samples.seeds), samples.results.scored
    if seeds == 1:
        return [
            "One seed: CIs reflect the choice of test examples, for these training runs only. "
            "Variation between seeds is not included, so there is no p, rank or verdict."
        ]
    caveats = [
        f"CIs combine variation over {seeds} seeds and test examples. The variance between runs is "
        "pooled over the recipes of a model and target"
        + ("; two seeds are too few for one of each recipe (Welch)." if seeds == 2 else ".")
    ]
    baselines = len(samples.context.all_seeds)
    if baselines > seeds:
        caveats[0] += f" The baseline has {baselines} seeds."
    runs = scored.groupby(["model", "recipe", "target"]).size()
    if single := int((runs == 1).sum()):
        caveats.append(
            f"{count(single, 'recipe–target pair')} {'has' if single == 1 else 'have'} one seed: "
            "CIs borrow the run SD of other recipes, and there is no p, rank or verdict."
        )
    caveats.append(
        "All seeds of a model start from the same pretrained checkpoint: CIs do not include "
        "variation between pretrainings."
    )
    return caveats


def nothing_yet(samples: Samples, wanted: str) -> Outcome:
    """Return the outcome of a study that has no answer yet, because `wanted` is missing."""
    total, scored = len(samples.context.cells), len(samples.results.scored)
    finding = f"No answer yet: waiting for {wanted} ({scored:,} of {total:,} runs scored)."
    return Outcome(finding, shared_caveats(samples), power=power(samples, [], "gain"))
