"""order: does the order of intermediate tasks matter, and what is forgotten on the way?"""

from collections import defaultdict
from collections.abc import Sequence

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
    with_holm,
)
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.recipe import Recipe, parse
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import MEAN, Results
from xstilts.results.statistics import (
    Components,
    Interval,
    Sample,
    kendall_w,
    mean,
    permutation_p,
    random_mean,
    variance_components,
)


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Variance by order and by seed, agreement of targets, given orders, controls, forgetting."""
    model = samples.results.context.models[0]
    kinds = {kind: _scored(samples, facts, model, kind) for kind in ("given", "random", "control")}
    chains = [*kinds["given"], *kinds["random"]]
    if len(chains) < 2:
        return nothing_yet("order", samples, facts, "fewer than two orders are scored everywhere")
    targets = samples.results.targets(ZERO_SHOT)
    found = {t: _components(samples, model, chains, t) for t in dict.fromkeys([MEAN, *targets])}
    agreement, p = kendall_w(
        [[samples.score(model, r, target).mean for r in chains] for target in targets]
    )
    against = _against(samples, model, kinds)
    forgotten = _forgetting(samples, facts, model)
    share = found[MEAN].share
    estimates = [
        estimate(
            "Share of the variance of scores that order makes, the rest is the seeds'",
            share,
            len(chains),
            "share",
        ),
        estimate(
            "Agreement of targets on the orders, Kendall's W",
            Interval(agreement, p=p),
            len(targets),
            "W",
        ),
        *with_holm(against),
        *_forgetting_estimates(forgotten),
    ]
    caveats = shared_caveats(samples)
    caveats.append(
        f"Variance is estimated from {counted(len(chains), 'order')} with "
        f"{counted(len(samples.seeds), 'seed')} each; p of its share is by permuting runs over "
        "orders. Given orders are not random ones, yet count among them. Differences from random "
        "orders are those from any: that few were drawn is in their intervals."
    )
    if len(samples.results.context.models) > 1:
        caveats.append(f"Of {samples.results.context.label(model)}, the first model.")
    said = _found(samples, model, chains, found[MEAN], agreement, targets, forgotten)
    figures = {"answer": lambda results: _figure(samples, facts, model, kinds)}
    tables = {
        "variance": _variance_table(samples, model, chains, targets, found),
        "orders": _orders_table(samples, model, kinds),
    }
    if forgotten:
        figures["answer_forgetting"] = lambda results: _forgetting_figure(results, forgotten)
        tables["forgetting"] = _forgetting_table(forgotten)
    return outcome("order", facts, said, caveats, estimates, figures, tables)


def _scored(samples: Samples, facts: Facts, model: str, kind: str) -> list[str]:
    """The recipes of a kind that are scored on every target; an order counts under one name."""
    names: dict[str, str] = {}
    for recipe in samples.results.context.recipes:
        if recipe in facts.orders:
            names.setdefault(str(facts.recipes.get(recipe, recipe)), recipe)
    recipes = [r for r in names.values() if facts.orders[r] == kind]
    return [r for r in recipes if samples.score(model, r, MEAN).seeds]


def _components(
    samples: Samples, model: str, chains: Sequence[str], target: str, language: str = ZERO_SHOT
) -> Components:
    """Variance between orders and, within an order, between seeds; p by permutation."""
    groups = [samples.score(model, r, target, language).values for r in chains]
    groups = [group for group in groups if len(group)]
    found = variance_components(groups)
    if np.isnan(found.share.value):
        return found
    values = np.concatenate(groups)
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])

    def between(labels: np.ndarray) -> float:
        sums = np.bincount(labels, values - values.mean())
        return float((sums**2 / np.bincount(labels)).sum())

    share = found.share
    tested = Interval(share.value, share.low, share.high, permutation_p(between, labels))
    return Components(found.between, found.within, tested)


def _against(samples: Samples, model: str, kinds: dict[str, list[str]]) -> list:
    """Each given order, and each control, against random orders, of which those here are drawn.

    Without random orders, each control against the given ones.
    """
    context, drawn = samples.results.context, kinds["random"]
    base = drawn or kinds["given"]
    what = counted(len(base), "random order" if drawn else "given order")
    found = []
    for recipe in [*(kinds["given"] if drawn else []), *kinds["control"]]:
        own = samples.score(model, recipe, MEAN)
        apart = [own - samples.score(model, other, MEAN) for other in base]
        difference = random_mean(apart) if drawn else mean(apart).interval
        label = f"{context.label(recipe)} minus the mean of {what}"
        found.append(estimate(label, difference, own.seeds))
    return found


Forgotten = dict[tuple[str, int], list[Sample]]  # (task, later steps) -> points lost, per chain


def _forgetting(samples: Samples, facts: Facts, model: str) -> Forgotten:
    """Score of a task after its own step, minus that after so many later steps of the chain.

    Chains that begin alike share the first of these, so that they are not independent.
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
        found = retained(str(Recipe(steps[: at[0] + 1])), task) - retained(chain, task)
        if found.seeds:
            lost[task, later].append(found)
    return dict(sorted(lost.items()))


def _forgetting_estimates(forgotten: Forgotten) -> list:
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


def _found(
    samples: Samples,
    model: str,
    chains: Sequence[str],
    components: Components,
    agreement: float,
    targets: Sequence[str],
    forgotten: Forgotten,
) -> str:
    share = components.share
    scores = {r: samples.score(model, r, MEAN).mean for r in chains}
    best, worst = max(scores, key=scores.get), min(scores, key=scores.get)
    label = samples.results.context.label
    spread = scores[best] - scores[worst]
    if np.isnan(share.value):
        lead = "One seed per order does not tell the variance by order from that by seed"
    else:
        verb = "matters" if share.p < 0.05 else "does not surely matter"
        ends = f"{share.low:.0%} to {share.high:.0%}" if share.low == share.low else "none"
        runs = f"{counted(len(chains), 'order')} and {counted(len(samples.seeds), 'seed')}"
        lead = (
            f"Order {verb}: it makes {share.value:.0%} (95 % interval {ends}) of the variance of "
            f"the mean zero-shot score over {runs}"
        )
    said = [f"{lead}; {label(best)} and {label(worst)} are {spread:.1f} points apart."]
    if agreement == agreement:
        names = listed([label(t) for t in targets])
        said.append(f"Targets ({names}) agree on the orders with Kendall's W {agreement:.2f}.")
    if forgotten:
        lost = random_mean([one * -1 for found in forgotten.values() for one in found])
        said.append(f"The steps after a task's own change its score by {told(lost)}.")
    return "\n".join(said)


def _variance_table(
    samples: Samples,
    model: str,
    chains: Sequence[str],
    targets: Sequence[str],
    found: dict[str, Components],
) -> pd.DataFrame:
    rows = [(target, ZERO_SHOT, one) for target, one in found.items()]
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
                "variance_order": one.between,
                "variance_seed": one.within,
                "share_order": one.share.value,
                "low": one.share.low,
                "high": one.share.high,
                "p": one.share.p,
            }
            for target, language, one in rows
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
                    rows.append((kind, recipe, target, language, *_numbers(score)))
    columns = ["kind", "recipe", "target", "language", "score", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def _numbers(score: Sample) -> tuple[float, float, float, int]:
    found = score.interval
    return found.value, found.low, found.high, score.seeds


def _forgetting_table(forgotten: Forgotten) -> pd.DataFrame:
    rows = []
    for (task, later), lost in forgotten.items():
        found = random_mean(lost)
        rows.append(
            (task, later, found.value, found.low, found.high, sum(one.seeds for one in lost))
        )
    return pd.DataFrame(rows, columns=["task", "later_steps", "forgetting", "low", "high", "runs"])


def _figure(samples: Samples, facts: Facts, model: str, kinds: dict[str, list[str]]):
    """Each order's and control's score, as its difference from the mean of all orders."""
    context = samples.results.context
    chains = [*kinds["given"], *kinds["random"]]
    panels = []
    targets = samples.results.targets(ZERO_SHOT)
    for target in [MEAN, *targets] if len(targets) > 1 else targets:
        middle = mean([samples.score(model, r, target) for r in chains])
        rows = []
        for kind, recipes in kinds.items():
            for recipe in recipes:
                difference = samples.score(model, recipe, target) - middle
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
        "Score after the task's own step minus that later. Bars: 95 % intervals over chains and "
        f"seeds. {FILLED}"
    )
    return intervals("Forgetting along the chain", subtitle, panels, "points lost")
