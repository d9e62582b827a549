"""size: does the amount of intermediate data matter, on the whole and on adversarial subsets?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    counted,
    estimate,
    nothing_yet,
    outcome,
    shared_caveats,
    told,
    trained,
    with_holm,
)
from xstilts.analyses.plots import Panel, along
from xstilts.results import BASELINE
from xstilts.samples import ZERO_SHOT, Samples
from xstilts.statistics import Interval, Sample, combine, crossed_mean, slope_weights, spearman

UNIT = "points per tenfold data"
Quantity = Callable[[str, str, str], Sample]  # (model, recipe, language) -> sample


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Gain, and degradation on each named subset, against the logarithm of the examples."""
    context = samples.results.context
    sized = {
        model: sorted(
            (r for r in trained(samples, model) if r in facts.examples), key=facts.examples.get
        )
        for model in context.models
    }
    sized = {
        model: recipes
        for model, recipes in sized.items()
        if len({facts.examples[r] for r in recipes}) > 1
    }
    if not sized:
        return nothing_yet("size", samples, facts, "no two sizes of intermediate data are scored")
    quantities = _quantities(samples, facts)
    found: list = []
    said: list[str] = []
    rows: list[dict] = []
    for name, (quantity, languages) in quantities.items():
        for model, recipes in sized.items():
            slope, by_language, rank = _trend(facts, quantity, model, recipes, languages)
            if np.isnan(slope.value):
                continue
            label = name + (f", {context.label(model)}" if len(sized) > 1 else "")
            found.append(estimate(f"Slope of the {label}", slope, len(recipes), UNIT))
            found.append(
                estimate(
                    f"Slope of the {label}, languages and seeds random",
                    by_language,
                    len(languages),
                    UNIT,
                )
            )
            found.append(
                estimate(f"Spearman's correlation of size and {label}", rank, len(recipes), "rho")
            )
            said.append(_sentence(label, slope, rank, len(recipes)))
            rows += _rows(facts, name, quantity, model, recipes)
    if not said:
        return nothing_yet("size", samples, facts, "no size is scored on every target")
    caveats = [
        *shared_caveats(samples),
        "A correlation is over as many points as there are sizes, which its n states; with fewer "
        "than six no p can be small.",
        "Subsamples are nested: a larger one holds the smaller.",
    ]
    missing = [name for name in facts.adversarial if not any(name in q for q in quantities)]
    caveats += [f"Subset {name} has no scores yet." for name in missing]
    figures = {"answer": lambda results: _figure(samples, facts, quantities, sized)}
    tables = {"sizes": pd.DataFrame(rows)}
    head = " ".join(said[:4])
    return outcome("size", facts, head, caveats, with_holm(found), figures, tables)


def _quantities(samples: Samples, facts: Facts) -> dict[str, tuple[Quantity, list[str]]]:
    """What is drawn against size, with its languages: the gain, and each subset's degradation."""
    results = samples.results
    targets = results.targets(ZERO_SHOT)
    plain = [t for t in targets if t not in {whole for _, whole in facts.adversarial.values()}]
    shared = sorted(set.intersection(*(set(samples.languages(t, ZERO_SHOT)) for t in plain)))

    def gain(model: str, recipe: str, language: str) -> Sample:
        gains = [samples.gain(model, recipe, target, language) for target in plain]
        return combine(gains, [1 / len(gains)] * len(gains))

    found: dict[str, tuple[Quantity, list[str]]] = {"gain": (gain, shared)}
    for name, (target, whole) in facts.adversarial.items():
        if target not in targets or (whole is None and name not in samples.subsets):
            continue
        languages = set(samples.languages(target, ZERO_SHOT))
        languages &= set(samples.languages(whole, ZERO_SHOT) if whole else samples.subsets[name])
        quantity = _degradation(samples, name, target, whole)
        found[f"degradation on {name}"] = (quantity, sorted(languages))
    return found


def _degradation(samples: Samples, name: str, target: str, whole: str | None) -> Quantity:
    """Clean minus adversarial score."""

    def degradation(model: str, recipe: str, language: str) -> Sample:
        clean = samples.score(model, recipe, target, language)
        if whole:
            return clean - samples.score(model, recipe, whole, language)
        return clean - samples.subset_score(model, recipe, target, language, name)

    return degradation


def _trend(
    facts: Facts, quantity: Quantity, model: str, recipes: Sequence[str], languages: Sequence[str]
) -> tuple[Interval, Interval, Interval]:
    """Slope with languages fixed, slope with languages and seeds random, Spearman's correlation."""
    x = np.log10([facts.examples[recipe] for recipe in recipes])
    weights = slope_weights(x)

    def slope(language: str) -> Sample:
        return combine([quantity(model, recipe, language) for recipe in recipes], weights)

    table = [slope(language).by_seed for language in languages]
    found = table if table else [np.array([np.nan])]
    by_language = crossed_mean(np.array(found)) if not np.isnan(found).all() else Interval(np.nan)
    means = [quantity(model, recipe, ZERO_SHOT).mean for recipe in recipes]
    rank = spearman(x, means) if not np.isnan(means).any() else Interval(np.nan)
    return slope(ZERO_SHOT).interval, by_language, rank


def _sentence(label: str, slope: Interval, rank: Interval, sizes: int) -> str:
    verb = "depends on" if slope.excludes_zero else "does not surely depend on"
    rho = f"Spearman's rho {rank.value:.2f}" if np.isfinite(rank.value) else "no correlation"
    return (
        f"The {label} {verb} the size of the intermediate data: {told(slope, UNIT)} "
        f"({rho.replace('-', '−')}, n = {counted(sizes, 'size')})."
    )


def _rows(
    facts: Facts, name: str, quantity: Quantity, model: str, recipes: Sequence[str]
) -> list[dict]:
    rows = []
    for recipe in [BASELINE, *recipes] if name != "gain" else recipes:
        found = quantity(model, recipe, ZERO_SHOT)
        rows.append(
            {
                "quantity": name,
                "model": model,
                "recipe": recipe,
                "examples": facts.examples.get(recipe, 0),
                "value": found.interval.value,
                "low": found.interval.low,
                "high": found.interval.high,
                "seeds": found.seeds,
            }
        )
    return rows


def _figure(
    samples: Samples,
    facts: Facts,
    quantities: Mapping[str, tuple[Quantity, list[str]]],
    sized: Mapping[str, Sequence[str]],
):
    context = samples.results.context
    panels = []
    for name, (quantity, _) in quantities.items():
        series = {
            context.label(model): [
                (facts.examples[recipe], quantity(model, recipe, ZERO_SHOT).interval)
                for recipe in recipes
            ]
            for model, recipes in sized.items()
        }
        panels.append(Panel(name[0].upper() + name[1:], (), series))
    sizes = sorted({facts.examples[r] for recipes in sized.values() for r in recipes})
    ticks = {size: f"{size / 1000:g}k" if size >= 1000 else str(size) for size in sizes}
    subtitle = "Bars: 95 % intervals over seeds and examples. Degradation: clean minus adversarial."
    labels = ("intermediate examples", "points")
    return along("Gain and size of the intermediate data", subtitle, panels, labels, ticks)
