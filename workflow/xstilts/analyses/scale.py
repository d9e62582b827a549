"""scale: does the gain grow with the model?"""

from collections.abc import Mapping

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
from xstilts.analyses.plots import Panel, along
from xstilts.config.schema import ARM
from xstilts.results.samples import ZERO_SHOT, Samples
from xstilts.results.scores import MEAN
from xstilts.results.statistics import Sample, combine, line_interval, slope_weights
from xstilts.results.tables import signed

UNIT = "points per tenfold size"
Curve = list[tuple[str, Sample]]  # models by size, with their gain


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return the slope of the gain over the logarithm of the parameters, per arm and recipe."""
    targets = samples.results.targets(ZERO_SHOT)
    shown = [MEAN, *targets] if len(targets) > 1 else targets
    curves = {target: _curves(samples, facts, target) for target in shown}
    lines = {
        key: curve
        for key, curve in curves[shown[0]].items()
        if len({facts.parameters[model] for model, _ in curve}) > 1
    }
    slopes = {key: _slope(curve, facts) for key, curve in lines.items()}
    slopes = {key: slope for key, slope in slopes.items() if slope.seeds}
    if not slopes:
        return nothing_yet("scale", samples, facts, "two model sizes with the same recipe and seed")
    estimates = with_holm(
        [
            estimate(f"Slope of the gain, {_name(samples, key)}", s.interval, s.seeds, UNIT)
            for key, s in slopes.items()
        ]
    )
    sentences = [
        _finding(samples, key, slope, lines[key])
        for key, slope in zip(slopes, estimates, strict=True)
    ]
    estimates += _over_models(samples, facts, lines)
    estimates += with_holm(_between_arms(samples, slopes))
    caveats = [
        *shared_caveats(samples),
        f"Slopes are fitted over {counted(max(map(len, lines.values())), 'model')}, which differ "
        "in more than size. Their CIs reflect seeds and examples for these models. CIs with models "
        "random treat the models as a sample of all models.",
    ]
    if facts.gpu_hours:
        caveats.append(
            "Hours are training time over all targets and seeds: GPU hours, or machine hours for a "
            "model without a GPU. Steps that runs share are counted for each run."
        )
    unknown = [m for m in samples.results.context.models if m not in facts.parameters]
    if unknown:
        caveats.append(f"{listed(unknown)}: not shown, because `parameters` is not stated.")
    figures = {"answer": lambda results: _figure(samples, facts, curves)}
    return outcome(
        "scale",
        facts,
        "\n".join(sentences),
        caveats,
        estimates,
        figures,
        {"sizes": _table(samples, facts, curves)},
    )


def _curves(samples: Samples, facts: Facts, target: str) -> Mapping[tuple[str, str], Curve]:
    """Return (arm, recipe) -> its models by size, with their gain on a target."""
    curves: dict[tuple[str, str], Curve] = {}
    known = [m for m in samples.results.context.models if m in facts.parameters]
    for model in sorted(known, key=facts.parameters.__getitem__):
        for recipe in trained(samples, model):
            gain = samples.gain(model, recipe, target)
            if gain.seeds:
                arm = model.partition(ARM)[2]
                curves.setdefault((arm, recipe), []).append((model, gain))
    return curves


def _slope(curve: Curve, facts: Facts) -> Sample:
    x = [np.log10(facts.parameters[model]) for model, _ in curve]
    return combine([gain for _, gain in curve], slope_weights(x))


def _over_models(
    samples: Samples, facts: Facts, lines: Mapping[tuple[str, str], Curve]
) -> list[Estimate]:
    """Return the same slopes with the CI from the residuals of the line."""
    estimates = []
    for key, curve in lines.items():
        x = [np.log10(facts.parameters[model]) for model, _ in curve]
        line = line_interval(x, [gain.mean for _, gain in curve])
        label = f"Slope of the gain, {_name(samples, key)}, models random"
        estimates.append(estimate(label, line, len(curve), UNIT))
    return with_holm(estimates)


def _name(samples: Samples, key: tuple[str, str]) -> str:
    arm, recipe = key
    label = samples.results.context.label(recipe)
    return f"{label}, {_arm(samples, arm)}" if arm else label


def _arm(samples: Samples, arm: str) -> str:
    return samples.results.context.label(ARM + arm).removeprefix(ARM)


def _finding(samples: Samples, key: tuple[str, str], slope: Estimate, curve: Curve) -> str:
    gains = listed(
        [
            f"{signed(gain.mean, '+')} for {samples.results.context.label(model)}"
            for model, gain in (curve[0], curve[-1])
        ]
    )
    verdict = "significant effect" if is_significant(slope) else "no significant effect"
    trend = with_ci(slope, UNIT, counted(slope.n, "seed"))
    return f"{_name(samples, key)}: {verdict} of model size on the gain: {trend}; it is {gains}."


def _between_arms(samples: Samples, slopes: Mapping[tuple[str, str], Sample]) -> list[Estimate]:
    """Return the difference between two arms' slopes, per recipe."""
    estimates = []
    arms = list(dict.fromkeys(arm for arm, _ in slopes))
    for recipe in dict.fromkeys(recipe for _, recipe in slopes):
        own = [arm for arm in arms if (arm, recipe) in slopes]
        for arm in own[1:]:
            difference = slopes[arm, recipe] - slopes[own[0], recipe]
            first = _arm(samples, own[0])
            label = f"Slope of {_name(samples, (arm, recipe))}, minus that of {first}"
            estimates.append(estimate(label, difference.interval, difference.seeds, UNIT))
    return estimates


def _table(
    samples: Samples, facts: Facts, curves: Mapping[str, Mapping[tuple[str, str], Curve]]
) -> pd.DataFrame:
    rows = [
        {
            "model": model,
            "recipe": recipe,
            "target": target,
            "parameters": facts.parameters[model],
            "gain": gain.interval.value,
            "low": gain.interval.low,
            "high": gain.interval.high,
            "seeds": gain.seeds,
            "hours": facts.gpu_hours.get((model, recipe), np.nan),
        }
        for target, by_recipe in curves.items()
        for (_, recipe), curve in by_recipe.items()
        for model, gain in curve
    ]
    return pd.DataFrame(rows)


def _figure(samples: Samples, facts: Facts, curves: Mapping[str, Mapping]):
    context = samples.results.context
    panels = []
    for target, by_recipe in curves.items():
        series = {
            _name(samples, key): [(facts.parameters[m], gain.interval) for m, gain in curve]
            for key, curve in by_recipe.items()
        }
        panels.append(
            Panel("Mean over targets" if target == MEAN else context.label(target), (), series)
        )
    sizes = sorted({facts.parameters[m] for m in context.models if m in facts.parameters})
    notes = {}
    for (model, recipe), hours in facts.gpu_hours.items():
        if model in facts.parameters:
            series = _name(samples, (model.partition(ARM)[2], recipe))
            notes[series, facts.parameters[model]] = f"{hours:.2g} h"
    hours = " Next to the points: hours of training." if notes else ""
    subtitle = bars(samples) + hours
    labels = ("model parameters", "zero-shot gain (points)")
    ticks = {size: _short(size) for size in sizes}
    return along("Gain by model size", subtitle, panels, labels, ticks, notes)


def _short(count: int) -> str:
    """`270M`."""
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return str(count)
