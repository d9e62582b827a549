"""Simulated studies with a known truth, for tests of the analyses."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from tests.results.test_scores import score, write
from xstilts.grid.artefacts import Cell
from xstilts.results.samples import Samples
from xstilts.results.scores import Context, collect

LANGUAGES = ("en", "xa", "xb", "xc")


def simulate(
    folder: Path,
    truth: Callable[[Cell, str], float],
    *,
    models: Sequence[str] = ("xlmr",),
    recipes: Sequence[str] = ("none", "nli"),
    targets: Sequence[str] = ("qa",),
    seeds: Sequence[int] = (1, 2, 3),
    languages: Sequence[str] = LANGUAGES,
    n: int = 200,
    seed_sd: float = 0.5,
    random_seed: int = 0,
    degenerate: Callable[[Cell], bool] = lambda cell: False,
    subsets: dict | None = None,
    **context,
) -> Samples:
    """Return a study with `truth(cell, language)` percent right answers, with random noise.

    Noise is per seed and per example; all systems and languages share the difficulty of an example.
    """
    random = np.random.default_rng(random_seed)
    cells = [Cell(m, r, t, s) for m in models for r in recipes for t in targets for s in seeds]
    hardness = {target: random.normal(size=n) for target in targets}
    tables, scores = {}, []
    for cell in cells:
        shift = random.normal(0, seed_sd)
        parts, values = [], {}
        for language in languages:
            chance = np.clip((truth(cell, language) + shift) / 100, 0, 1)
            hard = np.sqrt(0.7) * hardness[cell.target] + np.sqrt(0.3) * random.normal(size=n)
            right = norm.cdf(hard) < chance
            ids = [str(i) for i in range(n)]
            parts.append(
                pd.DataFrame({"language": language, "id": ids, "top": right * 1.0, "bottom": 1.0})
            )
            values[language] = 100 * right.mean()
        tables[cell] = pd.concat(parts, ignore_index=True)
        scores.append(score(cell, values, metric="accuracy", degenerate=degenerate(cell)))
    folder.mkdir(exist_ok=True)
    results = collect(write(folder, *scores), Context("simulated", tuple(cells), **context))
    return Samples(results, tables.get, subsets or {})
