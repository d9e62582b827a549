"""False verdicts of the five analyses in simulated studies: seeds fixed, scores of runs alone.

Each null has 60 studies, so a rate of .05 has a standard error of .028 and may reach .106.
Each alternative has 20 studies: a rate of .95 has a standard error of .05.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import permutations

import numpy as np
import pytest

from tests.simulated import from_points
from xstilts import analyses
from xstilts.analyses import Facts
from xstilts.grid.artefacts import Cell
from xstilts.recipe import parse
from xstilts.results.statistics import Interval

pytestmark = pytest.mark.slow
STUDIES, FEW = 60, 20
HIGHEST = 0.05 + 2 * np.sqrt(0.05 * 0.95 / STUDIES)
SEEDS = (1, 2, 3)
Points = Mapping[Cell, float]
Make = Callable[[np.random.Generator], Points]


def answer(name: str, points: Points, **facts):
    """Return the answer of an analysis, without its figures."""
    samples = from_points(points)
    if name != "helps":  # other verdicts do not use gains.csv: three quarters of the time
        vars(samples)["intervals"] = defaultdict(lambda: Interval(0.0, 0.0, 0.0))
    facts = Facts("Does it?", **{"recipes": {}, **facts})
    return analyses.run(name, samples, facts).answer


def rate(studies: int, verdict: Callable[[np.random.Generator], bool]) -> float:
    """Return the share of studies with a verdict."""
    return float(np.mean([verdict(np.random.default_rng(number)) for number in range(studies)]))


def claims(found, start: str) -> bool:
    """Whether an estimate whose label begins so is significant."""
    own = [estimate for estimate in found.estimates if estimate.label.startswith(start)]
    assert own
    return any(estimate.significant for estimate in own)


def runs(
    random: np.random.Generator,
    truth: Callable[[str, str, str], float] = lambda model, recipe, target: 0.0,
    *,
    models: Iterable[str] = ("m",),
    recipes: Iterable[str],
    targets: Iterable[str] = ("qa", "nli"),
    sd: float = 1.5,
) -> dict[Cell, float]:
    """Return independent runs around 60 plus the truth."""
    return {
        Cell(m, r, t, s): 60 + truth(m, r, t) + sd * random.normal()
        for m in models
        for r in recipes
        for t in targets
        for s in SEEDS
    }


# ---------------------------------------------------------------------------------------- helps

RECIPES = ["none", *(f"r{n}" for n in range(6))]


def test_helps_rarely_names_a_recipe_without_effect():
    def verdict(random):
        found = answer("helps", runs(random, recipes=RECIPES))
        assert claims(found, "r") or found.finding.startswith("No recipe reliably helps")
        return claims(found, "r")

    assert rate(STUDIES, verdict) <= HIGHEST


def test_helps_finds_a_planted_recipe():
    def verdict(random):
        points = runs(random, lambda m, r, t: 6.0 * (r == "r1"), recipes=RECIPES)
        return answer("helps", points).finding.startswith("r1 helps most")

    assert rate(FEW, verdict) > 0.85


def chosen(random: np.random.Generator, gain: float) -> tuple[float, bool]:
    """Return the gain of the recipe chosen by validation, and whether it is significant.

    Validation and test scores of a training are correlated by .5, as in one of this project's
    trainings of another seed: the choice is optimistic, unless it is cross-fitted.
    """
    points, validation = {}, {}
    for recipe in RECIPES:
        for target in ("a", "b"):
            shared, own, test = random.normal(size=(3, len(SEEDS)))
            helped = gain * (recipe == "r1")
            dev = helped + 1.5 * (np.sqrt(0.5) * shared + np.sqrt(0.5) * own)
            scores = 60 + helped + 1.5 * (np.sqrt(0.5) * shared + np.sqrt(0.5) * test)
            validation["m", recipe, target] = list(dev)
            points |= {Cell("m", recipe, target, s): x for s, x in zip(SEEDS, scores, strict=True)}
    found = answer("helps", points, validation=validation)
    [estimate] = [e for e in found.estimates if e.label.startswith("Best recipe")]
    return estimate.value, estimate.significant


def test_the_chosen_recipe_gains_nothing_if_none_does():
    outcomes = [chosen(np.random.default_rng(number), 0.0) for number in range(STUDIES)]
    values, significant = np.array(outcomes).T
    assert significant.mean() <= HIGHEST
    assert values.mean() == pytest.approx(0, abs=2 * values.std() / np.sqrt(STUDIES))


def test_the_chosen_recipe_gains_what_is_planted():
    values, significant = np.array([chosen(np.random.default_rng(n), 6.0) for n in range(FEW)]).T
    assert values.mean() == pytest.approx(6, abs=0.5)
    assert significant.mean() > 0.95


def resources(random: np.random.Generator, more: float) -> Points:
    """Return scores in two low- and two high-resource languages; `more` is the low ones' gain.

    Half of the variance of a score is its run's, half that of the run and language.
    """
    points = {}
    for recipe in RECIPES:
        for target in ("qa", "nli"):
            for seed in SEEDS:
                run, *own = 1.5 * np.sqrt(0.5) * random.normal(size=5)
                helped = more * (recipe != "none")
                truth = {"sw": helped, "wo": helped, "de": 0.0, "fr": 0.0}
                points[Cell("m", recipe, target, seed)] = {
                    language: 60 + value + run + noise
                    for (language, value), noise in zip(truth.items(), own, strict=True)
                }
    return points


@pytest.mark.parametrize(
    ("studies", "more", "low", "high"), [(STUDIES, 0.0, 0.0, HIGHEST), (FEW, 4.0, 0.85, 1.0)]
)
def test_resources_matter_only_where_they_do(studies, more, low, high):
    def verdict(random):
        found = answer("helps", resources(random, more))
        claimed = claims(found, "m, gain in low- minus high-resource")
        assert claimed == ("Low-resource languages gain" in found.finding)
        return claimed

    assert low <= rate(studies, verdict) <= high


# ---------------------------------------------------------------------------------------- order

ORDERS = [*["-".join(tasks) for tasks in permutations("abcd")][::3], "d-c-b-a"]


def chains(random: np.random.Generator, sd: float) -> Points:
    """Return scores of orders that share the noise of the checkpoints they have in common."""
    points = {}
    effects = sd * random.normal(size=len(ORDERS))
    for seed in SEEDS:
        noise: dict[str, float] = {}
        for effect, order in zip(effects, ORDERS, strict=True):
            prefixes = [order[: 2 * n + 1] for n in range(4)]
            shared = sum(noise.setdefault(x, 0.75 * random.normal()) for x in prefixes)
            for target in ("x", "y", "z"):
                points[Cell("m", order, target, seed)] = 60 + effect + shared + random.normal()
    return points


@pytest.mark.parametrize(("sd", "studies"), [(0, STUDIES), (3, FEW)])
def test_order_matters_only_if_it_does(sd, studies):
    kinds = dict.fromkeys(ORDERS, "random") | {ORDERS[-1]: "given"}

    def verdicts(random):
        found = answer("order", chains(random, sd), orders=kinds)
        against = claims(found, f"{ORDERS[-1]} minus the mean")
        return found.finding.startswith("Significant"), against

    share, against = np.mean(
        [verdicts(np.random.default_rng(number)) for number in range(studies)], axis=0
    )
    if sd:
        assert share > 0.85
    else:
        assert share <= HIGHEST
        assert against <= HIGHEST


# ---------------------------------------------------------------------------------------- scale

SIZES = {f"xlmr{n}": 10 ** (8.4 + n / 2) for n in range(4)}
SIZES |= {f"mt5{n}": 10 ** (7.9 + n / 2) for n in range(5)}
KIN = {model: model[:-1] for model in SIZES}


def grows(random: np.random.Generator, truth: Mapping[str, float]) -> bool:
    """Whether the answer says that the gain changes with size."""
    points = runs(
        random, lambda m, r, t: truth[m] * (r != "none"), models=truth, recipes=RECIPES[:3]
    )
    found = answer("scale", points, parameters=SIZES, families=KIN)
    return any(": significant effect" in line for line in found.finding.splitlines())


def test_families_that_gain_differently_are_no_slope():
    truth = {model: 4.0 if kin == "xlmr" else 1.0 for model, kin in KIN.items()}
    assert rate(STUDIES, lambda random: grows(random, truth)) <= HIGHEST


def test_models_that_gain_differently_are_no_slope():
    def verdict(random):
        return grows(random, {model: 1.5 * random.normal() for model in list(SIZES)[:4]})

    assert rate(STUDIES, verdict) <= HIGHEST


def test_scale_finds_gains_that_grow():
    truth = {model: 4 * np.log10(size / 1e8) for model, size in SIZES.items()}
    assert rate(FEW, lambda random: grows(random, truth)) > 0.85


# ------------------------------------------------------------------------------------- language

DATA = {"none": "none", "en": "nli", **{x: f"nli@{x}" for x in ("de", "ru", "zh", "sw")}}
MODELS = {"xlmr1": 3e8, "xlmr2": 6e8, "mt51": 3e8, "mt52": 6e8, "text1": 3e8, "text2": 6e8}


@pytest.mark.parametrize(("effect", "studies"), [(0, STUDIES), (5, FEW)])
def test_language_matters_only_if_it_does(effect, studies):
    recipes = {name: parse(text) for name, text in DATA.items()}
    kin = {model: model[:-1] for model in MODELS}

    def verdict(random):
        points = runs(
            random,
            lambda m, r, t: effect * ("@" in DATA[r]) * (kin[m] == "xlmr"),
            models=MODELS,
            recipes=DATA,
        )
        found = answer("language", points, recipes=recipes, parameters=MODELS, families=kin)
        if effect:
            return claims(found, "Interaction: xlmr minus mt5")
        return claims(found, "Other") or claims(found, "Interaction")

    share = rate(studies, verdict)
    assert share > 0.85 if effect else share <= HIGHEST


# ----------------------------------------------------------------------------------------- size


@pytest.mark.parametrize(("slope", "studies"), [(0, STUDIES), (4, FEW)])
def test_size_matters_only_if_it_does(slope, studies):
    counts = {f"{task}~{n}": n for task in ("nli", "qqp") for n in (1000, 10000, 100000)}

    def verdict(random):
        points = runs(
            random,
            lambda m, r, t: slope * np.log10(counts.get(r, 1000) / 1000),
            recipes=["none", *counts],
        )
        return claims(answer("size", points, examples=counts), "Slope of the gain, ")

    share = rate(studies, verdict)
    assert share > 0.85 if slope else share <= HIGHEST
