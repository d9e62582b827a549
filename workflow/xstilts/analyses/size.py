"""size: does the amount of intermediate data matter, overall and on adversarial subsets?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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

    name: str
    of: Measure
    languages: list[str]
    target: str = ""  # whose gain this is in the table of gains, if it is one of these


@dataclass(frozen=True)
class Series:
    """A quantity of a model, over recipes that differ in the size of their data."""

    quantity: Quantity
    model: str
    data: str
    recipes: list[str]  # by size
    examples: list[int]
    label: str

    def slope(self, language: str) -> Sample:
        """Return the slope of the least-squares line over the logarithm of the examples."""
        values = [self.quantity.of(self.model, recipe, language) for recipe in self.recipes]
        return combine(values, slope_weights(np.log10(self.examples)))

    @cached_property
    def trend(self) -> Sample:
        """The slope of the zero-shot average."""
        return self.slope(ZERO_SHOT)

    def row(self, **more: object) -> dict[str, object]:
        """Return the first columns of a table."""
        return {"quantity": self.quantity.name, "model": self.model, "data": self.data, **more}


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
    series = [
        Series(
            *(quantity, *key, recipes, [facts.examples[r] for r in recipes]),
            label=", ".join([quantity.name, *_named(samples, sized, key)]),
        )
        for quantity in quantities
        for key, recipes in sized.items()
    ]
    series = [x for x in series if x.trend.seeds]
    if not series:
        return nothing_yet(samples, "scores of two sizes on all targets")
    slopes = judged(
        ((f"Slope of the {x.label}", x.trend.interval, len(x.recipes)) for x in series), UNIT
    )
    random = [
        (
            f"Slope of the {x.label}, languages and seeds random",
            random_mean([x.slope(language) for language in x.quantity.languages]),
            len(x.quantity.languages),
        )
        for x in series
    ]
    across = _across(samples, facts, quantities[0], every)
    sentences = [_sentence(x.label, slope) for x, slope in zip(series, slopes, strict=True)]
    if len(sentences) > STATED:
        rest = count(len(sentences) - STATED, "more slope")
        sentences = [*sentences[:STATED], f"{capital(rest)} below, corrected together with these."]
    points = _judged_points(samples, series)
    tables = {"sizes": points, "languages": _lines(series)}
    return Outcome(
        "\n".join(sentences),
        _caveats(samples, facts, quantities),
        [*slopes, *judged(random, UNIT), *across],
        {"answer": lambda: _figure(samples, points, sized)},
        {name: table for name, table in tables.items() if len(table)},
        power(samples, [x.trend for x in series], "slope", UNIT),
    )


def _caveats(samples: Samples, facts: Facts, quantities: Sequence[Quantity]) -> list[str]:
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
    known = {quantity.name.removeprefix("gain on ") for quantity in quantities}
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


def _quantities(samples: Samples, facts: Facts) -> list[Quantity]:
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

    def minus(first: Measure, second: Measure) -> Measure:
        return lambda *run: first(*run) - second(*run)

    tabled = MEAN if plain == targets else plain[0] if len(plain) == 1 else ""
    quantities = [Quantity("gain", gain, shared, tabled)]
    for name, (target, whole) in facts.adversarial.items():
        if whole in targets:
            languages = samples.languages(whole, ZERO_SHOT)
            quantities.append(Quantity(f"gain on {name}", on(whole), languages, whole))
        elif target in targets and not whole and name in samples.subsets:
            hard, rest = on(target, (name, True)), on(target, (name, False))
            known = set(samples.subsets[name]) & set(samples.languages(target, ZERO_SHOT))
            languages = sorted(x for x in known if samples.subsets[name][x])
            measures = {
                f"gain on {name}": hard,
                f"gain on the examples outside {name}": rest,
                f"difference of the gains on {name} and outside": minus(hard, rest),
            }
            quantities += [Quantity(*measure, languages) for measure in measures.items()]
    return quantities


def _lines(series: Sequence[Series]) -> pd.DataFrame:
    """Return the slope in each language."""
    slopes = [(x, language, x.slope(language)) for x in series for language in x.quantity.languages]
    judgements = family([slope.interval for *_, slope in slopes])
    return pd.DataFrame(
        x.row(language=language) | ends(interval, "slope") | {"seeds": slope.seeds}
        for (x, language, slope), interval in zip(slopes, judgements, strict=True)
    )


def _sentence(label: str, slope: Estimate) -> str:
    verdict = capital(effect(slope, f"data size on the {label}"))
    return f"{verdict}: {with_ci(slope, UNIT, count(slope.n, 'size'))}."


def _judged_points(samples: Samples, series: Sequence[Series]) -> pd.DataFrame:
    """Return the value of each quantity at each size.

    A gain of the table of gains has its interval there; the others are judged together.
    """
    points = []
    for x in series:
        for recipe, size in zip(x.recipes, x.examples, strict=True):
            value = x.quantity.of(x.model, recipe, ZERO_SHOT)
            points.append((x, recipe, size, value))
    own = [(x, value) for x, _, _, value in points if not x.quantity.target]
    judgements = iter(
        family(
            [value.interval for _, value in own],
            [(x.quantity.name, x.model) for x, _ in own],
            [value.share((x.model, BASELINE)) for x, value in own],
        )
    )
    rows = []
    for x, recipe, size, value in points:
        target = x.quantity.target
        key = (x.model, recipe, target, ZERO_SHOT)
        interval = samples.intervals[key] if target else next(judgements)
        row = x.row(recipe=recipe, examples=size) | ends(interval, "value")
        rows.append(row | {"p_adjusted": interval.p_adjusted, "seeds": value.seeds})
    return pd.DataFrame(rows)


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
