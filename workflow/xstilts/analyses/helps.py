"""helps: which intermediate tasks help, on which targets, for which languages?"""

from collections.abc import Iterable

import numpy as np
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
    told,
    trained,
    with_holm,
)
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.languages.names import language as about
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE, MEAN
from xstilts.results.statistics import Interval, Sample, mean, ranking

GROUPINGS = ("category", "family", "script")


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Gains, their ranking, the recipe chosen on validation, groups of languages, and the paper."""
    context = samples.results.context
    recipes = {m: found for m in context.models if (found := trained(samples, m))}
    if not recipes:
        return nothing_yet(
            "helps", samples, facts, "no recipe has both its and the baseline's score"
        )
    ranks = pd.DataFrame([row for m in recipes for row in _ranks(samples, m, recipes[m])])
    estimates = [e for m in recipes for e in _mean_gains(samples, facts, m, recipes[m])]
    chosen = pd.DataFrame([row for m in recipes for row in _chosen(samples, facts, m, recipes[m])])
    groups = pd.DataFrame([row for m in recipes for row in _groups(samples, facts, m, recipes[m])])
    compared = pd.DataFrame([row for m in recipes for row in _published(samples, facts, chosen, m)])
    averages = [e for m in recipes for e in _chosen_average(samples, chosen, m)]
    finding = "\n".join(_found(samples, facts, m, recipes[m], ranks) for m in recipes)
    tables = {"ranking": ranks, "chosen": chosen, "groups": groups, "published": compared}
    tables["xtreme_average"] = pd.DataFrame(
        [row for m in recipes for row in _xtreme_averages(samples, m, recipes[m])]
    )
    caveats = shared_caveats(samples)
    caveats.append(
        "Gains on one target rest on one test set; those of several recipes share the baseline's "
        "runs, and are correlated."
    )
    if "Question answering" in facts.categories.values() and len(facts.categories) > 1:
        caveats.append(
            "Means over targets take the first metric of each, F1 of question answering; XTREME's "
            "own average, in the table `xtreme_average`, takes the mean of F1 and exact match "
            "there, and all languages."
        )
    if len(chosen):
        caveats.append(
            "Recipes are chosen by the validation split of the source language, as no labels of "
            "other languages may be used; the intervals do not repeat the choice."
        )
    figures = {
        "answer": lambda results: _gains_figure(samples, recipes),
        "answer_groups": lambda results: _groups_figure(samples, groups),
    }
    kept = {name: table for name, table in tables.items() if len(table)}
    return outcome("helps", facts, finding, caveats, [*estimates, *averages], figures, kept)


def _found(
    samples: Samples, facts: Facts, model: str, recipes: list[str], ranks: pd.DataFrame
) -> str:
    context = samples.results.context
    over = samples.results.targets(ZERO_SHOT)
    whole = [r for r in recipes if samples.gain(model, r, MEAN).seeds]
    several = f"{context.label(model)}: " if len(context.models) > 1 else ""
    gains = facts.gains
    single = gains[(gains["model"] == model) & (gains["target"] != MEAN)]
    single = single[single["language"] == ZERO_SHOT]
    sure = single[single["p_holm"] < 0.05]
    up, down = (sure["gain"] > 0).sum(), (sure["gain"] < 0).sum()
    tail = (
        f"Of {counted(len(single), 'gain')} of a recipe on a target, {up} "
        f"{'is' if up == 1 else 'are'} above zero and {down} below after Holm's correction."
    )
    if not whole:
        return f"{several}No recipe is scored on every target yet.\n{tail}"
    first = ranks[ranks["model"] == model].sort_values("rank").iloc[0]
    gain = samples.gain(model, first["recipe"], MEAN).interval
    where = (
        f"over {counted(len(over), 'target')}" if len(over) > 1 else f"on {context.label(over[0])}"
    )
    name = context.label(first["recipe"])
    lead = f"{several}{name} has the largest mean zero-shot gain {where}, {told(gain)}"
    if len(whole) > 1:
        lead += f"; it is first of {len(whole)} recipes in {first['best']:.0%} of the replicates"
    return f"{lead}.\n{tail}"


def _mean_gains(samples: Samples, facts: Facts, model: str, recipes: list[str]) -> list[Estimate]:
    """The mean gain of each recipe over targets; the effect is Cohen's h."""
    context, rows = samples.results.context, facts.gains
    rows = rows[(rows["model"] == model) & (rows["target"] == MEAN)]
    effects = rows[rows["language"] == ZERO_SHOT].set_index("recipe")["effect"]
    prefix = f"{context.label(model)}: " if len(context.models) > 1 else ""
    return with_holm(
        [
            estimate(
                f"{prefix}{context.label(r)}, mean zero-shot gain",
                g.interval,
                g.seeds,
                effect=effects.get(r),
            )
            for r in recipes
            if (g := samples.gain(model, r, MEAN)).seeds
        ]
    )


def _ranks(samples: Samples, model: str, recipes: list[str]) -> Iterable[dict]:
    """Recipes by mean gain, with the places that 95 % of the replicates give them."""
    found = {r: samples.gain(model, r, MEAN) for r in recipes}
    found = {r: gain for r, gain in found.items() if gain.seeds}
    if not found:
        return
    for (recipe, gain), rank in zip(found.items(), ranking(list(found.values())), strict=True):
        yield {
            "model": model,
            "recipe": recipe,
            "rank": rank.rank,
            "rank_low": rank.low,
            "rank_high": rank.high,
            "best": rank.best,
            **_columns(gain),
        }


def _columns(gain: Sample, name: str = "gain") -> dict[str, float]:
    found = gain.interval
    return {name: found.value, "low": found.low, "high": found.high, "seeds": gain.seeds}


def _chosen(samples: Samples, facts: Facts, model: str, recipes: list[str]) -> Iterable[dict]:
    """Per target, the recipe with the best validation score, and its gain on test."""
    for target in samples.results.targets(ZERO_SHOT):
        scores = {r: facts.validation.get((model, r, target)) for r in (BASELINE, *recipes)}
        if not all(scores.values()):
            continue
        best = max(scores, key=lambda recipe: np.mean(scores[recipe]))
        yield {
            "model": model,
            "target": target,
            "recipe": best,
            "validation": float(np.mean(scores[best])),
            "validation_baseline": float(np.mean(scores[BASELINE])),
            **_columns(samples.gain(model, best, target)),
        }


def _chosen_average(samples: Samples, chosen: pd.DataFrame, model: str) -> Iterable:
    if not len(chosen) or not len(own := chosen[chosen["model"] == model]):
        return
    gains = [samples.gain(model, row.recipe, row.target) for row in own.itertuples()]
    total = mean(gains)
    label = f"Best recipe by validation, mean of {counted(len(own), 'target')}"
    yield estimate(label, total.interval, total.seeds)


def _groups(samples: Samples, facts: Facts, model: str, recipes: list[str]) -> Iterable[dict]:
    """Gain by kind of target and, over its languages but the source, by family and script.

    A group's gain is the mean over targets of the mean over the target's languages in the group.
    """
    targets = samples.results.targets(ZERO_SHOT)
    members: dict[tuple[str, str], dict[str, list[str]]] = {}
    for target in targets:
        names = samples.languages(target, ZERO_SHOT)
        members.setdefault(("category", facts.categories.get(target, target)), {})[target] = names
        for name in names:
            for grouping in GROUPINGS[1:]:
                group = (grouping, getattr(about(name), grouping))
                members.setdefault(group, {}).setdefault(target, []).append(name)
    for recipe in recipes:
        for (grouping, group), inside in members.items():
            parts = {
                target: [samples.gain(model, recipe, target, name) for name in names]
                for target, names in inside.items()
            }
            parts = {t: mean(found) for t, found in parts.items() if mean(found).seeds}
            if not parts or not (gain := mean(list(parts.values()))).seeds:
                continue
            yield {
                "model": model,
                "recipe": recipe,
                "grouping": grouping,
                "group": group,
                "targets": len(parts),
                "languages": len({name for t in parts for name in inside[t]}),
                **_columns(gain),
            }


def _xtreme_averages(samples: Samples, model: str, recipes: list[str]) -> Iterable[dict]:
    """Score and gain of each recipe as XTREME's leaderboard averages, over seeds alone.

    The mean over targets, source language included; of question answering that of F1 and exact
    match (Hu et al. 2020, table 2).
    """
    baseline = _xtreme_average(samples, model, BASELINE)
    for recipe in (BASELINE, *recipes):
        score = _xtreme_average(samples, model, recipe)
        gain = score - baseline
        if gain.seeds:
            found = {"model": model, "recipe": recipe, "score": score.mean}
            yield found | (_columns(gain) if recipe != BASELINE else {"seeds": score.seeds})


def _xtreme_average(samples: Samples, model: str, recipe: str) -> Sample:
    context, frame = samples.results.context, samples.results.frame
    own = (frame["model"] == model) & (frame["recipe"] == recipe) & (frame["language"] == "avg")
    exact = frame["target"].map(samples.results.metrics).str.replace("f1", "exact_match")
    rows = frame[own & (frame["headline"] | (frame["metric"] == exact))]
    by_seed = rows.groupby(["seed", "target"])["value"].mean().unstack("target")
    by_seed = by_seed.reindex(index=context.seeds, columns=context.targets)
    points = by_seed.mean(axis=1, skipna=False).to_numpy()
    return Sample(points, None, {(model, recipe): points})


def _published(samples: Samples, facts: Facts, chosen: pd.DataFrame, model: str) -> Iterable[dict]:
    """Scores beside published ones: is the difference within the spread of the seeds?

    `best` is the recipe that was chosen for the target.
    """
    best = {row.target: row.recipe for row in chosen.itertuples() if row.model == model}
    for name, scores in facts.published.items():
        for target, told_score in scores.items():
            recipe = best.get(target) if name == "best" else name
            if told_score is None or recipe is None:
                continue
            found = samples.score(model, recipe, target, "avg")
            if not found.seeds:
                continue
            values = found.values
            lowest, highest = values.min(), values.max()
            yield {
                "model": model,
                "published_as": name,
                "recipe": recipe,
                "target": target,
                "published": told_score,
                **_columns(found, "score"),
                "difference": found.mean - told_score,
                "seeds_low": lowest,
                "seeds_high": highest,
                "within_seeds": bool(lowest <= told_score <= highest),
            }


def _gains_figure(samples: Samples, recipes: dict[str, list[str]]):
    context = samples.results.context
    targets = samples.results.targets(ZERO_SHOT)
    panels = []
    for model, own in recipes.items():
        prefix = f"{context.label(model)} · " if len(recipes) > 1 else ""
        order = sorted(
            own, key=lambda r: -np.nan_to_num(samples.gain(model, r, MEAN).mean, nan=-1e9)
        )
        for target in [MEAN, *targets] if len(targets) > 1 else targets:
            title = "Mean over targets" if target == MEAN else context.label(target)
            rows = [(context.label(r), samples.gain(model, r, target)) for r in order]
            shown = [(label, gain.interval) for label, gain in rows if gain.seeds]
            panels.append(Panel(prefix + title, shown))
    title = f"Zero-shot gain over {context.label(BASELINE)}"
    return intervals(title, f"{bars(samples)} {FILLED}", panels, "gain (points)")


def _groups_figure(samples: Samples, groups: pd.DataFrame):
    """The first model's recipes with the two largest absolute mean gains keep it readable."""
    context = samples.results.context
    if not len(groups):
        return intervals("", "", [], "")
    model = groups["model"].iloc[0]
    own = groups[(groups["model"] == model)]
    size = own.groupby("recipe", sort=False)["gain"].apply(lambda g: g.abs().mean())
    shown = list(size.sort_values(ascending=False).index[:2])
    panels = []
    for recipe in shown:
        for grouping in GROUPINGS:
            rows = own[(own["recipe"] == recipe) & (own["grouping"] == grouping)]
            if len(rows) < 2:
                continue
            found = [
                (f"{r.group} ({r.languages})", Interval(r.gain, r.low, r.high))
                for r in rows.itertuples(index=False)
            ]
            panels.append(Panel(f"{context.label(recipe)} · by {grouping}", found))
    which = listed([context.label(recipe) for recipe in shown])
    return intervals(
        "Where the gain is: targets, families, scripts",
        f"{which}; in brackets, how many languages. {bars(samples)} {FILLED}",
        panels,
        "gain (points)",
    )
