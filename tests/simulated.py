"""Simulated studies with a known truth, for tests of the analyses."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from tests.results.test_scores import score, write
from xstilts.grid.artefacts import Cell
from xstilts.results.samples import Samples
from xstilts.results.scores import CSV_COLUMNS, Context, Results, collect
from xstilts.results.statistics import Sample

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


def from_points(points: Mapping[Cell, float | Mapping[str, float]]) -> Samples:
    """Return a study from zero-shot scores alone: quick, with CIs over seeds only.

    The score of a cell is a number, or one number per language.
    """
    rows = []
    for c, value in points.items():
        languages = value if isinstance(value, Mapping) else {"xa": value}
        average = float(np.mean(list(languages.values())))
        averages = dict.fromkeys(("avg", "zero_shot"), average)
        for language, points_of in (languages | averages).items():
            row = (*(c.model, c.recipe, c.target, c.seed), language, "accuracy", points_of)
            rows.append((*row, 100, str(c)))
    frame = pd.DataFrame(rows, columns=CSV_COLUMNS)
    frame = frame.assign(headline=True, majority=np.nan, degenerate=False)
    targets = dict.fromkeys(cell.target for cell in points)
    context = Context("simulated", tuple(points))
    metrics, sources = dict.fromkeys(targets, "accuracy"), dict.fromkeys(targets, "en")
    return Samples(Results(context, frame, metrics, sources, (), {}), lambda cell: None)


def gains_of_runs(
    random: np.random.Generator,
    *,
    seeds: int,
    recipes: int = 5,
    targets: int = 4,
    run_sd: float = 1.5,
    own_sd: float = 1.0,
    cross_sd: float = 0.0,
    gain: float = 0.0,
) -> dict[tuple[int, int], Sample]:
    """Return (recipe, target) -> gain, with errors of runs, of examples, and of both together.

    `own_sd` is the error that a recipe's runs have from the choice of the test examples, `cross_sd`
    the part of it that differs between runs. Run SDs are equal, as the pooled variance assumes.
    """
    gains = {}
    for target in range(targets):
        shape = (recipes + 1, seeds)
        points = run_sd * random.normal(size=shape) + cross_sd * random.normal(size=shape)
        points += own_sd * random.normal(size=(recipes + 1, 1))
        points[1:] += gain
        drawn = own_sd * random.normal(size=(300, recipes + 1, 1))
        drawn = drawn + cross_sd * random.normal(size=(300, *shape))
        scores = [
            Sample(own, own + drawn[:, n], {("m", n): np.vstack([own, np.delete(points, n, 0)])})
            for n, own in enumerate(points)
        ]
        gains |= {(n, target): score - scores[0] for n, score in enumerate(scores) if n}
    return gains
