"""Published claims about gains: reproduced, contradicted or undecided by a study.

A claim is reproduced if its comparison holds significantly, and contradicted if the opposite does.
p is corrected over all claims and models of the study (Holm 1979). "Each other" is an
intersection-union test (Berger 1982): the claim is reproduced if every comparison holds, without a
correction among them, and contradicted if one of them fails after Bonferroni's correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from xstilts.analyses import Facts
from xstilts.config import claims
from xstilts.config.claims import Claim, Gain
from xstilts.recipe import Recipe
from xstilts.results.samples import Samples
from xstilts.results.scores import AVERAGES, BASELINE
from xstilts.results.statistics import ALPHA, Interval, Sample, holm, mean

REPRODUCED, CONTRADICTED, UNDECIDED = "reproduced", "contradicted", "undecided"


@dataclass(frozen=True)
class Check:
    """A claim for one model: how far it holds, in points beyond its margin."""

    claim: Claim
    model: str
    differences: Sequence[Sample]  # positive where the claim holds; several for `each other`

    @property
    def closest(self) -> Sample:
        """The difference that decides: the smallest one."""
        return min(self.differences, key=lambda difference: difference.mean)

    @cached_property
    def p(self) -> tuple[float, float]:
        """One-sided p of "the claim does not hold" and of "it holds"; NaN if unknown."""
        sides = np.array([_one_sided(difference.interval) for difference in self.differences])
        fails = np.nan if np.isnan(sides).all() else len(sides) * np.nanmin(sides[:, 1])
        return float(sides[:, 0].max()), float(np.minimum(1, fails))

    @property
    def two_sided(self) -> float:
        """Two-sided p of the claim; NaN if unknown."""
        return float(np.minimum(1, 2 * np.nanmin(self.p))) if not np.isnan(self.p).all() else np.nan

    def verdict(self, corrected: float) -> str:
        """Return the verdict, from the two-sided p after Holm's correction."""
        if not corrected < ALPHA:
            return UNDECIDED
        holds, fails = self.p
        return CONTRADICTED if np.isnan(holds) or fails < holds else REPRODUCED


def check(samples: Samples, facts: Facts) -> list[Check]:
    """Return the checks of all claims of the study, for each of its models."""
    models = samples.results.context.models
    return [
        Check(claim, model, _differences(samples, facts.recipes, model, claim))
        for claim, model in product(facts.claims, models)
    ]


def table(checks: Sequence[Check], samples: Samples) -> pd.DataFrame:
    """Return one row per claim and model: verdict, estimate with its interval, what decides it."""
    corrected = holm([check.two_sided for check in checks])
    rows = []
    for check, p in zip(checks, corrected, strict=True):
        margin = check.claim.comparison.margin
        rows.append()
    return pd.DataFrame(rows)


def _differences(
    samples: Samples, recipes: dict[str, Recipe], model: str, claim: Claim
) -> list[Sample]:
    """Return left minus right minus margin, with the sign that makes a holding claim positive."""
    comparison = claim.comparison
    left, sign = comparison.left, 1 if comparison.above else -1
    base = _gain(samples, recipes, model, left) + _constant(samples, -comparison.margin)
    rights = _rights(samples, recipes, comparison)
    return [(base - _gain(samples, recipes, model, right)) * sign for right in rights] or [
        base * sign
    ]
