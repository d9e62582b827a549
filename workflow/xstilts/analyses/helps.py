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
    is_significant,
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
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE, MEAN
from xstilts.results.statistics import ALPHA, Interval, Sample, mean, ranking

GROUPINGS = ("category", "family", "script")


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return gains, ranking, the recipe chosen by validation, groups, and published scores."""
    context = samples.results.context
    recipes = {m: names for m in context.models if (names := trained(samples, m))}
    if not recipes:
        return nothing_yet(
            "helps", samples, facts, "the baseline and a recipe with the same target and seed"
        )
    ranks = pd.DataFrame([row for m in recipes for row in _ranks(samples, m, recipes[m])])
    gains = {m: _mean_gains(samples, facts, m, recipes[m]) for m in recipes}
    chosen = pd.DataFrame([row for m in recipes for row in _chosen(samples, facts, m, recipes[m])])
    groups = pd.DataFrame([row for m in recipes for row in _groups(samples, facts, m, recipes[m])])
    compared = pd.DataFrame([row for m in recipes for row in _published(samples, facts, chosen, m)])
    averages = [e for m in recipes for e in _chosen_average(samples, chosen, m)]
    finding = "\n".join(_finding(samples, facts, m, gains[m], ranks) for m in recipes)
    tables = {"ranking": ranks, "chosen": chosen, "groups": groups, "published": compared}
    tables["xtreme_average"] = pd.DataFrame(
        [row for m in recipes for row in _xtreme_averages(samples, m, recipes[m])]
    )
    caveats = shared_caveats(samples)
    caveats.append(
        "Gains of different recipes are correlated, because they share the baseline's runs. Each "
        "target has only one test set."
    )
    if "Question answering" in facts.categories.values() and len(facts.categories) > 1:
        caveats.append(
            "Means over targets use one metric per target, F1 for question answering. The table "
            "xtreme_average has XTREME's own average: the mean of F1 and exact match for question "
            "answering, and all languages."
        )
    if len(chosen):
        caveats.append(
            "The best recipe is chosen on the validation split of the source language, because "
            "zero-shot transfer allows no labels in other languages. CIs do not include the "
            "uncertainty of this choice."
        )
    figures = {
        "answer": lambda results: _gains_figure(samples, recipes),
        "answer_groups": lambda results: _groups_figure(samples, groups),
    }
    estimates = [*(e for m in recipes for e in gains[m].values()), *averages]
    filled = {name: table for name, table in tables.items() if len(table)}
    return outcome("helps", facts, finding, caveats, estimates, figures, filled)


def _finding(
    samples: Samples, facts: Facts, model: str, gains: dict[str, Estimate], ranks: pd.DataFrame
) -> str:
    """Return the verdict on the mean gains of a model, and the number of significant gains."""
    context, scored = samples.results.context, samples.results.scored
    several = f"{context.label(model)}: " if len(context.models) > 1 else ""
    own = scored[scored["model"] == model]
    if own["degenerate"].all():
        return (
            f"{several}Nothing was learned: all {counted(len(own), 'run')} score no higher than "
            "the majority class."
        )
    if not gains:
        lead = "No recipe is scored on every target yet."
    else:
        lead = _verdict(list(gains.values())) + " " + _best(samples, gains, model, ranks)
    rows = facts.gains
    rows = rows[(rows["model"] == model) & (rows["target"] != MEAN)]
    rows = rows[rows["language"] == ZERO_SHOT]
    significant = rows[rows["p_holm"] < ALPHA]
    better, worse = (int((sign * significant["gain"] > 0).sum()) for sign in (1, -1))
    return (
        f"{several}{lead}\nOf {counted(len(rows), 'recipe–target pair')}, {better} "
        f"improve{'s' * (better == 1)} and {worse} get{'s' * (worse == 1)} worse significantly "
        "(Holm-corrected p < .05)."
    )


def _verdict(gains: list[Estimate]) -> str:
    """Return how many recipes help or harm significantly, on average over targets."""
    signs = [np.sign(gain.value) for gain in gains if is_significant(gain)]
    helpful, harmful = signs.count(1), signs.count(-1)
    if helpful:
        verdict = f"{helpful} of {counted(len(gains), 'recipe')} improve{'s' * (helpful == 1)} "
        verdict += "zero-shot transfer significantly"
    else:
        verdict = "No recipe reliably helps"
    if harmful:
        verdict += f"; {harmful} harm{'s' * (harmful == 1)} transfer significantly"
    return f"{verdict}."


def _best(samples: Samples, gains: dict[str, Estimate], model: str, ranks: pd.DataFrame) -> str:
    """Return the sentence on the recipe with the largest mean gain."""
    context, targets = samples.results.context, samples.results.targets(ZERO_SHOT)
    first = ranks[ranks["model"] == model].sort_values("rank").iloc[0]
    gain, name = gains[first["recipe"]], context.label(first["recipe"])
    where = f"on {context.label(targets[0])}"
    if len(targets) > 1:
        where = f"on average over {counted(len(targets), 'target')}"
    lead = f"The best, {name}, gains"
    if gain.value <= 0:
        lead = f"Even the best, {name}, does not gain:"
    text = f"{lead} {with_ci(gain, n=counted(gain.n, 'seed'), where=where)}"
    if len(gains) > 1:
        text += f"; it ranks first in {100 * first['best']:.0f} % of the bootstrap replicates"
    return f"{text}."


def _mean_gains(
    samples: Samples, facts: Facts, model: str, recipes: list[str]
) -> dict[str, Estimate]:
    """Return the mean gain over targets of each recipe; the effect is Cohen's h."""
    context, rows = samples.results.context, facts.gains
    rows = rows[(rows["model"] == model) & (rows["target"] == MEAN)]
    effects = rows[rows["language"] == ZERO_SHOT].set_index("recipe")["effect"]
    prefix = f"{context.label(model)}: " if len(context.models) > 1 else ""
    gains = {r: samples.gain(model, r, MEAN) for r in recipes}
    gains = {r: gain for r, gain in gains.items() if gain.seeds}
    estimates = [
        estimate(
            f"{prefix}{context.label(r)}, mean zero-shot gain",
            gain.interval,
            gain.seeds,
            effect=effects.get(r),
        )
        for r, gain in gains.items()
    ]
    return dict(zip(gains, with_holm(estimates), strict=True))


def _ranks(samples: Samples, model: str, recipes: list[str]) -> Iterable[dict]:
    """Yield recipes with their rank by mean gain, and its range in 95 % of the replicates."""
    gains = {r: samples.gain(model, r, MEAN) for r in recipes}
    gains = {r: gain for r, gain in gains.items() if gain.seeds}
    if not gains:
        return
    for (recipe, gain), rank in zip(gains.items(), ranking(list(gains.values())), strict=True):
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
    ends = {"low": gain.interval.low, "high": gain.interval.high}
    return {name: gain.interval.value, **ends, "seeds": gain.seeds}


def _chosen(samples: Samples, facts: Facts, model: str, recipes: list[str]) -> Iterable[dict]:
    """Yield for each target the recipe with the best validation score, and its gain on test."""
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
    """Yield gains by category of the target, and by family and script of the zero-shot languages.

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
            parts = {t: mean(gains) for t, gains in parts.items() if mean(gains).seeds}
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
    """Yield score and gain of each recipe as XTREME's leaderboard averages; CIs over seeds only.

    The mean is over targets, source language included; for question answering it is over F1 and
    exact match (Hu et al. 2020, table 2).
    """
    baseline = _xtreme_average(samples, model, BASELINE)
    for recipe in (BASELINE, *recipes):
        score = _xtreme_average(samples, model, recipe)
        gain = score - baseline
        if gain.seeds:
            row = {"model": model, "recipe": recipe, "score": score.mean}
            yield row | (_columns(gain) if recipe != BASELINE else {"seeds": score.seeds})


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
    """Yield scores next to published ones, and whether these are within the range of the seeds.

    `best` is the recipe that was chosen for the target.
    """
    best = {row.target: row.recipe for row in chosen.itertuples() if row.model == model}
    for name, scores in facts.published.items():
        for target, published in scores.items():
            recipe = best.get(target) if name == "best" else name
            if published is None or recipe is None:
                continue
            score = samples.score(model, recipe, target, "avg")
            if not score.seeds:
                continue
            lowest, highest = score.values.min(), score.values.max()
            yield {
                "model": model,
                "published_as": name,
                "recipe": recipe,
                "target": target,
                "published": published,
                **_columns(score, "score"),
                "difference": score.mean - published,
                "seeds_low": lowest,
                "seeds_high": highest,
                "within_seeds": bool(lowest <= published <= highest),
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
    """Draw the first model's two recipes with the largest absolute gains; more are unreadable."""
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
            gains = [
                (f"{r.group} ({r.languages})", Interval(r.gain, r.low, r.high))
                for r in rows.itertuples(index=False)
            ]
            panels.append(Panel(f"{context.label(recipe)} · by {grouping}", gains))
    names = listed([context.label(recipe) for recipe in shown])
    return intervals(
        "Gain by category, language family and script",
        f"{names}; number of languages in brackets. {bars(samples)} {FILLED}",
        panels,
        "gain (points)",
    )
