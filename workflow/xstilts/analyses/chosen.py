"""The recipe that validation data choose for each target, and its gain without optimism."""

from collections.abc import Iterable

import numpy as np

from xstilts.analyses import Facts, interval_columns, judged_samples
from xstilts.analyses.answer import Estimate
from xstilts.results.samples import Samples
from xstilts.results.scores import BASELINE
from xstilts.results.statistics import Interval, Sample, mean
from xstilts.units import count


def cross_fitted(
    samples: Samples, facts: Facts, model: str, recipes: list[str]
) -> dict[str, Sample]:
    """Return target -> gain of the recipe chosen by validation, without the choice's optimism.

    Validation and test scores of one training are correlated. So each seed is tested with the
    recipe that has the best mean validation score over the other seeds.
    """
    fitted, names = {}, [BASELINE, *recipes]
    for target in samples.targets:
        table = _validation(samples, facts, model, names, target)
        scores = [samples.score(model, r, target) for r in names]
        others = [np.delete(table, seed, axis=1) for seed in range(table.shape[1])]
        if len(others) < 2 or any(np.isnan(part).all(axis=1).any() for part in others):
            continue
        best = [int(np.nanmean(part, axis=1).argmax()) for part in others]
        points = np.array([scores[r].by_seed[seed] for seed, r in enumerate(best)])
        drawn = None
        if all(score.examples is not None for score in scores):
            drawn = np.stack([scores[r].examples[:, s] for s, r in enumerate(best)], axis=1)
        # of a recipe, as the baseline's are scaled to the mean of its runs for a seed
        rows = scores[-1].runs[model, names[-1]]
        chosen = Sample(points, drawn, {(model, "chosen"): np.vstack([points, rows])})
        if (chosen - scores[0]).seeds > 1:
            fitted[target] = chosen - scores[0]
    return fitted


def _validation(
    samples: Samples, facts: Facts, model: str, names: list[str], target: str
) -> np.ndarray:
    """Return the validation scores [recipes, seeds] on a target; NaN if missing."""
    nothing = [np.nan] * len(samples.seeds)
    return np.array([facts.validation.get((model, r, target), nothing) for r in names], float)


def choices(
    samples: Samples, facts: Facts, model: str, recipes: list[str], fitted: dict[str, Sample]
) -> Iterable[dict]:
    """Yield for each target the recipe with the best validation score, and the choice's gain."""
    names = [BASELINE, *recipes]
    for target in samples.targets:
        table = _validation(samples, facts, model, names, target)
        if np.isnan(table).all(axis=1).any():
            continue
        means = np.nanmean(table, axis=1)
        gain = fitted.get(target)
        yield {
            "model": model,
            "target": target,
            "recipe": names[int(means.argmax())],
            "validation": float(means.max()),
            "validation_baseline": float(means[0]),
            **interval_columns(gain.interval if gain else Interval(np.nan)),
            "seeds": gain.seeds if gain else 0,
        }


def averages(samples: Samples, fitted: dict[str, dict[str, Sample]]) -> list[Estimate]:
    """Return the mean gain of the choices of each model, over the targets that have one."""
    label = samples.label
    means = {m: mean([*gains.values()]) for m, gains in fitted.items() if gains}
    return judged_samples(
        (
            f"{label(m) + ': b' if len(means) > 1 else 'B'}est recipe by validation, mean of "
            f"{count(len(fitted[m]), 'target')}",
            total,
        )
        for m, total in means.items()
        if total.seeds > 1
    )
