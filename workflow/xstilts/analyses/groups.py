"""Gains by kind of target task, and by family, script and resource level of the languages."""

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from xstilts.analyses import Facts, capital, effect, interval_columns, judged_samples, with_ci
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import NOTHING
from xstilts.languages.names import LEVELS
from xstilts.languages.names import language as about
from xstilts.results.drawing import Drawing, note
from xstilts.results.figures import Columns, gain_maps, legend, model_panels
from xstilts.results.samples import ZERO_SHOT, Samples, judged_gains
from xstilts.results.scores import BASELINE
from xstilts.results.statistics import Sample, mean
from xstilts.units import count

GROUPINGS = ("category", "family", "script", "resource")
LOW, HIGH, UNKNOWN = LEVELS
SINGLE = "one language each"  # the families, or scripts, of a single language


def table(samples: Samples, facts: Facts, recipes: dict[str, list[str]]) -> pd.DataFrame:
    """Return the gains of groups of targets and languages, which are one family."""
    rows = [row for m in recipes for row in _groups(samples, facts, m, recipes[m])]
    keys = [(row["model"], row["recipe"], row["grouping"], row["group"]) for row, _ in rows]
    gains = judged_gains(dict(zip(keys, [gain for _, gain in rows], strict=True)))
    return pd.DataFrame(
        [
            {
                **row,
                **interval_columns(interval),
                "seeds": gain.seeds,
                "significant": interval.significant,
            }
            for (row, gain), interval in zip(rows, gains.values(), strict=True)
        ]
    )


def _groups(
    samples: Samples, facts: Facts, model: str, recipes: list[str]
) -> Iterable[tuple[dict, Sample]]:
    """Yield gains by category of the target, and by groups of the zero-shot languages.

    A group's gain is the mean over targets of the mean over the target's languages in the group.
    """
    targets = samples.targets
    everywhere = {name for target in targets for name in samples.languages(target, ZERO_SHOT)}
    merged = {grouping: _merged(everywhere, grouping) for grouping in GROUPINGS[1:]}
    members: dict[tuple[str, str], dict[str, list[str]]] = {}
    for target in targets:
        names = samples.languages(target, ZERO_SHOT)
        members.setdefault(("category", facts.categories.get(target, target)), {})[target] = names
        for name in names:
            for grouping in GROUPINGS[1:]:
                group = (grouping, merged[grouping][name])
                if group != ("resource", UNKNOWN):
                    members.setdefault(group, {}).setdefault(target, []).append(name)
    for recipe in recipes:
        for (grouping, group), inside in members.items():
            parts = {}
            for target, names in inside.items():
                gain = mean([samples.gain(model, recipe, target, name) for name in names])
                if gain.seeds:
                    parts[target] = gain
            if not parts or not (gain := mean([*parts.values()])).seeds:
                continue
            row = {
                "model": model,
                "recipe": recipe,
                "grouping": grouping,
                "group": group,
                "targets": len(parts),
                "languages": len({name for t in parts for name in inside[t]}),
            }
            yield row, gain


def _merged(names: Iterable[str], grouping: str) -> dict[str, str]:
    """Return language -> group; groups of one language are one group, unless all are.

    Resource levels stay as they are.
    """
    groups = {name: getattr(about(name), grouping) for name in names}
    sizes = Counter(groups.values())
    if grouping == "resource" or max(sizes.values(), default=1) == 1:
        return groups
    return {name: group if sizes[group] > 1 else SINGLE for name, group in groups.items()}


def by_resource(samples: Samples, recipes: dict[str, list[str]]) -> dict[str, Estimate]:
    """Return the gain in low-resource minus that in high-resource languages, by model.

    Only targets that have both are compared, so a difference between tasks is none between
    languages. The difference is the mean over these targets and over recipes.
    """
    levels = _leveled(samples)
    found = {model: _gap(samples, levels, model, own) for model, own in recipes.items()}
    gaps = {model: gap for model, gap in found.items() if gap and gap.seeds}
    what = "gain in low- minus high-resource languages"
    named = [(f"{samples.label(model)}, {what}", gap) for model, gap in gaps.items()]
    return dict(zip(gaps, judged_samples(named), strict=True))


def _gap(
    samples: Samples, leveled: dict[str, dict[str, list[str]]], model: str, recipes: list[str]
) -> Sample | None:
    gaps = []
    for target, levels in leveled.items():
        for recipe in recipes:
            low, high = (
                mean([samples.gain(model, recipe, target, name) for name in levels[level]])
                for level in (LOW, HIGH)
            )
            if low.seeds and high.seeds:
                gaps.append(low - high)
    return mean(gaps) if gaps else None


def _leveled(samples: Samples) -> dict[str, dict[str, list[str]]]:
    """Return target -> resource level -> languages, for targets with both levels."""
    leveled = {}
    for target in samples.targets:
        names = samples.languages(target, ZERO_SHOT)
        levels = {x: [n for n in names if about(n).resource == x] for x in (LOW, HIGH)}
        if all(levels.values()):
            leveled[target] = levels
    return leveled


def resource_sentence(samples: Samples, gap: Estimate) -> str:
    """Return whether low-resource languages gain more or less than high-resource ones."""
    leveled = _leveled(samples)
    sizes = [len({n for levels in leveled.values() for n in levels[x]}) for x in (LOW, HIGH)]
    where = f"{sizes[0]} low- and {count(sizes[1], 'high-resource language')}"
    where += f", {count(len(leveled), 'target')}"
    if gap.significant:
        verdict = f"Low-resource languages gain {'more' if gap.value > 0 else 'less'}"
        return f"{verdict} than high-resource ones: {with_ci(gap)}; {where}."
    verdict = capital(effect(gap, "the languages' resources on the gain"))
    return f"{verdict}: low- minus high-resource {with_ci(gap)}; {where}."


def figure(samples: Samples, groups: pd.DataFrame) -> Drawing:
    """Draw the gain of each recipe in each group of targets and languages."""
    results = samples.judged
    if not len(groups):
        return note(NOTHING)
    gains = groups.assign(
        column=list(zip(groups["grouping"], groups["group"], strict=True)), marks=""
    ).set_index(["model", "recipe", "column"])
    groups = groups.assign(single=groups["group"] == SINGLE)
    sizes = (
        groups.groupby(["grouping", "group"])
        .agg({"single": "first", "gain": "mean", "languages": "max"})
        .sort_values(["single", "gain"], ascending=[True, False])["languages"]
    )
    titles = {"category": "Kind of task", "family": "Language family", "script": "Script"}
    titles |= {"resource": "Resources"}
    columns = [
        Columns({(g, name): f"{name} ({n})" for name, n in sizes[g].items()}, titles[g])
        for g in GROUPINGS
        if len(sizes.get(g, ())) > 1
    ]
    if not columns:  # one group of each kind: nothing to compare
        return note(NOTHING)
    panels = [
        p for m in gains.index.unique("model") for p in model_panels(results, m, gains.loc[m])
    ]
    caption = (
        f"Zero-shot gain over {samples.label(BASELINE)} in points, by kind of task, "
        "language family, script and resource level; in brackets the number of languages. "
        f"{legend(results, gains)} Rows and columns are sorted by mean gain."
    )
    return Drawing(gain_maps(panels, columns, ""), caption)
