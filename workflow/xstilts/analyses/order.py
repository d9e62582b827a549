"""order: does the order of intermediate tasks matter, and how much is forgotten?"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

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
    with_ci,
    with_holm,
)
from xstilts.analyses.answer import SHARE, Estimate
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.recipe import Recipe, parse
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import MEAN, Results
from xstilts.results.statistics import (
    ALPHA,
    Components,
    Interval,
    Sample,
    kendall_w,
    mean,
    permutation_p,
    random_mean,
    variance_components,
)
from xstilts.results.tables import p_value, signed


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return variance by order and seed, agreement of targets, given orders, and forgetting."""
    model = samples.results.context.models[0]
    kinds = {kind: _scored(samples, facts, model, kind) for kind in ("given", "random", "control")}
    chains = [*kinds["given"], *kinds["random"]]
    if len(chains) < 2:
        return nothing_yet("order", samples, facts, "two orders with scores on all targets")
    targets = samples.results.targets(ZERO_SHOT)
    components = {
        t: _components(samples, model, chains, t) for t in dict.fromkeys([MEAN, *targets])
    }
    agreement, p = kendall_w(
        [[samples.score(model, r, target).mean for r in chains] for target in targets]
    )
    agreement = Interval(agreement, p=p)
    against = _against(samples, model, kinds)
    forgotten = _forgetting(samples, facts, model)
    share = components[MEAN].share
    estimates = [
        estimate("Share of the variance explained by task order", share, len(chains), SHARE),
        estimate(
            "Agreement of targets on the ranking of orders, Kendall's W",
            agreement,
            len(targets),
            "W",
        ),
        *with_holm(against),
        *_forgetting_estimates(forgotten),
    ]
    caveats = shared_caveats(samples)
    caveats.append(
        f"Variance is estimated from {counted(len(chains), 'order')} with "
        f"{counted(len(samples.seeds), 'seed')} each; the p-value of order's share is from "
        "permuting runs over orders. Given orders are included, although they are not random. CIs "
        "of differences from random orders allow for the small number of random orders."
    )
    if len(samples.results.context.models) > 1:
        caveats.append(f"Only {samples.results.context.label(model)}, the first model, is shown.")
    finding = _finding(samples, model, chains, share, agreement, forgotten)
    figures = {"answer": lambda results: _figure(samples, facts, model, kinds)}
    tables = {
        "variance": _variance_table(samples, model, chains, targets, components),
        "orders": _orders_table(samples, model, kinds),
    }
    if forgotten:
        figures["answer_forgetting"] = lambda results: _forgetting_figure(results, forgotten)
        tables["forgetting"] = _forgetting_table(forgotten)
    return outcome("order", facts, finding, caveats, estimates, figures, tables)


def _scored(samples: Samples, facts: Facts, model: str, kind: str) -> list[str]:
    """Return the recipes of a kind that are scored on all targets, each order under one name."""
    names: dict[str, str] = {}
    for recipe in samples.results.context.recipes:
        if recipe in facts.orders:
            names.setdefault(str(facts.recipes.get(recipe, recipe)), recipe)
    recipes = [r for r in names.values() if facts.orders[r] == kind]
    return [r for r in recipes if samples.score(model, r, MEAN).seeds]


def _components(
    samples: Samples, model: str, chains: Sequence[str], target: str, language: str = ZERO_SHOT
) -> Components:
    """Return the variance between orders and, within an order, between seeds; p by permutation."""
    groups = [samples.score(model, r, target, language).values for r in chains]
    groups = [group for group in groups if len(group)]
    components = variance_components(groups)
    if np.isnan(components.share.value):
        return components
    values = np.concatenate(groups)
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])

    def between(labels: np.ndarray) -> float:
        sums = np.bincount(labels, values - values.mean())
        return float((sums**2 / np.bincount(labels)).sum())

    share = replace(components.share, p=permutation_p(between, labels))
    return replace(components, share=share)


def _against(samples: Samples, model: str, kinds: dict[str, list[str]]) -> list[Estimate]:
    """Compare each given order, and each control, with random orders, a sample of all orders.

    Without random orders, compare each control with the given ones.
    """
    context, drawn = samples.results.context, kinds["random"]
    base = drawn or kinds["given"]
    others = counted(len(base), "random order" if drawn else "given order")
    estimates = []
    for recipe in [*(kinds["given"] if drawn else []), *kinds["control"]]:
        own = samples.score(model, recipe, MEAN)
        differences = [own - samples.score(model, other, MEAN) for other in base]
        difference = random_mean(differences) if drawn else mean(differences).interval
        label = f"{context.label(recipe)} minus the mean of {others}"
        estimates.append(estimate(label, difference, own.seeds))
    return estimates


Forgotten = dict[tuple[str, int], list[Sample]]  # (task, later steps) -> points lost, per chain


def _forgetting(samples: Samples, facts: Facts, model: str) -> Forgotten:
    """Return the points that a task lost, by the number of later steps, one sample per chain.

    Chains with the same beginning share the score after the task's own step, so they are not
    independent.
    """

    def retained(chain: str, task: str) -> Sample:
        keys = [(model, chain, task, seed) for seed in samples.seeds]
        values = np.array([facts.retained.get(key, np.nan) for key in keys])
        return Sample(values, None, {chain: values})

    lost: Forgotten = defaultdict(list)
    for name, chain, task in dict.fromkeys(key[:3] for key in facts.retained):
        steps = parse(chain).steps
        at = [n for n, step in enumerate(steps) if step.parts[0].task == task]
        if name != model or not at or (later := len(steps) - 1 - at[0]) == 0:
            continue
        points = retained(str(Recipe(steps[: at[0] + 1])), task) - retained(chain, task)
        if points.seeds:
            lost[task, later].append(points)
    return dict(sorted(lost.items()))


def _forgetting_estimates(forgotten: Forgotten) -> list[Estimate]:
    return with_holm(
        [
            estimate(
                f"Forgetting of {task} after {counted(later, 'later step')}",
                random_mean(lost),
                len(lost),
            )
            for (task, later), lost in forgotten.items()
        ]
    )


def _finding(
    samples: Samples,
    model: str,
    chains: Sequence[str],
    share: Interval,
    agreement: Interval,
    forgotten: Forgotten,
) -> str:
    label = samples.results.context.label
    scores = {r: samples.score(model, r, MEAN).mean for r in chains}
    best, worst = max(scores, key=scores.get), min(scores, key=scores.get)
    difference = signed(scores[best] - scores[worst])
    lines = [
        f"{_verdict(samples, chains, share)} The best order, {label(best)}, and the worst, "
        f"{label(worst)}, differ by {difference} points."
    ]
    if np.isfinite(agreement.value):
        names = listed([label(t) for t in samples.results.targets(ZERO_SHOT)])
        p = p_value(agreement.p)
        lines.append(
            f"Agreement of the targets ({names}) on the ranking of orders: "
            f"Kendall's W = {agreement.value:.2f} (p {p if p.startswith('<') else f'= {p}'})."
        )
    if forgotten:
        changes = [points * -1 for lost in forgotten.values() for points in lost]
        lines.append(f"Later steps change a task's score by {with_ci(random_mean(changes))}.")
    return "\n".join(lines)


def _verdict(samples: Samples, chains: Sequence[str], share: Interval) -> str:
    if np.isnan(share.value):
        return "Inconclusive: one seed per order does not separate variance by order and by seed."
    verdict = "Significant effect" if share.p < ALPHA else "No significant effect"
    n = f"{counted(len(chains), 'order')} × {counted(len(samples.seeds), 'seed')}"
    explained = with_ci(share, SHARE, n, "of the variance of the mean zero-shot score")
    return f"{verdict} of task order: it explains {explained}."


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
        [
            {
                "target": target,
                "language": language,
                "variance_order": parts.between,
                "variance_seed": parts.within,
                "share_order": parts.share.value,
                "low": parts.share.low,
                "high": parts.share.high,
                "p": parts.share.p,
            }
            for target, language, parts in rows
        ]
    )


def _orders_table(samples: Samples, model: str, kinds: dict[str, list[str]]) -> pd.DataFrame:
    rows = []
    for kind, recipes in kinds.items():
        for recipe in recipes:
            for target in [MEAN, *samples.results.targets(ZERO_SHOT)]:
                names = [] if target == MEAN else samples.languages(target)
                for language in [ZERO_SHOT, *names]:
                    score = samples.score(model, recipe, target, language)
                    numbers = (*_ends(score.interval), score.seeds)
                    rows.append((kind, recipe, target, language, *numbers))
    columns = ["kind", "recipe", "target", "language", "score", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _forgetting_table(forgotten: Forgotten) -> pd.DataFrame:
    rows = [
        (task, later, *_ends(random_mean(lost)), sum(points.seeds for points in lost))
        for (task, later), lost in forgotten.items()
    ]
    return pd.DataFrame(rows, columns=["task", "later_steps", "forgetting", "low", "high", "runs"])


def _figure(samples: Samples, facts: Facts, model: str, kinds: dict[str, list[str]]):
    """Draw the score of each order and control, minus the mean of all orders."""
    context = samples.results.context
    chains = [*kinds["given"], *kinds["random"]]
    panels = []
    targets = samples.results.targets(ZERO_SHOT)
    for target in [MEAN, *targets] if len(targets) > 1 else targets:
        centre = mean([samples.score(model, r, target) for r in chains])
        rows = []
        for kind, recipes in kinds.items():
            for recipe in recipes:
                difference = samples.score(model, recipe, target) - centre
                tasks = [context.label(p.task) for p in facts.recipes.get(recipe, Recipe()).parts]
                chain = f": {' → '.join(tasks)}" if tasks and kind != "control" else ""
                rows.append((f"{context.label(recipe)} ({kind}){chain}", difference.interval))
        title = "Mean over targets" if target == MEAN else context.label(target)
        panels.append(Panel(title, rows))
    subtitle = f"Difference from the mean of all orders. {bars(samples)} {FILLED}"
    return intervals("Zero-shot score by order", subtitle, panels, "points")


def _forgetting_figure(results: Results, forgotten: Forgotten):
    tasks: dict[str, list[tuple[str, Interval]]] = defaultdict(list)
    for (task, later), lost in forgotten.items():
        tasks[task].append((f"after {counted(later, 'later step')}", random_mean(lost)))
    panels = [Panel(results.context.label(task), rows) for task, rows in tasks.items()]
    subtitle = (
        f"Points lost on a task after later steps. Bars: 95 % CIs over chains and seeds. {FILLED}"
    )
    return intervals("Forgetting along the chain", subtitle, panels, "points lost")
