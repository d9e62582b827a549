"""language: does the language of the intermediate data matter, and for which model?"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    ends,
    judged_samples,
    listed,
    mean_gains,
    nothing_yet,
    power,
    shared_caveats,
    trained,
    with_ci,
)
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.config.schema import ARM
from xstilts.languages.names import language as about
from xstilts.recipe import ALL, Recipe
from xstilts.results.drawing import Drawing
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import MEAN
from xstilts.results.statistics import Sample, mean
from xstilts.results.verdicts import family
from xstilts.units import count

MIXED = "mixed"
MATCHED = "Matched language"  # label of the differences in the language of the data
LARGEST = 2.5  # ratio of the sizes of two models that are compared
Recipes = Mapping[str, str]  # language of the data -> recipe


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return gains of data in other languages minus source-language data, by model."""
    source = _source(samples)
    by_model = {m: _by_language(samples, facts, m, source) for m in samples.context.models}
    by_model = {m: r for m, r in by_model.items() if source in r and len(r) > 1}
    if not by_model:
        return nothing_yet(samples, "one recipe in the source language and one in another language")
    contrasts = {m: _contrasts(samples, m, r, source) for m, r in by_model.items()}
    single = {
        m: {x: s for x, s in by_language.items() if x != MIXED} or by_language
        for m, by_language in contrasts.items()
    }
    overall = {m: mean([*by_language.values()]) for m, by_language in single.items()}
    by_data = _between_families(facts, single)
    stated = judged_samples(_stated(samples, by_model, overall, by_data, source))
    name = about(source).name
    details = judged_samples(
        (f"{_data(x)} minus {name} data, {samples.label(m)}", s)
        for m, by_language in contrasts.items()
        for x, s in by_language.items()
    )
    caveats = shared_caveats(samples)
    caveats.append(
        "The languages of the data are those of the study, not a sample of all languages: CIs "
        f"reflect seeds and examples only. The {count(len(stated), 'difference')} in the text "
        "are one family."
    )
    if not by_data:
        caveats.append(
            "There are no two families of models of similar size: the study does not show whether "
            "the effect depends on the model."
        )
    figures = {"answer": lambda: _figure(samples, by_model)}
    tables = {"languages": _table(samples, by_model)}
    if by_data:
        tables["interaction"] = _interaction_table(by_data)
    matched = [estimate for estimate in stated if estimate.label.startswith(MATCHED)]
    verdict = _verdict(stated[: len(overall)], matched, name)
    finding = "\n".join([verdict, *map(_sentence, stated)])
    least = power(samples, [*overall.values()], "effect of the language", tests=len(stated))
    estimates = [*stated, *details]
    return Outcome(finding, caveats, estimates, figures, tables, least)


def _stated(
    samples: Samples,
    by_model: Mapping[str, Recipes],
    overall: Mapping[str, Sample],
    by_data: Mapping[tuple[str, str], Mapping[str, Sample]],
    source: str,
) -> list[tuple[str, Sample]]:
    """Return the differences that the finding states: they are corrected together."""
    label, name = samples.label, about(source).name
    named = [(f"Other languages minus {name}, {label(m)}", s) for m, s in overall.items()]
    named += [
        (f"Interaction: {first} minus {second} at similar sizes", mean([*differences.values()]))
        for (first, second), differences in by_data.items()
    ]
    for m, recipes in by_model.items():
        own = _matched(samples, m, recipes, source)
        other = _matched(samples, m, recipes, source, same=False)
        if own:
            named.append((f"{MATCHED} minus {name}, {label(m)}", own))
        if own and other:
            named.append((f"Matched minus other target languages, {label(m)}", own - other))
    return named


def _verdict(overall: list[Estimate], matched: list[Estimate], source: str) -> str:
    """Return the verdict over models; an effect in the language of the data alone is named."""
    known = [x for x in overall if x.significant is not None]
    if not known:
        return "No verdict: no model has two seeds."
    effect = f"effect of non-{source} intermediate data on the mean zero-shot gain"
    if clear := [x for x in known if x.significant]:
        return f"Significant {effect}{_share(clear, known)}."
    none = f"No significant {effect}{' in any' if len(known) > 1 else ''}{_of(known)}"
    if own := [x for x in matched if x.significant]:
        return f"{none}, but a significant one in the language of the data{_share(own, known)}."
    return f"{none}."


def _share(some: list[Estimate], known: list[Estimate]) -> str:
    return f" in {len(some)}{_of(known)}" if len(known) > 1 else ""


def _of(known: list[Estimate]) -> str:
    return f" of {count(len(known), 'model')}" if len(known) > 1 else ""


def _sentence(estimate: Estimate) -> str:
    return f"{estimate.label}: {with_ci(estimate, n=count(estimate.n, 'seed'))}."


def _between_families(
    facts: Facts, contrasts: Mapping[str, Mapping[str, Sample]]
) -> dict[tuple[str, str], dict[str, Sample]]:
    """Return (family, other) -> language of the data -> difference of its effect.

    The difference is the mean over pairs of models of similar size, so that it is not one of size.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for model in contrasts:
        members[facts.families.get(model, model)].append(model)
    differences = {}
    for first, second in combinations(members, 2):
        parts = defaultdict(list)
        for a, b in _pairs(facts, members[first], members[second]):
            for x in contrasts[a].keys() & contrasts[b].keys():
                parts[x].append(contrasts[a][x] - contrasts[b][x])
        if parts:
            differences[first, second] = {x: mean(parts[x]) for x in sorted(parts)}
    return differences


def _pairs(facts: Facts, first: list[str], second: list[str]) -> list[tuple[str, str]]:
    """Return pairs of models under the same arm, each model once, the most similar sizes first.

    Sizes differ by a factor of LARGEST at most; an unknown size counts as equal.
    """

    def distance(pair: tuple[str, str]) -> float:
        sizes = [facts.parameters.get(model) for model in pair]
        return float(abs(np.log(sizes[0] / sizes[1]))) if all(sizes) else 0.0

    pairs: list[tuple[str, str]] = []
    for pair in sorted(((a, b) for a in first for b in second), key=distance):
        free = not {model for other in pairs for model in other} & set(pair)
        same_arm = len({model.partition(ARM)[2] for model in pair}) == 1
        if free and same_arm and distance(pair) <= np.log(LARGEST):
            pairs.append(pair)
    return pairs


def _source(samples: Samples) -> str | None:
    """Return the most frequent source language of the targets; None before the first score."""
    sources = [x for x in samples.results.sources.values() if x]
    return max(sources, key=sources.count, default=None)


def _by_language(samples: Samples, facts: Facts, model: str, source: str) -> Recipes:
    """Return language of the intermediate data -> the first recipe that uses it."""
    recipes: dict[str, str] = {}
    for name in trained(samples, model):
        if name in facts.recipes and facts.recipes[name].steps:
            recipes.setdefault(_language(facts.recipes[name], source), name)
    return recipes


def _language(recipe: Recipe, source: str) -> str:
    languages = {part.language or source for part in recipe.parts}
    return MIXED if len(languages) > 1 or ALL in languages else languages.pop()


def _data(language: str) -> str:
    return "Mixed" if language == MIXED else about(language).name


def _contrasts(samples: Samples, model: str, recipes: Recipes, source: str) -> dict[str, Sample]:
    """Return the gain of data in each other language, minus the gain of source-language data."""
    base = samples.gain(model, recipes[source], MEAN)
    return {
        x: samples.gain(model, recipe, MEAN) - base for x, recipe in recipes.items() if x != source
    }


def _matched(
    samples: Samples, model: str, recipes: Recipes, source: str, same: bool = True
) -> Sample | None:
    """Return the same difference in the target language that the data are in, as a mean.

    With `same` false, it is in the target languages that are neither this nor the source language.
    """
    pairs = [
        samples.gain(model, recipe, target, language)
        - samples.gain(model, recipes[source], target, language)
        for x, recipe in recipes.items()
        for target in samples.targets
        for language in samples.languages(target, ZERO_SHOT)
        if x not in (source, MIXED) and x in samples.languages(target) and (language == x) == same
    ]
    return mean(pairs) if pairs else None


def _table(samples: Samples, by_model: Mapping[str, Recipes]) -> pd.DataFrame:
    """Return gains by model, language of the data, target and language of the target."""
    return pd.DataFrame(
        [
            {
                "model": model,
                "data": data,
                "recipe": recipe,
                "target": target,
                "language": language,
                "matched": language == data,
                **ends(samples.intervals[model, recipe, target, language]),
                "seeds": seeds,
            }
            for model, recipes in by_model.items()
            for data, recipe in recipes.items()
            for target in samples.targets
            for language in [ZERO_SHOT, *samples.languages(target)]
            if (seeds := samples.gain(model, recipe, target, language).seeds)
        ]
    )


def _interaction_table(by_data: Mapping[tuple[str, str], Mapping[str, Sample]]) -> pd.DataFrame:
    """Return the effect of each language of the data, as a difference between two families."""
    named = [(pair, x, s) for pair, by in by_data.items() for x, s in by.items()]
    judgements = family([s.interval for *_, s in named])
    return pd.DataFrame(
        [
            {"family": pair[0], "minus": pair[1], "data": x}
            | ends(interval, "difference")
            | {"p": interval.p, "p_adjusted": interval.p_adjusted, "seeds": s.seeds}
            for (pair, x, s), interval in zip(named, judgements, strict=True)
        ]
    )


def _figure(samples: Samples, by_model: Mapping[str, Recipes]) -> Drawing:
    panels = []
    for model, recipes in by_model.items():
        shown = mean_gains(samples, model, {recipe: _data(x) for x, recipe in recipes.items()})
        panels.append(Panel(samples.label(model), shown))
    on = listed([samples.label(t) for t in samples.targets])
    caption = (
        f"Zero-shot gain by the language of the intermediate data, mean of {on}. {bars(samples)} "
        f"{FILLED}"
    )
    return intervals(caption, panels, "zero-shot gain (points)")
