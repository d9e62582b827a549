"""Gains by kind of target task, and by family and script of the languages."""

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from xstilts.analyses import Facts, interval_columns
from xstilts.analyses.plots import NOTHING
from xstilts.languages.names import language as about
from xstilts.results.drawing import Drawing, note
from xstilts.results.figures import Columns, gain_maps, legend, model_panels
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.samples import judged as judged_gains
from xstilts.results.scores import BASELINE
from xstilts.results.statistics import Sample, mean

GROUPINGS = ("category", "family", "script")
SINGLE = "one language each"  # the families, or scripts, of a single language


def table(samples: Samples, facts: Facts, recipes: dict[str, list[str]]) -> pd.DataFrame:
    """Return the gains of groups of targets and languages, which are one family."""
    rows = [row for m in recipes for row in _groups(samples, facts, m, recipes[m])]
    keys = [(row["model"], row["recipe"], row["grouping"], row["group"]) for row, _ in rows]
    gains = judged_gains(samples, dict(zip(keys, [gain for _, gain in rows], strict=True)))
    return pd.DataFrame(
        [
            {
                **row,
                **interval_columns(interval),
                "seeds": gain.seeds,
                "significant": interval.significant,
            }
            for (row, gain), interval in zip(rows, gains, strict=True)
        ]
    )


def _groups(
    samples: Samples, facts: Facts, model: str, recipes: list[str]
) -> Iterable[tuple[dict, Sample]]:
    """Yield gains by category of the target, and by family and script of the zero-shot languages.

    A group's gain is the mean over targets of the mean over the target's languages in the group.
    """
    targets = samples.results.targets(ZERO_SHOT)
    everywhere = {name for target in targets for name in samples.languages(target, ZERO_SHOT)}
    merged = {grouping: _merged(everywhere, grouping) for grouping in GROUPINGS[1:]}
    members: dict[tuple[str, str], dict[str, list[str]]] = {}
    for target in targets:
        names = samples.languages(target, ZERO_SHOT)
        members.setdefault(("category", facts.categories.get(target, target)), {})[target] = names
        for name in names:
            for grouping in GROUPINGS[1:]:
                group = (grouping, merged[grouping][name])
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
    """Return language -> group; groups of one language are one group, unless all are."""
    groups = {name: getattr(about(name), grouping) for name in names}
    sizes = Counter(groups.values())
    if max(sizes.values(), default=1) == 1:
        return groups
    return {name: group if sizes[group] > 1 else SINGLE for name, group in groups.items()}


def figure(samples: Samples, groups: pd.DataFrame) -> Drawing:
    """Draw the gain of each recipe in each group of targets and languages."""
    results = samples.results
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
        f"Zero-shot gain over {results.context.label(BASELINE)} in points, by kind of task, "
        "language family and script; in brackets the number of languages. "
        f"{legend(results, gains)} Rows and columns are sorted by mean gain."
    )
    return Drawing(gain_maps(panels, columns, ""), caption)
