"""language: does the language of the intermediate data matter, and to which model?"""

from collections.abc import Iterable, Mapping

import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    estimate,
    listed,
    nothing_yet,
    outcome,
    shared_caveats,
    told,
    trained,
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
    """Gains by the language of the data, against the source's, by model, and where they match."""
    context, source = samples.results.context, _source(samples)
    by_model = {m: _by_language(samples, facts, m, source) for m in context.models}
    by_model = {m: found for m, found in by_model.items() if source in found and len(found) > 1}
    if not by_model:
        why = "no recipe is scored both in the source language and in another"
        return nothing_yet("language", samples, facts, why)
    contrasts = {m: _contrasts(samples, m, found, source) for m, found in by_model.items()}
    single = {
        m: {x: s for x, s in found.items() if x != MIXED} or found for m, found in contrasts.items()
    }
    overall = {m: mean([*found.values()]) for m, found in single.items()}
    matched = {m: s for m, found in by_model.items() if (s := _matched(samples, m, found, source))}
    name = about(source).name
    pairs = [(m, other) for n, m in enumerate(single) for other in list(single)[n + 1 :]]
    by_data = {
        (m, other): {x: single[m][x] - single[other][x] for x in sorted(both)}
        for m, other in pairs
        if (both := single[m].keys() & single[other].keys())
    }
    interactions = {pair: mean([*found.values()]) for pair, found in by_data.items()}
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
            for m, found in contrasts.items()
            for x, s in found.items()
        ),
    ]
    said = [_found(context.label(m), name, s, matched.get(m)) for m, s in overall.items()]
    said += [
        f"The difference of that between {context.label(m)} and {context.label(other)} is "
        f"{told(s.interval)}."
        for (m, other), s in interactions.items()
    ]
    caveats = shared_caveats(samples)
    caveats.append(
        "The languages of the data are those of the study, not a sample of all; intervals are over "
        "seeds and examples."
    )
    if not interactions:
        caveats.append("One model only: whether the model matters to this is not asked.")
    figures = {"answer": lambda results: _figure(samples, by_model, source)}
    tables = {"languages": _table(samples, by_model)}
    if by_data:
        tables["interaction"] = _interaction_table(by_data)
    return outcome("language", facts, "\n".join(said), caveats, estimates, figures, tables)


def _family(named: Iterable[tuple[str, Sample]]) -> list[Estimate]:
    """Estimates that are compared with each other, with Holm's correction over them."""
    return with_holm([estimate(label, s.interval, s.seeds) for label, s in named])


def _found(model: str, source: str, other: Sample, matched: Sample | None) -> str:
    same = f", and that in the language of the data itself by {told(matched.interval)}"
    verb = "changes" if other.interval.excludes_zero else "does not surely change"
    return (
        f"{model}: intermediate data in another language than {source} {verb} the zero-shot gain, "
        f"by {told(other.interval)}{same if matched else ''}."
    )


def _source(samples: Samples) -> str | None:
    """The source language of the targets; most have English. None before the first score."""
    found = [x for x in samples.results.sources.values() if x]
    return max(found, key=found.count, default=None)


def _by_language(samples: Samples, facts: Facts, model: str, source: str) -> Recipes:
    """Language of the intermediate data -> the recipe; the first of several."""
    found: dict[str, str] = {}
    for name in trained(samples, model):
        if name in facts.recipes and facts.recipes[name].steps:
            found.setdefault(_language(facts.recipes[name], source), name)
    return found


def _language(recipe: Recipe, source: str) -> str:
    languages = {part.language or source for part in recipe.parts}
    return MIXED if len(languages) > 1 or ALL in languages else languages.pop()


def _data(language: str) -> str:
    return "Mixed" if language == MIXED else about(language).name


def _contrasts(samples: Samples, model: str, recipes: Recipes, source: str) -> dict[str, Sample]:
    """Gain of data in each other language, minus that of the source's."""
    base = samples.gain(model, recipes[source], MEAN)
    return {
        x: samples.gain(model, recipe, MEAN) - base for x, recipe in recipes.items() if x != source
    }


def _matched(samples: Samples, model: str, recipes: Recipes, source: str) -> Sample | None:
    """In the very language of the data: its gain minus that of the source's data, mean of all."""
    pairs = [
        samples.gain(model, recipe, target, x) - samples.gain(model, recipes[source], target, x)
        for x, recipe in recipes.items()
        for target in samples.results.targets(ZERO_SHOT)
        if x not in (source, MIXED) and x in samples.languages(target)
    ]
    return mean(pairs) if pairs else None


def _table(samples: Samples, by_model: Mapping[str, Recipes]) -> pd.DataFrame:
    """Gain by model, language of the data, target and language of the target."""
    rows = []
    for model, recipes in by_model.items():
        for data, recipe in recipes.items():
            for target in samples.results.targets(ZERO_SHOT):
                for language in [ZERO_SHOT, *samples.languages(target)]:
                    gain = samples.gain(model, recipe, target, language)
                    found = gain.interval
                    rows.append(
                        {
                            "model": model,
                            "data": data,
                            "recipe": recipe,
                            "target": target,
                            "language": language,
                            "matched": language == data,
                            "gain": found.value,
                            "low": found.low,
                            "high": found.high,
                            "seeds": gain.seeds,
                        }
                    )
    return pd.DataFrame(rows)


def _interaction_table(by_data: Mapping[tuple[str, str], Mapping[str, Sample]]) -> pd.DataFrame:
    """Per language of the data: its gain minus that of the source's, between two models."""
    rows = [
        (*pair, x, s.interval.value, s.interval.low, s.interval.high, s.interval.p, s.seeds)
        for pair, found in by_data.items()
        for x, s in found.items()
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
