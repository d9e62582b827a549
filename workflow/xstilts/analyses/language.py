"""language: does the language of the intermediate data matter, and for which model?"""

from collections.abc import Iterable, Mapping

import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    counted,
    estimate,
    listed,
    nothing_yet,
    outcome,
    shared_caveats,
    trained,
    with_ci,
    with_holm,
)
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.languages.names import language as about
from xstilts.recipe import ALL, Recipe
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import MEAN
from xstilts.results.statistics import Sample, holm, mean

MIXED = "mixed"
Recipes = Mapping[str, str]  # language of the data -> recipe


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return gains of data in other languages minus source-language data, by model."""
    context, source = samples.results.context, _source(samples)
    by_model = {m: _by_language(samples, facts, m, source) for m in context.models}
    by_model = {m: r for m, r in by_model.items() if source in r and len(r) > 1}
    if not by_model:
        wanted = "one recipe in the source language and one in another language"
        return nothing_yet("language", samples, facts, wanted)
    contrasts = {m: _contrasts(samples, m, r, source) for m, r in by_model.items()}
    single = {
        m: {x: s for x, s in by_language.items() if x != MIXED} or by_language
        for m, by_language in contrasts.items()
    }
    overall = {m: mean([*by_language.values()]) for m, by_language in single.items()}
    matched = {m: s for m, r in by_model.items() if (s := _matched(samples, m, r, source))}
    name = about(source).name
    pairs = [(m, other) for n, m in enumerate(single) for other in list(single)[n + 1 :]]
    by_data = {
        (m, other): {x: single[m][x] - single[other][x] for x in sorted(both)}
        for m, other in pairs
        if (both := single[m].keys() & single[other].keys())
    }
    interactions = {pair: mean([*differences.values()]) for pair, differences in by_data.items()}
    estimates = [
        *_family(
            (f"Other languages minus {name}, {context.label(m)}", s) for m, s in overall.items()
        ),
        *_family(
            (f"Interaction: {context.label(m)} minus {context.label(other)}", s)
            for (m, other), s in interactions.items()
        ),
        *_family(
            (f"Matched language minus {name}, {context.label(m)}", s) for m, s in matched.items()
        ),
        *_family(
            (f"{_data(x)} minus {name} data, {context.label(m)}", s)
            for m, by_language in contrasts.items()
            for x, s in by_language.items()
        ),
    ]
    sentences = [_finding(context.label(m), name, s, matched.get(m)) for m, s in overall.items()]
    sentences += [
        f"Difference of this effect between {context.label(m)} and {context.label(other)}: "
        f"{with_ci(s.interval)}."
        for (m, other), s in interactions.items()
    ]
    caveats = shared_caveats(samples)
    caveats.append(
        "The languages of the data are those of the study, not a sample of all languages: CIs "
        "reflect seeds and examples only."
    )
    if not interactions:
        caveats.append("One model: the study does not show whether the effect depends on it.")
    figures = {"answer": lambda results: _figure(samples, by_model, source)}
    tables = {"languages": _table(samples, by_model)}
    if by_data:
        tables["interaction"] = _interaction_table(by_data)
    return outcome("language", facts, "\n".join(sentences), caveats, estimates, figures, tables)


def _family(named: Iterable[tuple[str, Sample]]) -> list[Estimate]:
    """Return estimates that are compared with each other, with Holm's correction over them."""
    return with_holm([estimate(label, s.interval, s.seeds) for label, s in named])


def _finding(model: str, source: str, other: Sample, matched: Sample | None) -> str:
    verdict = "significant" if other.interval.excludes_zero else "no significant"
    text = (
        f"{model}: {verdict} effect of non-{source} intermediate data on the zero-shot gain: "
        f"{with_ci(other.interval, n=counted(other.seeds, 'seed'))}."
    )
    if matched:
        text += f" In the language of the data itself: {with_ci(matched.interval)}."
    return text


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


def _matched(samples: Samples, model: str, recipes: Recipes, source: str) -> Sample | None:
    """Return the same difference in the target language that the data are in, as a mean."""
    pairs = [
        samples.gain(model, recipe, target, x) - samples.gain(model, recipes[source], target, x)
        for x, recipe in recipes.items()
        for target in samples.results.targets(ZERO_SHOT)
        if x not in (source, MIXED) and x in samples.languages(target)
    ]
    return mean(pairs) if pairs else None


def _table(samples: Samples, by_model: Mapping[str, Recipes]) -> pd.DataFrame:
    """Return gains by model, language of the data, target and language of the target."""
    rows = []
    for model, recipes in by_model.items():
        for data, recipe in recipes.items():
            for target in samples.results.targets(ZERO_SHOT):
                for language in [ZERO_SHOT, *samples.languages(target)]:
                    gain = samples.gain(model, recipe, target, language)
                    rows.append(
                        {
                            "model": model,
                            "data": data,
                            "recipe": recipe,
                            "target": target,
                            "language": language,
                            "matched": language == data,
                            "gain": gain.interval.value,
                            "low": gain.interval.low,
                            "high": gain.interval.high,
                            "seeds": gain.seeds,
                        }
                    )
    return pd.DataFrame(rows)


def _interaction_table(by_data: Mapping[tuple[str, str], Mapping[str, Sample]]) -> pd.DataFrame:
    """Return the effect of each language of the data, as a difference between two models."""
    rows = [
        (*pair, x, s.interval.value, s.interval.low, s.interval.high, s.interval.p, s.seeds)
        for pair, differences in by_data.items()
        for x, s in differences.items()
    ]
    columns = ["model", "minus", "data", "difference", "low", "high", "p", "seeds"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(7, "p_holm", holm(table["p"]))
    return table


def _figure(samples: Samples, by_model: Mapping[str, Recipes], source: str):
    context = samples.results.context
    panels = []
    for model, recipes in by_model.items():
        rows = [(_data(x), samples.gain(model, recipe, MEAN)) for x, recipe in recipes.items()]
        shown = [(label, gain.interval) for label, gain in rows if gain.seeds]
        panels.append(Panel(context.label(model), shown))
    on = listed([context.label(t) for t in samples.results.targets(ZERO_SHOT)])
    subtitle = f"Mean zero-shot gain on {on}. {bars(samples)} {FILLED}"
    title = "Gain by the language of the intermediate data"
    return intervals(title, subtitle, panels, "gain (points)")
