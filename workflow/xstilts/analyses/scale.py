"""scale: does the gain grow with the model?"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from xstilts.analyses import (
    Facts,
    Outcome,
    bars,
    effect,
    ends,
    judged,
    judged_samples,
    listed,
    nothing_yet,
    power,
    shared_caveats,
    trained,
    with_ci,
)
from xstilts.analyses.answer import Estimate
from xstilts.analyses.plots import FILLED, Panel, along
from xstilts.config.schema import ARM
from xstilts.results.drawing import Drawing
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import BASELINE, MEAN
from xstilts.results.statistics import (
    Interval,
    Sample,
    combine,
    line_interval,
    slope_weights,
    t_interval,
    within,
)
from xstilts.results.tables import columns, signed
from xstilts.results.verdicts import detectable
from xstilts.units import count

UNIT = "points per tenfold size"
ODDS = "log odds per tenfold size"
ENDS = (0.5, 99.5)  # percent: scores beyond them count as these, so that log odds stay finite
Curve = list[tuple[str, Sample]]  # models by size, with their gain
Gains = tuple[list[float], np.ndarray | None]  # of models; replicates [replicates, models]
Named = Iterable[tuple[str, Interval, int]]
Lines = Mapping[tuple[str, str], Curve]  # (arm, recipe) -> curve


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return the slope of the gain over the logarithm of the parameters, per arm and recipe."""
    curves = {t: _curves(samples, facts, t) for t in columns(samples.results, ZERO_SHOT)}
    first = next(iter(curves.values()))
    lines = {key: curve for key, curve in first.items() if np.ptp(_centred(facts, curve)) > 0}
    if not lines:
        wanted = "two model sizes of one family with the same recipe and seed"
        return nothing_yet(samples, wanted)
    slopes = _slopes(samples, facts, lines)
    fixed = {key: _fixed(facts, curve) for key, curve in lines.items()}
    estimates = [
        *slopes,
        *judged(_by_family(samples, facts, lines), UNIT),
        *judged_samples(
            (
                (f"Slope of the gain, {_name(samples, key)}, for these models", slope)
                for key, slope in fixed.items()
            ),
            UNIT,
        ),
        *judged(_between_arms(samples, facts, lines), UNIT),
    ]
    pairs = zip(lines.items(), slopes[: len(lines)], slopes[len(lines) :], strict=True)
    sentences = [_finding(samples, facts, *line, *both) for line, *both in pairs]
    return Outcome(
        "\n".join(sentences),
        _caveats(samples, facts, lines),
        estimates,
        {"answer": lambda: _figure(samples, facts, curves)},
        {"sizes": _table(samples, facts, curves)},
        _power(samples, facts, lines),
    )


def _caveats(samples: Samples, facts: Facts, lines: Lines) -> list[str]:
    caveats = [
        *shared_caveats(samples),
        f"Slopes are fitted over {count(max(map(len, lines.values())), 'model')}, which differ "
        "in more than size: a common slope within families of models, each with its own mean gain. "
        "Verdicts treat the models as a sample of all models. Slopes for these models have CIs "
        "over seeds and examples only.",
        "Scores near 100 % leave less to gain, which can make gains in points shrink with size. "
        "An effect of size counts as significant if it is so in points and in log odds.",
    ]
    if facts.gpu_hours:
        caveats.append(
            "Hours are training time over all targets and seeds: GPU hours, or machine hours for a "
            "model without a GPU. Steps that runs share are counted for each run."
        )
    unknown = [m for m in samples.context.models if m not in facts.parameters]
    if unknown:
        caveats.append(f"{listed(unknown)}: not shown, because `parameters` is not stated.")
    return caveats


def _power(samples: Samples, facts: Facts, lines: Lines) -> str:
    """Return the smallest slope that is found over models, as verdicts are, and for these alone."""
    tests, name = len(lines), "slope for these models"
    fixed = power(samples, [_fixed(facts, curve) for curve in lines.values()], name, UNIT, tests)
    slopes = [_random(facts, curve) for curve in lines.values()]
    known = sorted((x for x in slopes if x.error > 0), key=lambda x: x.error)
    if not known:
        return fixed
    typical = known[len(known) // 2]
    least = detectable(typical.error, typical.freedom, tests, typical.known)
    models = max(map(len, lines.values()))
    return (
        f"With {count(models, 'model')}, four of five studies find a slope of {signed(least)} "
        f"{UNIT}; more seeds help little if models differ. {fixed}"
    )


def _curves(samples: Samples, facts: Facts, target: str) -> Mapping[tuple[str, str], Curve]:
    """Return (arm, recipe) -> its models by size, with their gain on a target."""
    curves: dict[tuple[str, str], Curve] = {}
    known = [m for m in samples.context.models if m in facts.parameters]
    for model in sorted(known, key=facts.parameters.__getitem__):
        for recipe in trained(samples, model):
            gain = samples.gain(model, recipe, target)
            if gain.seeds:
                arm = model.partition(ARM)[2]
                curves.setdefault((arm, recipe), []).append((model, gain))
    return curves


def _sizes(facts: Facts, curve: Curve) -> tuple[list[float], list[str]]:
    """Return the log10 of the parameters of a curve's models, and their families."""
    x = [float(np.log10(facts.parameters[model])) for model, _ in curve]
    return x, [facts.families.get(model, "") for model, _ in curve]


def _centred(facts: Facts, curve: Curve) -> np.ndarray:
    return within(*_sizes(facts, curve))


def _fixed(facts: Facts, curve: Curve) -> Sample:
    """Return the common slope for these models, over seeds and examples."""
    return combine([gain for _, gain in curve], slope_weights(*_sizes(facts, curve)))


def _random(facts: Facts, curve: Curve, gains: Gains | None = None) -> Interval:
    """Return the common slope over models and test examples; no p if a model has one seed.

    All models are tested on the same examples, so their error is added to that of the residuals.
    """
    values, drawn = gains or _points(curve)
    x, families = _sizes(facts, curve)
    line = line_interval(x, values, families)
    if drawn is not None and line.error >= 0:
        examples = float((drawn @ slope_weights(x, families)).var(ddof=1))
        error = float(np.hypot(line.error, np.sqrt(examples)))
        line = t_interval(line.value, error, line.freedom, examples)
    return line if all(gain.seeds > 1 for _, gain in curve) else replace(line, p=np.nan)


def _points(curve: Curve) -> Gains:
    """Return the models' gains in points."""
    samples = [gain for _, gain in curve]
    if any(gain.examples is None for gain in samples):
        return [gain.mean for gain in samples], None
    drawn = [np.nanmean(gain.examples, axis=1) for gain in samples]
    return [gain.mean for gain in samples], np.stack(drawn, axis=1)


def _odds(samples: Samples, recipe: str, curve: Curve) -> Gains:
    """Return the models' gains in log odds, each the mean over targets."""

    def odds(percent: float | np.ndarray) -> np.ndarray:
        share = np.clip(percent, *ENDS) / 100
        return np.log(share / (1 - share))

    targets = samples.targets
    pairs = [
        [(samples.score(m, recipe, t), samples.score(m, BASELINE, t)) for t in targets]
        for m, _ in curve
    ]
    values = [float(np.mean([odds(a.mean) - odds(b.mean) for a, b in row])) for row in pairs]
    if any(sample.examples is None for row in pairs for pair in row for sample in pair):
        return values, None
    drawn = [
        [odds(np.nanmean(a.examples, 1)) - odds(np.nanmean(b.examples, 1)) for a, b in row]
        for row in pairs
    ]
    return values, np.mean(drawn, axis=1).T


def _slopes(samples: Samples, facts: Facts, lines: Lines) -> list[Estimate]:
    """Return the slopes that the verdict is about, in points and then in log odds."""
    names = {key: f"Slope of the gain, {_name(samples, key)}" for key in lines}
    points = [(names[key], _random(facts, curve), len(curve)) for key, curve in lines.items()]
    odds = [
        (
            f"{names[key]}, log odds",
            _random(facts, curve, _odds(samples, key[1], curve)),
            len(curve),
        )
        for key, curve in lines.items()
    ]
    return [*judged(points, UNIT), *judged(odds, ODDS)]


def _by_family(samples: Samples, facts: Facts, lines: Lines) -> Named:
    """Yield the slope of each family of models, if there are several."""
    for key, curve in lines.items():
        families = list(dict.fromkeys(_sizes(facts, curve)[1]))
        for name in families if len(families) > 1 else ():
            own = [(m, gain) for m, gain in curve if facts.families.get(m, "") == name]
            if np.ptp(_sizes(facts, own)[0]) > 0:
                label = f"Slope of the gain, {_name(samples, key)}, {name} alone"
                yield label, _random(facts, own), len(own)


def _name(samples: Samples, key: tuple[str, str]) -> str:
    arm, recipe = key
    label = samples.label(recipe)
    return f"{label}, {_arm(samples, arm)}" if arm else label


def _arm(samples: Samples, arm: str) -> str:
    return samples.label(ARM + arm).removeprefix(ARM)


def _finding(
    samples: Samples,
    facts: Facts,
    key: tuple[str, str],
    curve: Curve,
    slope: Estimate,
    odds: Estimate,
) -> str:
    extremes = listed(
        [
            f"{signed(gain.mean, '+')} for {samples.label(model)}"
            for model, gain in (curve[0], curve[-1])
        ]
    )
    families = len(set(_sizes(facts, curve)[1]))
    n = count(slope.n, "model") + (f" of {families} families" if families > 1 else "")
    name = _name(samples, key)
    return (
        f"{name}: {_verdict(slope, odds)}.\n"
        f"{name}: {with_ci(slope, UNIT, n)}; {with_ci(odds, ODDS)}. The gain is {extremes}."
    )


def _verdict(slope: Estimate, odds: Estimate) -> str:
    of = "model size on the gain"
    if slope.significant and not odds.significant:
        return f"no significant effect of {of} beyond headroom, as it is significant only in points"
    return effect(slope, of)


def _between_arms(samples: Samples, facts: Facts, lines: Lines) -> Named:
    """Yield the difference between two arms' slopes, per recipe, over models in both arms."""
    arms = list(dict.fromkeys(arm for arm, _ in lines))
    for recipe in dict.fromkeys(recipe for _, recipe in lines):
        own = [arm for arm in arms if (arm, recipe) in lines]
        first = {m.partition(ARM)[0]: gain for m, gain in lines[own[0], recipe]}
        for arm in own[1:]:
            curve = [
                (m, gain - first[base])
                for m, gain in lines[arm, recipe]
                if (base := m.partition(ARM)[0]) in first
            ]
            if len(curve) > 1 and np.ptp(_centred(facts, curve)) > 0:
                name = f"Slope of {_name(samples, (arm, recipe))}, minus that of "
                yield name + _arm(samples, own[0]), _random(facts, curve), len(curve)


def _table(
    samples: Samples, facts: Facts, curves: Mapping[str, Mapping[tuple[str, str], Curve]]
) -> pd.DataFrame:
    """Return the gain on each target by model and recipe, with sizes and hours of training."""
    rows = [
        {
            "model": model,
            "recipe": recipe,
            "target": target,
            "parameters": facts.parameters[model],
            **ends(samples.intervals[model, recipe, target, ZERO_SHOT]),
            "seeds": gain.seeds,
            "hours": facts.gpu_hours.get((model, recipe), np.nan),
        }
        for target, by_recipe in curves.items()
        for (_, recipe), curve in by_recipe.items()
        for model, gain in curve
    ]
    return pd.DataFrame(rows)


def _figure(samples: Samples, facts: Facts, curves: Mapping[str, Mapping]) -> Drawing:
    context = samples.context
    panels, several = [], len(set(facts.families.values())) > 1

    def name(model: str, recipe: str) -> str:
        family = f", {facts.families.get(model, '')}" if several else ""
        return _name(samples, (model.partition(ARM)[2], recipe)) + family

    for target, by_recipe in curves.items():
        series: dict[str, list[tuple[float, Interval]]] = {}
        for (_, recipe), curve in by_recipe.items():
            for m, _ in curve:
                gain = samples.intervals[m, recipe, target, ZERO_SHOT]
                series.setdefault(name(m, recipe), []).append((facts.parameters[m], gain))
        panels.append(
            Panel("Mean over targets" if target == MEAN else samples.label(target), (), series)
        )
    sizes = sorted({facts.parameters[m] for m in context.models if m in facts.parameters})
    caption = f"Zero-shot gain by the number of weights of the model. {bars(samples)} {FILLED}"
    labels = ("weights of the model", "zero-shot gain (points)")
    return along(caption, panels, labels, {size: _short(size) for size in sizes})


def _short(count: int) -> str:
    """Return a number of weights in three digits, such as `270M`."""
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return str(count)
