"""order: does the order of intermediate tasks matter, and how much is forgotten?"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    capital,
    effect,
    estimate,
    interval_columns,
    judged,
    nothing_yet,
    power,
    shared_caveats,
    with_ci,
)
from xstilts.analyses.answer import SHARE, Estimate
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.recipe import Recipe, parse
from xstilts.results.drawing import Drawing
from xstilts.results.resampling import permutation_p, permuted
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import MEAN
from xstilts.results.statistics import (
    Components,
    Interval,
    Sample,
    mean,
    random_mean,
    variance_components,
)
from xstilts.results.tables import columns, signed
from xstilts.results.verdicts import family
from xstilts.units import count


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return variance by order and seed, given orders against random ones, and forgetting."""
    model = samples.context.models[0]
    kinds = {kind: _scored(samples, facts, model, kind) for kind in ("given", "random", "control")}
    chains = [*kinds["given"], *kinds["random"]]
    if len(chains) < 2:
        return nothing_yet(samples, "two orders with scores on all targets")
    targets = samples.targets
    components = {
        t: _components(samples, model, chains, t) for t in dict.fromkeys([MEAN, *targets])
    }
    against = _against(samples, model, kinds)
    forgotten = _forgetting(samples, facts, model)
    share = components[MEAN].share
    estimates = [
        estimate("Share of the variance explained by task order", share, len(chains), SHARE),
        *against,
        *(
            estimate(f"Forgetting of {x.task} after {x.steps}", x.interval, len(x.lost))
            for x in forgotten
        ),
    ]
    caveats = shared_caveats(samples)
    caveats.append(
        f"Variance is estimated from {count(len(chains), 'order')} with "
        f"{count(len(samples.seeds), 'seed')} each. The p-value of order's share is from "
        "permuting the orders within each seed. Given orders are included, although they are not "
        "random. CIs of differences from random orders allow for the small number of random orders."
    )
    if len(samples.context.models) > 1:
        caveats.append(f"Only {samples.label(model)}, the first model, is shown.")
    finding = _finding(samples, model, chains, share, against, forgotten)
    figures = {"answer": lambda: _figure(samples, facts, model, kinds)}
    tables = {
        "variance": _variance_table(samples, model, chains, targets, components),
        "orders": _orders_table(samples, model, kinds),
    }
    if forgotten:
        figures["answer_forgetting"] = lambda: _forgetting_figure(samples, forgotten)
        tables["forgetting"] = _forgetting_table(forgotten)
    scores = [samples.score(model, r, MEAN) for r in chains]
    pairs = [score - other for score, other in pairwise(scores)]
    least = power(samples, pairs, "difference between two orders", tests=max(1, len(against)))
    return Outcome(finding, caveats, estimates, figures, tables, least)


def _scored(samples: Samples, facts: Facts, model: str, kind: str) -> list[str]:
    """Return the recipes of a kind that are scored on all targets, each order under one name."""
    names: dict[str, str] = {}
    for recipe in samples.context.recipes:
        if recipe in facts.orders:
            names.setdefault(str(facts.recipes.get(recipe, recipe)), recipe)
    recipes = [r for r in names.values() if facts.orders[r] == kind]
    return [r for r in recipes if samples.score(model, r, MEAN).seeds]


def _components(
    samples: Samples, model: str, chains: Sequence[str], target: str, language: str = ZERO_SHOT
) -> Components:
    """Return the variance between orders and, within an order, between seeds; p by permutation."""
    table = np.stack([samples.score(model, r, target, language).by_seed for r in chains])
    components = variance_components([row[~np.isnan(row)] for row in table])
    if np.isnan(components.share.value):
        return components
    p = permutation_p(_between, table)
    return replace(components, share=replace(components.share, p=p, p_adjusted=p))


def _between(table: np.ndarray) -> np.ndarray:
    """Return the variance between the means of orders of [..., orders, seeds]."""
    return np.nanvar(np.nanmean(table, axis=-1), axis=-1)


def _range(table: np.ndarray) -> np.ndarray:
    """Return the best mean minus the worst of [..., orders, seeds]."""
    return np.ptp(np.nanmean(table, axis=-1), axis=-1)


def _against(samples: Samples, model: str, kinds: dict[str, list[str]]) -> list[Estimate]:
    """Compare each given order, and each control, with random orders, a sample of all orders.

    Without random orders, compare each control with the given ones. The two controls that use all
    tasks, without an order, are also compared with each other.
    """
    drawn = kinds["random"]
    base = drawn or kinds["given"]
    others = count(len(base), "random order" if drawn else "given order")
    named = []
    for recipe in [*(kinds["given"] if drawn else []), *kinds["control"]]:
        own = samples.score(model, recipe, MEAN)
        differences = [own - samples.score(model, other, MEAN) for other in base]
        difference = random_mean(differences) if drawn else mean(differences).interval
        label = f"{samples.label(recipe)} minus the mean of {others}"
        named.append((label, difference, own.seeds))
    if {"merge", "mixture"} <= {*kinds["control"]}:
        merge, mixture = (samples.score(model, name, MEAN) for name in ("merge", "mixture"))
        named.append(("merge minus mixture", (merge - mixture).interval, merge.seeds))
    return judged(named)


class Forgotten(NamedTuple):
    """Points that a task lost after a number of later steps: one sample per chain, and the mean."""

    task: str
    later: int
    lost: list[Sample]
    interval: Interval  # in the family of all tasks and numbers of steps

    @property
    def steps(self) -> str:
        """Number of later steps in words."""
        return count(self.later, "later step")


def _forgetting(samples: Samples, facts: Facts, model: str) -> list[Forgotten]:
    """Return the points that each task lost, by the number of later steps.

    Chains with the same beginning share the score after the task's own step, so they are not
    independent.
    """

    def retained(chain: str, task: str) -> Sample:
        keys = [(model, chain, task, seed) for seed in samples.seeds]
        values = np.array([facts.retained.get(key, np.nan) for key in keys])
        return Sample(values, None, {(chain, task): values})

    lost: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for name, chain, task in dict.fromkeys(key[:3] for key in facts.retained):
        steps = parse(chain).steps
        at = [n for n, step in enumerate(steps) if step.parts[0].task == task]
        if name != model or not at or (later := len(steps) - 1 - at[0]) == 0:
            continue
        points = retained(str(Recipe(steps[: at[0] + 1])), task) - retained(chain, task)
        if points.seeds:
            lost[task, later].append(points)
    judgements = family([random_mean(lost[key]) for key in sorted(lost)])
    return [Forgotten(*key, lost[key], x) for key, x in zip(sorted(lost), judgements, strict=True)]


def _finding(
    samples: Samples,
    model: str,
    chains: Sequence[str],
    share: Interval,
    against: Sequence[Estimate],
    forgotten: Sequence[Forgotten],
) -> str:
    lines = [_verdict(samples, chains, share), *_extremes(samples, model, chains)]
    lines += [f"{difference.label}: {with_ci(difference)}." for difference in against]
    if forgotten:
        changes = [points * -1 for x in forgotten for points in x.lost]
        lines.append(f"Later steps change a task's score by {with_ci(random_mean(changes))}.")
    return "\n".join(lines)


def _verdict(samples: Samples, chains: Sequence[str], share: Interval) -> str:
    if np.isnan(share.value):
        return "Inconclusive: one seed per order does not separate variance by order and by seed."
    n = f"{count(len(chains), 'order')} × {count(len(samples.seeds), 'seed')}"
    explained = with_ci(share, SHARE, n, "of the variance of the mean zero-shot score")
    return f"{capital(effect(share, 'task order'))}: it explains {explained}."


def _extremes(samples: Samples, model: str, chains: Sequence[str]) -> list[str]:
    """Return a line on the best and the worst order, beside their difference by chance."""
    label = samples.label
    table = np.stack([samples.score(model, r, MEAN).by_seed for r in chains])
    if (np.sum(~np.isnan(table), axis=1) < 2).any():
        return []
    means = np.nanmean(table, axis=1)
    best, worst = chains[int(means.argmax())], chains[int(means.argmin())]
    seeds = np.sum(~np.isnan(table), axis=1, keepdims=True)
    residuals = (table - means[:, None]) * np.sqrt(seeds / (seeds - 1))
    chance = float(np.mean(_range(permuted(residuals))))
    return [
        f"The best order, {label(best)}, and the worst, {label(worst)}, differ by "
        f"{signed(_range(table))} points; the best and the worst of {len(chains)} equal orders "
        f"would differ by {signed(chance)} by chance."
    ]


def _variance_table(
    samples: Samples,
    model: str,
    chains: Sequence[str],
    targets: Sequence[str],
    components: dict[str, Components],
) -> pd.DataFrame:
    rows = [(target, ZERO_SHOT, parts) for target, parts in components.items()]
    rows += [
        (target, language, _components(samples, model, chains, target, language))
        for target in targets
        for language in samples.languages(target)
    ]
    return pd.DataFrame(
        {"target": target, "language": language}
        | {"variance_order": parts.between, "variance_seed": parts.within}
        | interval_columns(parts.share, "share_order")
        | {"p": parts.share.p}
        for target, language, parts in rows
    )


def _orders_table(samples: Samples, model: str, kinds: dict[str, list[str]]) -> pd.DataFrame:
    places = [(MEAN, ZERO_SHOT)]
    places += [(t, x) for t in samples.targets for x in [ZERO_SHOT, *samples.languages(t)]]
    scores = {
        (kind, recipe, target, language): samples.score(model, recipe, target, language)
        for kind, recipes in kinds.items()
        for recipe in recipes
        for target, language in places
    }
    return pd.DataFrame(
        dict(zip(("kind", "recipe", "target", "language"), key, strict=True))
        | interval_columns(score.interval, "score")
        | {"seeds": score.seeds}
        for key, score in scores.items()
    )


def _forgetting_table(forgotten: Sequence[Forgotten]) -> pd.DataFrame:
    return pd.DataFrame(
        {"task": x.task, "later_steps": x.later}
        | interval_columns(x.interval, "forgetting")
        | {"runs": sum(points.seeds for points in x.lost)}
        for x in forgotten
    )


def _figure(samples: Samples, facts: Facts, model: str, kinds: dict[str, list[str]]) -> Drawing:
    """Draw the score of each order and control, minus the mean of all orders."""
    chains = [*kinds["given"], *kinds["random"]]
    panels = []
    for target in columns(samples.results, ZERO_SHOT):
        centre = mean([samples.score(model, r, target) for r in chains])
        rows = []
        for kind, recipes in kinds.items():
            for recipe in recipes:
                difference = samples.score(model, recipe, target) - centre
                tasks = [samples.label(p.task) for p in facts.recipes.get(recipe, Recipe()).parts]
                chain = f": {' → '.join(tasks)}" if tasks and kind != "control" else ""
                rows.append((f"{samples.label(recipe)} ({kind}){chain}", difference.interval))
        judgements = family([interval for _, interval in rows])
        rows = [(name, x) for (name, _), x in zip(rows, judgements, strict=True)]
        title = "Mean over targets" if target == MEAN else samples.label(target)
        panels.append(Panel(title, rows))
    values = [np.nan_to_num(interval.value) for _, interval in panels[0].rows]
    order = sorted(range(len(values)), key=lambda n: -values[n])  # the largest first
    panels = [Panel(panel.title, [panel.rows[n] for n in order]) for panel in panels]
    caption = (
        f"Zero-shot score of each order and control, minus the mean of the {len(chains)} orders. "
        f"{bars(samples)} {FILLED}"
    )
    return intervals(caption, panels, "points above the mean order")


def _forgetting_figure(samples: Samples, forgotten: Sequence[Forgotten]) -> Drawing:
    tasks: dict[str, list[tuple[str, Interval]]] = defaultdict(list)
    for x in forgotten:
        # a loss has the side and the colour of a loss
        ends = {"low": -x.interval.high, "high": -x.interval.low}
        change = replace(x.interval, value=-x.interval.value, **ends)
        tasks[x.task].append((f"after {x.steps}", change))
    panels = [Panel(samples.label(task), rows) for task, rows in tasks.items()]
    caption = (
        "Change of the score on an intermediate task after later steps. Bars: 95 % CIs over chains "
        f"and seeds. {FILLED}"
    )
    return intervals(caption, panels, "change (points)")
