"""helps: which intermediate tasks help, on which targets, for which languages?"""

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd
from scipy import stats

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    chosen,
    estimate,
    groups,
    interval_columns,
    listed,
    mean_gains,
    nothing_learned,
    nothing_yet,
    power,
    shared_caveats,
    trained,
    with_ci,
)
from xstilts.analyses.answer import POINTS, Estimate
from xstilts.analyses.plots import FILLED, Panel, intervals
from xstilts.results.drawing import Drawing
from xstilts.results.resampling import ranking
from xstilts.results.samples import ZERO_SHOT, Samples, judged_gains
from xstilts.results.scores import BASELINE, MEAN
from xstilts.results.statistics import LEVEL, Interval, Sample
from xstilts.results.tables import signed
from xstilts.units import count

NAMED = 4  # pairs in the finding, of those that improve and of those that get worse
RANKED = 5  # seeds from which ranks have a range


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return gains, ranking, the recipe chosen by validation, groups, and published scores."""
    recipes = {m: names for m in samples.context.models if (names := trained(samples, m))}
    if not recipes:
        if samples.context.recipes == [BASELINE]:
            finding = "No gains: `none` is the only recipe. The table and the page have its scores."
            return Outcome(finding, shared_caveats(samples))
        return nothing_yet(samples, "the baseline and a recipe with the same target and seed")
    gains = {m: _mean_gains(samples, m, recipes[m]) for m in recipes}
    fitted = {m: chosen.cross_fitted(samples, facts, m, recipes[m]) for m in recipes}
    choices = pd.DataFrame(
        [row for m in recipes for row in chosen.choices(samples, facts, m, recipes[m], fitted[m])]
    )
    grouped = groups.table(samples, facts, recipes)
    gaps = groups.by_resource(samples, recipes)
    tables = {
        "ranking": pd.DataFrame([row for m in recipes for row in _ranks(samples, m, gains[m])]),
        "chosen": choices,
        "groups": grouped,
        "published": pd.DataFrame(
            [row for m in recipes for row in _published(samples, facts, choices, m)]
        ),
        "xtreme_average": _xtreme_averages(samples, recipes),
    }
    figures = {
        "answer": lambda: _gains_figure(samples, recipes),
        "answer_groups": lambda: groups.figure(samples, grouped),
    }
    estimates = [
        *(e for m in recipes for e in gains[m].values()),
        *chosen.averages(samples, fitted),
        *gaps.values(),
    ]
    filled = {name: table for name, table in tables.items() if len(table)}
    finding = "\n".join(_finding(samples, facts, m, gains[m], gaps.get(m)) for m in recipes)
    caveats = [*shared_caveats(samples), *_caveats(samples, facts, set(choices.get("target", ())))]
    return Outcome(finding, caveats, estimates, figures, filled, _power(samples, recipes))


def _caveats(samples: Samples, facts: Facts, chosen_for: Collection[str]) -> list[str]:
    """Return the caveats; a recipe is chosen by validation for the targets `chosen_for`."""
    caveats = [
        "Gains of different recipes are correlated, because they share the baseline's runs. Each "
        "target has only one test set.",
        *_sensitivity(samples),
    ]
    if "Question answering" in facts.categories.values() and len(facts.categories) > 1:
        caveats.append(
            "Means over targets use one metric per target, F1 for question answering. The table "
            "xtreme_average has XTREME's own average: the mean of F1 and exact match for question "
            "answering, and all languages."
        )
    if chosen_for:
        others = [samples.label(t) for t in samples.targets if t not in chosen_for]
        left_out = f" Without validation scores: {listed(others)}." if others else ""
        caveats.append(
            "The best recipe is chosen on the validation split of the source language, because "
            "zero-shot transfer allows no labels in other languages. Its gain is cross-fitted: "
            "each seed is tested with the recipe that is best on the other seeds." + left_out
        )
    return caveats


def _sensitivity(samples: Samples) -> list[str]:
    """Return how the verdicts change without pooling, and the means without degenerate runs."""
    label, rows = samples.label, _zero_shot(samples)
    lines, claimed = [], rows[rows["significant"]]
    known = claimed[claimed["welch_p"].notna()]
    if lost := int(((known["welch_low"] <= 0) & (known["welch_high"] >= 0)).sum()):
        lines.append(
            f"{lost} of {count(len(claimed), 'significant gain')} would not be significant alone "
            "if each recipe has its own run variance (Welch; columns welch_ of the table gains)."
        )
    means = rows[(rows["target"] == MEAN) & (rows["degenerate"] > 0)]
    texts = [
        f"{label(row.recipe)} {signed(row.gain_learned, '+')} instead of {signed(row.gain, '+')}"
        for row in means[means["gain_learned"].notna()].itertuples()
    ]
    return [*lines, *([f"Mean gains without degenerate runs: {listed(texts)}."] if texts else [])]


def _zero_shot(samples: Samples, *models: str) -> pd.DataFrame:
    """Return the zero-shot gains of gains.csv, of some models or of all."""
    rows = samples.gains[samples.gains["language"] == ZERO_SHOT]
    return rows[rows["model"].isin(models)] if models else rows


def _power(samples: Samples, recipes: dict[str, list[str]]) -> str:
    """Return the smallest mean gain that is found, and the smallest of one recipe on one target."""

    def gains(*targets: str) -> list[Sample]:
        pairs = [(m, r) for m, names in recipes.items() for r in names]
        return [g for pair in pairs for t in targets if (g := samples.gain(*pair, t)).seeds]

    text = power(samples, gains(MEAN), "mean gain")
    if len(samples.targets) > 1:
        text += "\n" + power(samples, gains(*samples.targets), "gain on a typical target")
    return text


def _finding(
    samples: Samples, facts: Facts, model: str, gains: dict[str, Estimate], gap: Estimate | None
) -> str:
    """Return the verdict on the mean gains of a model, and the number of significant gains."""
    if nothing := nothing_learned(samples, [model]):
        return _prefix(samples, model) + nothing
    lead = "No recipe is scored on every target yet."
    if gains:
        lead = _verdict(samples, gains)
    rows = _zero_shot(samples, model)
    rows = rows[(rows["target"] != MEAN) & rows["p_adjusted"].notna()]
    if not len(rows):
        return _prefix(samples, model) + lead
    verdict, *explained = lead.splitlines()
    if gap:
        explained.append(groups.resource_sentence(samples, gap))
    pairs = _pairs(samples, rows, facts)
    return "\n".join([_prefix(samples, model) + verdict, pairs, *explained])


def _prefix(samples: Samples, model: str) -> str:
    """Return the model's label before a text, if the study has several models."""
    return f"{samples.label(model)}: " if len(samples.context.models) > 1 else ""


def _pairs(samples: Samples, rows: pd.DataFrame, facts: Facts) -> str:
    """Return how many recipe–target pairs change significantly, and the largest changes."""
    label = samples.label
    longer = dict.fromkeys(facts.longer, " (same training data)")
    significant = rows[rows["significant"]].sort_values("gain", ascending=False)
    better, worse = significant[significant["gain"] > 0], significant[significant["gain"] < 0][::-1]
    named = [
        [
            f"{label(row.recipe)} → {label(row.target)} {signed(row.gain, '+')}"
            + longer.get((row.recipe, row.target), "")
            for row in changed.head(NAMED).itertuples()
        ]
        + [f"{len(changed) - NAMED} more"] * (len(changed) > NAMED)
        for changed in (better, worse)
    ]
    listing = "; ".join(", ".join(names) for names in named if names)
    return (
        f"Of {count(len(rows), 'recipe–target pair')}, {len(better)} "
        f"improve{'s' * (len(better) == 1)} and {len(worse)} get{'s' * (len(worse) == 1)} worse "
        f"significantly (adjusted p < .05){f': {listing}' if listing else ''}."
    )


def _verdict(samples: Samples, gains: dict[str, Estimate]) -> str:
    """Return the verdict: what helps most, how many recipes help and how many hurt."""
    label, targets = samples.label, samples.targets
    known = {r: gain for r, gain in gains.items() if gain.significant is not None}
    if not known:
        return "No verdict: no recipe has two seeds on every target."
    best = max(known, key=lambda recipe: known[recipe].value)
    signs = [np.sign(gain.value) for gain in known.values() if gain.significant]
    helpful, harmful, total = signs.count(1), signs.count(-1), count(len(known), "recipe")
    gain, hurt = known[best], f"{harmful} hurt{'s' * (harmful == 1)}"
    if helpful:
        lead = (
            f"{label(best)} helps most: {signed(gain.value, '+')} points [{signed(gain.low)}, "
            f"{signed(gain.high)}]; {helpful} of {total} help{'s' * (helpful == 1)}, {hurt}."
        )
        explained = "Brackets hold the 95 % CI of the mean gain"
    else:
        lead = "No recipe reliably helps" + " on average" * (len(targets) > 1)
        lead += f"; {harmful} of {total} hurt{'s' * (harmful == 1)}." if harmful else "."
        explained = f"The best, {label(best)}, gains {with_ci(gain)}"
        if gain.value <= 0:
            explained = f"The baseline ranks first. The next, {label(best)}, has {with_ci(gain)}"
    where = f" on average over {count(len(targets), 'target')}" * (len(targets) > 1)
    return f"{lead}\n{explained}{where}, simultaneous over {total}; n = {count(gain.n, 'seed')}."


def _mean_gains(samples: Samples, model: str, recipes: list[str]) -> dict[str, Estimate]:
    """Return the mean gain over targets of each recipe; the effect is Cohen's h."""
    rows = _zero_shot(samples, model)
    rows = rows[rows["target"] == MEAN].set_index("recipe")
    prefix = _prefix(samples, model)
    return {
        r: estimate(
            f"{prefix}{samples.label(r)}, mean zero-shot gain",
            samples.intervals[model, r, MEAN, ZERO_SHOT],
            int(rows.loc[r, "seeds"]),
            effect=rows.loc[r, "effect"],
        )
        for r in recipes
        if r in rows.index
    }


def _ranks(samples: Samples, model: str, gains: dict[str, Estimate]) -> Iterable[dict]:
    """Yield the ranks of the baseline and of recipes with two seeds, and the targets they improve.

    A rank's range in 95 % of the replicates, and how often it is the first, need RANKED seeds.
    `improved` and `worsened` count significant gains: lower bounds on the number of targets that
    hold together (Dror et al. 2017); `higher` counts all gains above zero.
    """
    names = [BASELINE, *(r for r, gain in gains.items() if gain.significant is not None)]
    if len(names) == 1:
        return
    ranks = ranking([samples.gain(model, r, MEAN) for r in names])
    cells = _zero_shot(samples, model)
    for name, rank in zip(names, ranks, strict=True):
        certain = len(samples.seeds) >= RANKED
        own = cells[(cells["recipe"] == name) & (cells["target"] != MEAN)]
        clear = own.loc[own["significant"], "gain"]
        gain = gains.get(name) or Estimate(label="", value=0.0, n=len(samples.seeds), unit=POINTS)
        yield {
            "model": model,
            "recipe": name,
            "rank": rank.rank,
            "rank_low": rank.low if certain else None,
            "rank_high": rank.high if certain else None,
            "best": rank.best if certain else np.nan,
            **interval_columns(gain),
            "significant": bool(gain.significant),
            **{"targets": len(own), "higher": int((own["gain"] > 0).sum())},
            **{"improved": int((clear > 0).sum()), "worsened": int((clear < 0).sum())},
            "seeds": gain.n,
        }


def _xtreme_averages(samples: Samples, recipes: dict[str, list[str]]) -> pd.DataFrame:
    """Return score and gain of each recipe as XTREME's leaderboard averages; CIs over seeds only.

    The mean is over targets, source language included; for question answering it is over F1 and
    exact match (Hu et al. 2020, table 2).
    """
    scores = {
        (m, r): score
        for m, names in recipes.items()
        for r, score in _xtreme_scores(samples, m, [BASELINE, *names]).items()
    }
    gains = {key: score - scores[key[0], BASELINE] for key, score in scores.items()}
    keys = [key for key, gain in gains.items() if key[1] != BASELINE and gain.seeds]
    family = {(*key, MEAN, "xtreme"): gains[key] for key in keys}
    judgements = judged_gains(family)
    rows = []
    for (m, r), score in scores.items():
        if gains[m, r].seeds:
            interval = judgements.get((m, r, MEAN, "xtreme"), Interval(np.nan))
            columns = {**interval_columns(interval), "seeds": gains[m, r].seeds}
            rows.append({"model": m, "recipe": r, "score": score.mean, **columns})
    return pd.DataFrame(rows)


def _xtreme_scores(samples: Samples, model: str, recipes: list[str]) -> dict[str, Sample]:
    context, frame = samples.context, samples.results.frame
    own = (frame["model"] == model) & (frame["language"] == "avg")
    exact = frame["target"].map(samples.results.metrics).str.replace("f1", "exact_match")
    rows = frame[own & (frame["headline"] | (frame["metric"] == exact))]
    means = rows.groupby(["recipe", "seed", "target"])["value"].mean().unstack("target")
    means = means.reindex(columns=context.targets).mean(axis=1, skipna=False).unstack("seed")
    table = means.reindex(index=recipes, columns=context.seeds).to_numpy()
    return {
        r: Sample(row, None, {(model, r): np.vstack([row, np.delete(table, n, axis=0)])})
        for n, (r, row) in enumerate(zip(recipes, table, strict=True))
    }


def _published(samples: Samples, facts: Facts, choices: pd.DataFrame, model: str) -> Iterable[dict]:
    """Yield scores next to published ones, and whether a new run could score as much.

    `best` is the recipe that was chosen for the target. A published score is one more run on the
    same test examples, so it is compared with a prediction interval.
    """
    best = {row.target: row.recipe for row in choices.itertuples() if row.model == model}
    runs = samples.results.scored.groupby(["model", "recipe", "target"]).size()
    for name, scores in facts.published.get(model, {}).items():
        for target, published in scores.items():
            recipe = best.get(target) if name == "best" else name
            if published is None or recipe is None:
                continue
            score = samples.score(model, recipe, target, "avg")
            if not score.seeds:
                continue
            low, high = _prediction(score, (model, recipe), int(runs[model, recipe, target]))
            yield {
                "model": model,
                "published_as": name,
                "recipe": recipe,
                "target": target,
                "published": published,
                **interval_columns(score.interval, "score"),
                "seeds": score.seeds,
                "difference": score.mean - published,
                "new_run_low": low,
                "new_run_high": high,
                "within": bool(low <= published <= high) if np.isfinite(low) else None,
            }


def _prediction(score: Sample, run: tuple[str, str], runs: int) -> tuple[float, float]:
    """Return the 95 % prediction interval of a new run; NaN without a run variance.

    `score` is the mean of `runs` runs: their variance divided by this number is that of the mean.
    """
    variance = score.error.by_run.get(run, 0.0)
    if not variance > 0:
        return np.nan, np.nan
    quantile = stats.t.ppf((1 + LEVEL) / 2, score.error.freedom)
    half = float(quantile * np.sqrt(variance * (runs + 1)))
    return score.mean - half, score.mean + half


def _gains_figure(samples: Samples, recipes: dict[str, list[str]]) -> Drawing:
    """Draw the mean gain of each recipe; the heat map has the gains on each target."""
    panels = []
    for model, own in recipes.items():
        shown = mean_gains(samples, model, {recipe: samples.label(recipe) for recipe in own})
        panels.append(Panel(samples.label(model) if len(recipes) > 1 else "", shown))
    caption = (
        f"Zero-shot gain over {samples.label(BASELINE)}, mean over "
        f"{count(len(samples.targets), 'target')}. {bars(samples)} {FILLED}"
    )
    return intervals(caption, panels, "mean zero-shot gain (points)")
