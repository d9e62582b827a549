"""size: does the amount of intermediate data matter, overall and on adversarial subsets?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    counted,
    estimate,
    is_significant,
    nothing_yet,
    outcome,
    shared_caveats,
    trained,
    with_ci,
    with_holm,
)
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import Panel, along
from xstilts.recipe import parse
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE
from xstilts.results.statistics import (
    Interval,
    Sample,
    combine,
    mean,
    random_mean,
    slope_weights,
    spearman,
)
from xstilts.results.tables import signed

UNIT = "points per tenfold data"
Quantity = Callable[[str, str, str], Sample]  # (model, recipe, language) -> sample
Sized = dict[tuple[str, str], list[str]]  # (model, data) -> recipes that differ in size, by size


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return the gain, and the drop on each named subset, by the logarithm of the examples."""
    every = _by_data(samples, facts)
    sized = {
        key: recipes
        for key, recipes in every.items()
        if len({facts.examples[r] for r in recipes}) > 1
    }
    if not sized:
        return nothing_yet("size", samples, facts, "two sizes of the same intermediate data")
    quantities = _quantities(samples, facts)
    slopes, random, ranks, names, series = [], [], [], [], []
    points: list[dict] = []
    lines: list[dict] = []
    for name, (quantity, languages) in quantities.items():
        for (model, data), recipes in sized.items():
            trend = _slope(facts, quantity, model, recipes, ZERO_SHOT).interval
            if np.isnan(trend.value):
                continue
            label = ", ".join([name, *_named(samples, sized, (model, data))])
            rank = _rank(facts, quantity, model, recipes, ZERO_SHOT)
            over = random_mean([_slope(facts, quantity, model, recipes, x) for x in languages])
            title = f"Slope of the {label}"
            slopes.append(estimate(title, trend, len(recipes), UNIT))
            title = f"Slope of the {label}, languages and seeds random"
            random.append(estimate(title, over, len(languages), UNIT))
            title = f"Spearman's correlation of size and {label}"
            ranks.append(estimate(title, rank, len(recipes), "rho"))
            series.append(", ".join(_named(samples, sized, (model, data))))
            names.append(name)
            points += _points(facts, name, quantity, model, recipes)
            lines += _lines(facts, name, quantity, (model, data), recipes, languages)
    if not slopes:
        return nothing_yet("size", samples, facts, "scores of two sizes on all targets")
    caveats = [
        *shared_caveats(samples),
        "A correlation has one point per size (n). With fewer than five sizes, its p-value cannot "
        "be below .05.",
        "Subsamples are nested: a larger one contains the smaller ones.",
    ]
    if any(whole for _, whole in facts.adversarial.values()):
        caveats.append(
            "Where another target stands for a subset, the drop includes that target's own "
            "difficulty: only its change with size is meaningful."
        )
    for name, subset in samples.subsets.items():
        sizes = sorted({len(ids) for ids in subset.values()})
        ends = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
        caveats.append(
            f"Subset {name} has {ends} examples in each of {counted(len(subset), 'language')}."
        )
    missing = [name for name in facts.adversarial if not any(name in q for q in quantities)]
    caveats += [f"Subset {name} has no scores yet." for name in missing]
    figures = {"answer": lambda results: _figure(samples, facts, quantities, sized)}
    tables = {"sizes": pd.DataFrame(points)}
    if lines:
        tables["languages"] = pd.DataFrame(lines)
    across = _across(samples, facts, quantities["gain"][0], every)
    slopes, *others = map(with_holm, (slopes, random, ranks, across))
    estimates = [*slopes, *(e for family in others for e in family)]
    sentences = [*map(_sentence, names, series, slopes, ranks)][:4]
    return outcome("size", facts, "\n".join(sentences), caveats, estimates, figures, tables)


def _by_data(samples: Samples, facts: Facts) -> Sized:
    """Return the recipes of a model that differ only in the number of examples, by that number."""
    sized: Sized = {}
    for model in samples.results.context.models:
        for name in trained(samples, model):
            if name in facts.examples:
                recipe = facts.recipes.get(name) or parse(name)
                data = "-".join(
                    "+".join(str(replace(p, size=None)) for p in s.parts) for s in recipe.steps
                )
                sized.setdefault((model, data), []).append(name)
    return {key: sorted(names, key=facts.examples.get) for key, names in sized.items()}


def _named(samples: Samples, sized: Sized, key: tuple[str, str]) -> list[str]:
    """Return the labels that distinguish a series from the others: model, data, or both."""
    label = samples.results.context.label
    several = [len({key[part] for key in sized}) > 1 for part in (0, 1)]
    return [label(name) for name, shown in zip(key, several, strict=True) if shown]


def _across(samples: Samples, facts: Facts, gain: Quantity, every: Sized) -> list[Estimate]:
    """Return the correlation of size and gain over intermediate tasks, each at its largest."""
    estimates = []
    for model in dict.fromkeys(model for model, _ in every):
        largest = [recipes[-1] for (name, _), recipes in every.items() if name == model]
        means = [gain(model, recipe, ZERO_SHOT).mean for recipe in largest]
        rank = spearman([facts.examples[r] for r in largest], means)
        if np.isfinite(rank.value):
            label = samples.results.context.label(model)
            title = f"Spearman's correlation of size and gain over intermediate tasks, {label}"
            estimates.append(estimate(title, rank, len(largest), "rho"))
    return estimates


def _quantities(samples: Samples, facts: Facts) -> dict[str, tuple[Quantity, list[str]]]:
    """Return the gain and the drop on each subset, as functions, each with its languages."""
    results = samples.results
    targets = results.targets(ZERO_SHOT)
    plain = [t for t in targets if t not in {whole for _, whole in facts.adversarial.values()}]
    shared = sorted(set.intersection(*(set(samples.languages(t, ZERO_SHOT)) for t in plain)))

    def gain(model: str, recipe: str, language: str) -> Sample:
        gains = [samples.gain(model, recipe, target, language) for target in plain]
        return mean(gains)

    quantities: dict[str, tuple[Quantity, list[str]]] = {"gain": (gain, shared)}
    for name, (target, whole) in facts.adversarial.items():
        if target not in targets or (whole is None and name not in samples.subsets):
            continue
        languages = set(samples.languages(target, ZERO_SHOT))
        languages &= set(samples.languages(whole, ZERO_SHOT) if whole else samples.subsets[name])
        quantity = _drop(samples, name, target, whole, sorted(languages))
        quantities[f"drop on {name}"] = (quantity, sorted(languages))
    return quantities


def _drop(
    samples: Samples, name: str, target: str, whole: str | None, languages: Sequence[str]
) -> Quantity:
    """Return the function of clean minus adversarial score; averages need both in a language."""

    def drop(model: str, recipe: str, language: str) -> Sample:
        if language == ZERO_SHOT and languages:
            return mean([drop(model, recipe, x) for x in languages])
        clean = samples.score(model, recipe, target, language)
        if whole:
            return clean - samples.score(model, recipe, whole, language)
        return clean - samples.subset_score(model, recipe, target, language, name)

    return drop


def _slope(
    facts: Facts, quantity: Quantity, model: str, recipes: Sequence[str], language: str
) -> Sample:
    """Return the slope of the least-squares line over the logarithm of the examples."""
    weights = slope_weights(np.log10([facts.examples[recipe] for recipe in recipes]))
    return combine([quantity(model, recipe, language) for recipe in recipes], weights)


def _rank(
    facts: Facts, quantity: Quantity, model: str, recipes: Sequence[str], language: str
) -> Interval:
    means = [quantity(model, recipe, language).mean for recipe in recipes]
    return spearman([facts.examples[recipe] for recipe in recipes], means)


def _lines(
    facts: Facts,
    name: str,
    quantity: Quantity,
    key: tuple[str, str],
    recipes: Sequence[str],
    languages: Sequence[str],
) -> list[dict]:
    """Return the slope and the correlation in each language."""
    rows = []
    for language in languages:
        slope = _slope(facts, quantity, key[0], recipes, language).interval
        rank = _rank(facts, quantity, key[0], recipes, language)
        rows.append(
            {
                **{"quantity": name, "model": key[0], "data": key[1], "language": language},
                **{"slope": slope.value, "low": slope.low, "high": slope.high},
                **{"rho": rank.value, "rho_low": rank.low, "rho_high": rank.high},
                "sizes": len(recipes),
            }
        )
    return rows


def _sentence(name: str, series: str, slope: Estimate, rank: Estimate) -> str:
    verdict = "significant effect" if is_significant(slope) else "no significant effect"
    text = f"{verdict} of data size on the {name}: {with_ci(slope, UNIT, counted(slope.n, 'size'))}"
    text = f"{series}: {text}" if series else text[0].upper() + text[1:]
    if rank.value is not None:
        text += f"; Spearman's rho = {signed(rank.value, digits=2)}"
    return f"{text}."


def _points(
    facts: Facts, name: str, quantity: Quantity, model: str, recipes: Sequence[str]
) -> list[dict]:
    rows = []
    for recipe in [BASELINE, *recipes] if name != "gain" else recipes:
        sample = quantity(model, recipe, ZERO_SHOT)
        rows.append(
            {
                "quantity": name,
                "model": model,
                "recipe": recipe,
                "examples": facts.examples.get(recipe, 0),
                "value": sample.interval.value,
                "low": sample.interval.low,
                "high": sample.interval.high,
                "seeds": sample.seeds,
            }
        )
    return rows


def _figure(
    samples: Samples,
    facts: Facts,
    quantities: Mapping[str, tuple[Quantity, list[str]]],
    sized: Sized,
):
    panels = []
    for name, (quantity, _) in quantities.items():
        series = {
            ", ".join(_named(samples, sized, key)): [
                (facts.examples[recipe], quantity(key[0], recipe, ZERO_SHOT).interval)
                for recipe in recipes
            ]
            for key, recipes in sized.items()
        }
        panels.append(Panel(name[0].upper() + name[1:], (), series))
    sizes = sorted({facts.examples[r] for recipes in sized.values() for r in recipes})
    ticks = {size: f"{size / 1000:g}k" if size >= 1000 else str(size) for size in sizes}
    subtitle = f"{bars(samples)} Drop: score on all examples minus score on the subset."
    labels = ("intermediate examples", "points")
    return along("Gain by size of the intermediate data", subtitle, panels, labels, ticks)
