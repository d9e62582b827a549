"""size: does the amount of intermediate data matter, overall and on adversarial subsets?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    capital,
    effect,
    ends,
    estimate,
    judged,
    nothing_yet,
    power,
    shared_caveats,
    trained,
    with_ci,
)
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import FILLED, Panel, along
from xstilts.recipe import Merge, Recipe, Step, parse
from xstilts.results.drawing import Drawing
from xstilts.results.samples import ZERO_SHOT, Part, Samples
from xstilts.results.scores import BASELINE, MEAN
from xstilts.results.statistics import (
    Interval,
    Sample,
    combine,
    mean,
    random_mean,
    slope_weights,
    spearman,
)
from xstilts.results.verdicts import family
from xstilts.units import count

UNIT = "points per tenfold data"
STATED = 6  # slopes in the finding
Sized = dict[tuple[str, str], list[str]]  # (model, data) -> recipes that differ in size, by size


Measure = Callable[[str, str, str], Sample]  # (model, recipe, language) -> sample


class Quantity(NamedTuple):
    """A gain, or a difference of gains, that is compared over sizes."""

    of: Measure
    languages: list[str]
    target: str = ""  # whose gain this is in the table of gains, if it is one of these


Quantities = Mapping[str, Quantity]  # by name


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return the gain, and the gain on hard and other examples, by the log of the data's size."""
    every = _by_data(samples, facts)
    sized = {
        key: recipes
        for key, recipes in every.items()
        if len({facts.examples[r] for r in recipes}) > 1
    }
    if not sized:
        return nothing_yet(samples, "two sizes of the same intermediate data")
    quantities = _quantities(samples, facts)
    series = {
        (name, key): ", ".join([name, *_named(samples, sized, key)])
        for name, quantity in quantities.items()
        for key, recipes in sized.items()
        if _slope(facts, quantity, key[0], recipes, ZERO_SHOT).seeds
    }
    if not series:
        return nothing_yet(samples, "scores of two sizes on all targets")
    trends, random = {}, []
    for (name, key), label in series.items():
        slope = partial(_slope, facts, quantities[name], key[0], sized[key])
        trends[label], languages = slope(ZERO_SHOT), quantities[name].languages
        title = f"Slope of the {label}, languages and seeds random"
        random.append((title, random_mean([slope(x) for x in languages]), len(languages)))
    sizes = {label: len(sized[key]) for (_, key), label in series.items()}
    slopes = judged(
        ((f"Slope of the {label}", s.interval, sizes[label]) for label, s in trends.items()),
        UNIT,
    )
    across = _across(samples, facts, quantities["gain"], every)
    sentences = [*map(_sentence, trends, slopes)]
    if len(sentences) > STATED:
        rest = count(len(sentences) - STATED, "more slope")
        sentences = [*sentences[:STATED], f"{capital(rest)} below, corrected together with these."]
    points = _judged_points(samples, facts, quantities, sized, series)
    tables = {"sizes": points, "languages": _lines(facts, quantities, sized, series)}
    return Outcome(
        "\n".join(sentences),
        _caveats(samples, facts, quantities),
        [*slopes, *judged(random, UNIT), *across],
        {"answer": lambda: _figure(samples, points, sized)},
        {name: table for name, table in tables.items() if len(table)},
        power(samples, [*trends.values()], "slope", UNIT),
    )


def _caveats(samples: Samples, facts: Facts, quantities: Quantities) -> list[str]:
    caveats = [
        *shared_caveats(samples),
        "Subsamples are nested: a larger one contains the smaller ones.",
    ]
    if any(whole for _, whole in facts.adversarial.values()):
        caveats.append(
            "Where another target stands for a subset, its examples are a task of its own: the "
            "gain on each is shown, but no difference between the two."
        )
    for name, subset in samples.subsets.items():
        sizes = sorted({len(ids) for ids in subset.values()})
        ends = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
        caveats.append(
            f"Subset {name} has {ends} examples in each of {count(len(subset), 'language')}."
        )
    known = {name.removeprefix("gain on ") for name in quantities}
    missing = [name for name in facts.adversarial if name not in known]
    return caveats + [f"Subset {name} has no scores yet." for name in missing]


def _by_data(samples: Samples, facts: Facts) -> Sized:
    """Return the recipes of a model that differ only in the number of examples, by that number."""
    sized: Sized = {}
    for model in samples.context.models:
        for name in trained(samples, model):
            if name in facts.examples:
                recipe = facts.recipes.get(name) or parse(name)
                data = str(_without_sizes(recipe))
                sized.setdefault((model, data), []).append(name)
    return {key: sorted(names, key=facts.examples.get) for key, names in sized.items()}


def _without_sizes(recipe: Recipe) -> Recipe:
    """Return a recipe without the sizes of its subsamples and its numbers of optimiser steps."""

    def training(step: Step) -> Step:
        return Step(tuple(replace(part, size=None) for part in step.parts))

    return Recipe(
        tuple(
            replace(step, trainings=tuple(map(training, step.trainings)))
            if isinstance(step, Merge)
            else training(step)
            for step in recipe.steps
        )
    )


def _named(samples: Samples, sized: Sized, key: tuple[str, str]) -> list[str]:
    """Return the labels that distinguish a series from the others: model, data, or both."""
    label = samples.label
    several = [len({key[part] for key in sized}) > 1 for part in (0, 1)]
    return [label(name) for name, shown in zip(key, several, strict=True) if shown]


def _across(samples: Samples, facts: Facts, gain: Quantity, every: Sized) -> list[Estimate]:
    """Return the correlation of size and gain over intermediate tasks, each at its largest."""
    named = []
    for model in dict.fromkeys(model for model, _ in every):
        largest = [recipes[-1] for (name, _), recipes in every.items() if name == model]
        means = [gain.of(model, recipe, ZERO_SHOT).mean for recipe in largest]
        rank = spearman([facts.examples[r] for r in largest], means)
        if np.isfinite(rank.value):
            label = samples.label(model)
            title = f"Spearman's correlation of size and gain over intermediate tasks, {label}"
            named.append(estimate(title, rank, len(largest), "rho"))
    return named


def _quantities(samples: Samples, facts: Facts) -> Quantities:
    """Return the gain, and of each subset the gain on it, on the others, and their difference.

    Where another target stands for a subset there is only the gain on that target: it is another
    task, and a difference would compare tasks instead of examples.
    """
    results = samples.results
    targets = results.targets(ZERO_SHOT)
    plain = [t for t in targets if t not in {whole for _, whole in facts.adversarial.values()}]
    shared = sorted(set.intersection(*(set(samples.languages(t, ZERO_SHOT)) for t in plain)))

    def gain(model: str, recipe: str, language: str) -> Sample:
        return mean([samples.gain(model, recipe, target, language) for target in plain])

    def on(target: str, subset: Part | None = None) -> Measure:
        return lambda model, recipe, x: samples.gain(model, recipe, target, x, subset)

    tabled = MEAN if plain == targets else plain[0] if len(plain) == 1 else ""
    quantities = {"gain": Quantity(gain, shared, tabled)}
    for name, (target, whole) in facts.adversarial.items():
        if whole in targets:
            languages = samples.languages(whole, ZERO_SHOT)
            quantities[f"gain on {name}"] = Quantity(on(whole), languages, whole)
        elif target in targets and not whole and name in samples.subsets:
            hard, rest = on(target, (name, True)), on(target, (name, False))
            known = set(samples.subsets[name]) & set(samples.languages(target, ZERO_SHOT))
            languages = sorted(x for x in known if samples.subsets[name][x])
            quantities |= {
                f"gain on {name}": Quantity(hard, languages),
                f"gain on the examples outside {name}": Quantity(rest, languages),
                f"difference of the gains on {name} and outside": Quantity(
                    lambda *run, hard=hard, rest=rest: hard(*run) - rest(*run), languages
                ),
            }
    return quantities


def _slope(
    facts: Facts, quantity: Quantity, model: str, recipes: Sequence[str], language: str
) -> Sample:
    """Return the slope of the least-squares line over the logarithm of the examples."""
    weights = slope_weights(np.log10([facts.examples[recipe] for recipe in recipes]))
    return combine([quantity.of(model, recipe, language) for recipe in recipes], weights)


def _lines(
    facts: Facts, quantities: Quantities, sized: Sized, series: Iterable[tuple[str, tuple]]
) -> pd.DataFrame:
    """Return the slope in each language."""
    slopes = {
        (name, *key, language): _slope(facts, quantities[name], key[0], sized[key], language)
        for name, key in series
        for language in quantities[name].languages
    }
    judgements = family([slope.interval for slope in slopes.values()])
    names = ("quantity", "model", "data", "language")
    return pd.DataFrame(
        [
            dict(zip(names, key, strict=True)) | ends(interval, "slope") | {"seeds": slope.seeds}
            for (key, slope), interval in zip(slopes.items(), judgements, strict=True)
        ]
    )


def _sentence(label: str, slope: Estimate) -> str:
    verdict = capital(effect(slope, f"data size on the {label}"))
    return f"{verdict}: {with_ci(slope, UNIT, count(slope.n, 'size'))}."


def _judged_points(
    samples: Samples, facts: Facts, quantities: Quantities, sized: Sized, series: Iterable
) -> pd.DataFrame:
    """Return the value of each quantity at each size.

    A gain of the table of gains has its interval there; the others are judged together.
    """
    points = {
        (name, *key, recipe): quantities[name].of(key[0], recipe, ZERO_SHOT)
        for name, key in series
        for recipe in sized[key]
    }
    intervals = {
        key: samples.intervals[key[1], key[3], quantities[key[0]].target, ZERO_SHOT]
        for key in points
        if quantities[key[0]].target
    }
    own = {key: point for key, point in points.items() if key not in intervals}
    judgements = family(
        [point.interval for point in own.values()],
        [key[:2] for key in own],
        [point.share((key[1], BASELINE)) for key, point in own.items()],
    )
    intervals |= zip(own, judgements, strict=True)
    names = ("quantity", "model", "data", "recipe")
    return pd.DataFrame(
        [
            dict(zip(names, key, strict=True))
            | {"examples": facts.examples[key[3]]}
            | ends(intervals[key], "value")
            | {"p_adjusted": intervals[key].p_adjusted, "seeds": point.seeds}
            for key, point in points.items()
        ]
    )


def _figure(samples: Samples, points: pd.DataFrame, sized: Sized) -> Drawing:
    panels = []
    for name, rows in points.groupby("quantity", sort=False):
        series: dict[str, list[tuple[float, Interval]]] = {}
        for row in rows.itertuples():
            label = ", ".join(_named(samples, sized, (row.model, row.data)))
            interval = Interval(row.value, row.low, row.high, p_adjusted=row.p_adjusted)
            series.setdefault(label, []).append((row.examples, interval))
        panels.append(Panel(capital(name), (), series))
    ticks = {
        size: f"{size / 1000:g}k" if size >= 1000 else str(size)
        for size in sorted(points["examples"].unique())
    }
    caption = f"Gain by the number of intermediate examples. {bars(samples)} {FILLED}"
    return along(caption, panels, ("intermediate examples", "points (more is better)"), ticks)
