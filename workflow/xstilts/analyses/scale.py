"""scale: does the gain grow with the model?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

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
Gains = tuple[list[float], np.ndarray | None]  # of models; replicates [replicates, models]
Named = Iterable[tuple[str, Interval, int]]


@dataclass(frozen=True)
class Curve:
    """Models by size, with their gain on a target."""

    facts: Facts
    gains: Mapping[str, Sample]  # by model

    @cached_property
    def sizes(self) -> list[float]:
        """The log10 of the models' parameters."""
        return [float(np.log10(self.facts.parameters[model])) for model in self.gains]

    @cached_property
    def families(self) -> list[str]:
        """The families of the models."""
        return [self.facts.families.get(model, "") for model in self.gains]

    @property
    def has_sizes(self) -> bool:
        """Whether the models of one family differ in size."""
        return np.ptp(within(self.sizes, self.families)) > 0

    @property
    def fixed(self) -> Sample:
        """The common slope for these models, over seeds and examples."""
        return combine([*self.gains.values()], slope_weights(self.sizes, self.families))

    def random(self, gains: Gains | None = None) -> Interval:
        """Return the common slope over models and test examples; no p if a model has one seed.

        All models are tested on the same examples, so their error is added to that of the
        residuals. The gains are those in points by default.
        """
        values, drawn = gains or self._points()
        line = line_interval(self.sizes, values, self.families)
        if drawn is not None and line.error >= 0:
            examples = float((drawn @ slope_weights(self.sizes, self.families)).var(ddof=1))
            error = float(np.hypot(line.error, np.sqrt(examples)))
            line = t_interval(line.value, error, line.freedom, examples)
        return line if all(x.seeds > 1 for x in self.gains.values()) else replace(line, p=np.nan)

    def _points(self) -> Gains:
        """Return the models' gains in points."""
        gains = self.gains.values()
        means = [gain.mean for gain in gains]
        if any(gain.examples is None for gain in gains):
            return means, None
        return means, np.stack([np.nanmean(gain.examples, axis=1) for gain in gains], axis=1)


Curves = Mapping[tuple[str, str], Curve]  # by arm and recipe


def answer(samples: Samples, facts: Facts) -> Outcome:
    """Return the slope of the gain over the logarithm of the parameters, per arm and recipe."""
    curves = {t: _curves(samples, facts, t) for t in columns(samples.results, ZERO_SHOT)}
    first = next(iter(curves.values()))
    lines = {key: curve for key, curve in first.items() if curve.has_sizes}
    if not lines:
        wanted = "two model sizes of one family with the same recipe and seed"
        return nothing_yet(samples, wanted)
    slopes = _slopes(samples, lines)
    estimates = [
        *slopes,
        *judged(_by_family(samples, lines), UNIT),
        *judged_samples(
            (
                (f"Slope of the gain, {_name(samples, key)}, for these models", curve.fixed)
                for key, curve in lines.items()
            ),
            UNIT,
        ),
        *judged(_between_arms(samples, facts, lines), UNIT),
    ]
    pairs = zip(lines.items(), slopes[: len(lines)], slopes[len(lines) :], strict=True)
    sentences = [_finding(samples, *line, *both) for line, *both in pairs]
    return Outcome(
        "\n".join(sentences),
        _caveats(samples, facts, lines),
        estimates,
        {"answer": lambda: _figure(samples, facts, curves)},
        {"sizes": _table(samples, facts, curves)},
        _power(samples, lines),
    )


def _caveats(samples: Samples, facts: Facts, lines: Curves) -> list[str]:
    caveats = [
        *shared_caveats(samples),
        f"Slopes are fitted over {count(_most(lines), 'model')}, which differ "
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


def _most(lines: Curves) -> int:
    return max(len(curve.gains) for curve in lines.values())


def _power(samples: Samples, lines: Curves) -> str:
    """Return the smallest slope that is found over models, as verdicts are, and for these alone."""
    tests, name = len(lines), "slope for these models"
    fixed = power(samples, [curve.fixed for curve in lines.values()], name, UNIT, tests)
    slopes = [curve.random() for curve in lines.values()]
    known = sorted((x for x in slopes if x.error > 0), key=lambda x: x.error)
    if not known:
        return fixed
    typical = known[len(known) // 2]
    least = detectable(typical.error, typical.freedom, tests, typical.known)
    return (
        f"With {count(_most(lines), 'model')}, four of five studies find a slope of "
        f"{signed(least)} {UNIT}; more seeds help little if models differ. {fixed}"
    )


def _curves(samples: Samples, facts: Facts, target: str) -> Curves:
    """Return the models by size, with their gain on a target, by arm and recipe."""
    gains: dict[tuple[str, str], dict[str, Sample]] = defaultdict(dict)
    known = [m for m in samples.context.models if m in facts.parameters]
    for model in sorted(known, key=facts.parameters.__getitem__):
        for recipe in trained(samples, model):
            gain = samples.gain(model, recipe, target)
            if gain.seeds:
                gains[model.partition(ARM)[2], recipe][model] = gain
    return {key: Curve(facts, own) for key, own in gains.items()}


def _odds(samples: Samples, recipe: str, curve: Curve) -> Gains:
    """Return the models' gains in log odds, each the mean over targets."""

    def odds(percent: float | np.ndarray) -> np.ndarray:
        share = np.clip(percent, *ENDS) / 100
        return np.log(share / (1 - share))

    targets = samples.targets
    pairs = [
        [(samples.score(m, recipe, t), samples.score(m, BASELINE, t)) for t in targets]
        for m in curve.gains
    ]
    values = [float(np.mean([odds(a.mean) - odds(b.mean) for a, b in row])) for row in pairs]
    if any(sample.examples is None for row in pairs for pair in row for sample in pair):
        return values, None
    drawn = [
        [odds(np.nanmean(a.examples, 1)) - odds(np.nanmean(b.examples, 1)) for a, b in row]
        for row in pairs
    ]
    return values, np.mean(drawn, axis=1).T


def _slopes(samples: Samples, lines: Curves) -> list[Estimate]:
    """Return the slopes that the verdict is about, in points and then in log odds."""
    names = {key: f"Slope of the gain, {_name(samples, key)}" for key in lines}
    points = [(names[key], curve.random(), len(curve.gains)) for key, curve in lines.items()]
    odds = [
        (
            f"{names[key]}, log odds",
            curve.random(_odds(samples, key[1], curve)),
            len(curve.gains),
        )
        for key, curve in lines.items()
    ]
    return [*judged(points, UNIT), *judged(odds, ODDS)]


def _by_family(samples: Samples, lines: Curves) -> Named:
    """Yield the slope of each family of models, if there are several."""
    for key, curve in lines.items():
        family = dict(zip(curve.gains, curve.families, strict=True))
        names = dict.fromkeys(curve.families)
        for name in names if len(names) > 1 else ():
            own = Curve(curve.facts, {m: x for m, x in curve.gains.items() if family[m] == name})
            if own.has_sizes:
                label = f"Slope of the gain, {_name(samples, key)}, {name} alone"
                yield label, own.random(), len(own.gains)


def _name(samples: Samples, key: tuple[str, str]) -> str:
    arm, recipe = key
    label = samples.label(recipe)
    return f"{label}, {_arm(samples, arm)}" if arm else label


def _arm(samples: Samples, arm: str) -> str:
    return samples.label(ARM + arm).removeprefix(ARM)


def _finding(
    samples: Samples, key: tuple[str, str], curve: Curve, slope: Estimate, odds: Estimate
) -> str:
    shown = [f"{signed(x.mean, '+')} for {samples.label(m)}" for m, x in curve.gains.items()]
    extremes = listed([shown[0], shown[-1]])
    families = len(set(curve.families))
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


def _between_arms(samples: Samples, facts: Facts, lines: Curves) -> Named:
    """Yield the difference between two arms' slopes, per recipe, over models in both arms."""
    for recipe in dict.fromkeys(recipe for _, recipe in lines):
        first, *others = (arm for arm, own in lines if own == recipe)
        base = {m.partition(ARM)[0]: gain for m, gain in lines[first, recipe].gains.items()}
        for arm in others:
            gains = {
                model: gain - base[name]
                for model, gain in lines[arm, recipe].gains.items()
                if (name := model.partition(ARM)[0]) in base
            }
            if len(gains) > 1 and (curve := Curve(facts, gains)).has_sizes:
                label = f"Slope of {_name(samples, (arm, recipe))}, minus that of "
                yield label + _arm(samples, first), curve.random(), len(gains)


def _table(samples: Samples, facts: Facts, curves: Mapping[str, Curves]) -> pd.DataFrame:
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
        for model, gain in curve.gains.items()
    ]
    return pd.DataFrame(rows)


def _figure(samples: Samples, facts: Facts, curves: Mapping[str, Curves]) -> Drawing:
    context = samples.context
    panels, several = [], len(set(facts.families.values())) > 1

    def name(model: str, recipe: str) -> str:
        family = f", {facts.families.get(model, '')}" if several else ""
        return _name(samples, (model.partition(ARM)[2], recipe)) + family

    for target, by_recipe in curves.items():
        series: dict[str, list[tuple[float, Interval]]] = {}
        for (_, recipe), curve in by_recipe.items():
            for m in curve.gains:
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
