"""Published claims about gains: reproduced, contradicted or undecided by a study.

All claims of a study are one family of estimates (`results.verdicts`): a claim is reproduced if the
simultaneous interval of its difference is above its margin, and contradicted if it is below.

A claim with `each other` is an intersection-union test (Berger 1982). Its difference is the one
least in favour of the claim. It counts as one test where it supports the claim, and as many as
there are others where it opposes it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from xstilts.analyses import Facts, Outcome, finite, seeds_needed, trained
from xstilts.analyses.answer import Verdict
from xstilts.analyses.chosen import cross_fitted
from xstilts.config import claims
from xstilts.config.claims import Claim, Gain
from xstilts.grid.artefacts import Cell
from xstilts.results.samples import Samples
from xstilts.results.scores import AVERAGES, BASELINE
from xstilts.results.statistics import ALPHA, Interval, Sample, mean, t_interval
from xstilts.results.verdicts import family
from xstilts.units import count

REPRODUCED, CONTRADICTED, UNDECIDED = "reproduced", "contradicted", "undecided"


@dataclass(frozen=True)
class Difference:
    """Difference that decides a claim for a model: left minus right, and beyond the margin."""

    claim: Claim
    model: str
    sample: Sample
    beyond: Interval  # positive where the claim holds
    others: int  # comparisons of `each other`, of which this is the least favourable
    missing: int  # runs without a score


def add(outcome: Outcome, samples: Samples, facts: Facts) -> Outcome:
    """Return an outcome with the verdicts on the study's claims: sentence, list and table."""
    verdicts = check(samples, facts)
    table = pd.DataFrame([verdict.model_dump() for verdict in verdicts])
    return replace(
        outcome,
        finding=f"{outcome.finding}\n{_count(verdicts)}",
        claims=verdicts,
        tables={**outcome.tables, "claims": table},
    )


def check(samples: Samples, facts: Facts) -> list[Verdict]:
    """Return the verdict on each claim for each model."""
    models = samples.context.models
    found = [_difference(samples, facts, *pair) for pair in product(facts.claims, models)]
    judged = family([difference.beyond for difference in found])
    return [_judge(samples, *pair, len(found)) for pair in zip(found, judged, strict=True)]


def _count(verdicts: Sequence[Verdict]) -> str:
    """Return the sentence that counts the verdicts."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    shares = [f"{counts[name]} {name}" for name in (REPRODUCED, CONTRADICTED, UNDECIDED)]
    return f"Of {count(len(verdicts), 'claim')}: {', '.join(shares)}."


def _judge(samples: Samples, found: Difference, judged: Interval, tests: int) -> Verdict:
    """Return the verdict on a claim, from its interval in the family of all claims."""
    claim, sign = found.claim, 1 if found.claim.comparison.above else -1
    low, high = sorted(sign * end + claim.comparison.margin for end in (judged.low, judged.high))
    verdict = _verdict(judged, found.others)
    return Verdict(
        claim=claim.says,
        source=claim.source,
        model=samples.label(found.model),
        verdict=verdict,
        holds_if=claim.holds_if,
        difference=finite(found.sample.mean),
        low=finite(low),
        high=finite(high),
        reported=claim.reported,
        seeds=found.sample.seeds,
        missing=found.missing,
        to_decide=_to_decide(found, judged, tests) if verdict == UNDECIDED else "",
        note=claim.note,
    )


def _verdict(judged: Interval, others: int) -> str:
    if judged.significant and judged.value > 0:
        return REPRODUCED
    if judged.value < 0 and others * judged.p_adjusted < ALPHA:
        return CONTRADICTED
    return UNDECIDED


def _to_decide(found: Difference, judged: Interval, tests: int) -> str:
    """Return what an undecided claim waits for: runs, a second seed, or how many seeds."""
    if found.missing:
        return f"{count(found.missing, 'run')} without a score"
    if np.isnan(judged.p):
        return "two seeds or more"
    needed = seeds_needed(found.sample.error, found.sample.seeds, tests, abs(judged.value))
    return f"{needed}, if the difference is as estimated"


def _difference(samples: Samples, facts: Facts, claim: Claim, model: str) -> Difference:
    """Return the difference of a claim; of several, the one least in favour of it."""
    comparison = claim.comparison
    left, rights = comparison.left, _rights(samples, facts, claim)
    base = _gain(samples, facts, model, left)
    differences = [base - _gain(samples, facts, model, right) for right in rights] or [base]
    beyond = [_beyond(difference, comparison) for difference in differences]
    least = min(range(len(beyond)), key=lambda n: _favour(beyond[n]))
    needed = {c for gain in (left, *rights) for c in _cells(samples, facts, model, gain)}
    missing = len(needed - samples.results.scores.keys())
    return Difference(claim, model, differences[least], beyond[least], len(beyond), missing)


def _beyond(difference: Sample, comparison: claims.Comparison) -> Interval:
    """Return the interval of a difference beyond its margin, in the direction of the claim."""
    interval, sign = difference.interval, 1 if comparison.above else -1
    value = sign * (interval.value - comparison.margin)
    moved = t_interval(value, interval.error, interval.freedom, interval.known)
    return moved if difference.seeds > 1 else replace(moved, p=np.nan)


def _favour(beyond: Interval) -> float:
    """How far an interval supports a claim: its t; first what is unknown."""
    return -np.inf if np.isnan(beyond.value) else beyond.value / (beyond.error or 1)


def _rights(samples: Samples, facts: Facts, claim: Claim) -> list[Gain]:
    """Return the gains on the right side, one for each recipe or target of `each other`."""
    left, right = claim.comparison.left, claim.comparison.right
    if right is None:
        return []
    if right.recipes == claims.EACH_OTHER:
        named = _recipes(samples, facts, left)
        return [
            replace(right, recipes=(name,))
            for name in _recipes(samples, facts, replace(left, recipes=claims.ALL))
            if name not in named
        ]
    if right.targets == claims.EACH_OTHER:
        targets = samples.context.targets
        return [replace(right, targets=(name,)) for name in targets if name not in left.targets]
    return [right]


def _recipes(samples: Samples, facts: Facts, gain: Gain) -> list[str]:
    """Return the study's names of a gain's recipes."""
    if gain.recipes == claims.ALL:
        return [name for name in samples.context.recipes if name != BASELINE]
    return [claims.recipe_called(name, facts.recipes) for name in gain.recipes]


def _targets(samples: Samples, gain: Gain) -> list[str]:
    """Return a gain's targets; `all` means those that have one of its languages."""
    if gain.targets != claims.ALL:
        return list(gain.targets)
    known = samples.results.languages
    return [
        target
        for target in samples.context.targets
        if any(x in AVERAGES or x in known(target) for x in gain.languages)
    ]


def _gain(samples: Samples, facts: Facts, model: str, gain: Gain) -> Sample:
    """Return a gain, averaged over languages, targets and recipes."""
    targets = _targets(samples, gain)
    if gain.recipes == (claims.BEST,):
        fitted = cross_fitted(samples, facts, model, trained(samples, model))
        parts = [fitted[target] for target in targets if target in fitted]
    else:
        pairs = product(_recipes(samples, facts, gain), targets)
        parts = [_on(samples, model, recipe, target, gain.languages) for recipe, target in pairs]
    return mean(parts) if parts else Sample(np.full(len(samples.seeds), np.nan), None)


def _on(samples: Samples, model: str, recipe: str, target: str, languages: Sequence[str]) -> Sample:
    """Return a recipe's gain on a target, averaged over those of the languages that it has."""
    known = samples.results.languages(target)
    return mean(
        [samples.gain(model, recipe, target, x) for x in languages if x in AVERAGES or x in known]
    )


def _cells(samples: Samples, facts: Facts, model: str, gain: Gain) -> list[Cell]:
    """Return the runs that a gain needs, all those of the baseline included."""
    context, recipes = samples.context, _recipes(samples, facts, gain)
    if claims.BEST in recipes:
        recipes = context.recipes
    return [
        Cell(model, recipe, target, seed)
        for recipe, target in product([BASELINE, *recipes], _targets(samples, gain))
        for seed in (context.all_seeds if recipe == BASELINE else context.seeds)
    ]
