"""The lab's planted effects beside what its studies found: `python -m tests.demo.planted`."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from tests import CONFIG, ROOT

TRUTH = CONFIG / "lab_truth.yaml"
STUDIES = ROOT / "results" / "studies"


@dataclass(frozen=True)
class Effect:
    """An effect of a study whose sign is known: a gain, or an estimate of the study's answer."""

    study: str
    planted: str  # gain, loss or none
    why: str = ""
    recipe: str = ""
    target: str = ""
    model: str = "lab_tiny"
    estimate: str = ""  # label in answer.json, in place of recipe, target and model
    reference: float | None = None  # points in a run with 20 seeds

    def __str__(self) -> str:
        return f"{self.study}: {self.estimate or f'{self.recipe} on {self.target}, {self.model}'}"


@dataclass(frozen=True)
class Found:
    """Effect that a study found: the value with its simultaneous interval, and the verdict."""

    value: float
    low: float
    high: float
    significant: bool

    @property
    def verdict(self) -> str:
        """The word that the truth uses for this result."""
        if not self.significant:
            return "none"
        return "gain" if self.value > 0 else "loss"

    def __str__(self) -> str:
        ends = (round(end, 1) + 0.0 for end in (self.value, self.low, self.high))  # no -0.0
        interval = "{:+.1f} ({:+.1f} to {:+.1f})".format(*ends)
        return interval.replace("-", "−")


def effects(study: str | None = None) -> list[Effect]:
    """Return the planted effects of one study, or of all."""
    truth = yaml.safe_load(TRUTH.read_text(encoding="utf-8"))
    found = [Effect(name, **entry) for name, entries in truth.items() for entry in entries]
    return [effect for effect in found if study in (None, effect.study)]


def found(effect: Effect, studies: Path = STUDIES) -> Found:
    """Return what the study's own files say about an effect. Raise LookupError if nothing."""
    folder = studies / effect.study
    if effect.estimate:
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        rows = [row for row in answer["estimates"] if row["label"] == effect.estimate]
    else:
        gains = pd.read_csv(folder / "gains.csv", keep_default_na=False)
        place = {"model": effect.model, "recipe": effect.recipe, "target": effect.target}
        for column, name in {**place, "language": "zero_shot"}.items():
            gains = gains[gains[column] == name]
        rows = [row | {"value": row["gain"]} for row in gains.to_dict("records")]
    if len(rows) != 1:
        raise LookupError(f"{effect}: {len(rows)} results in {folder}; expected one")
    ends = {end: float(rows[0][end]) for end in ("value", "low", "high")}
    return Found(**ends, significant=str(rows[0]["significant"]) == "True")


def table(study: str, studies: Path = STUDIES) -> str:
    """Return a Markdown table of what is planted in a study, why, and what was found."""
    lines = [
        "| effect | planted | found, with simultaneous 95 % CI | verdict |",
        "|:--|:--|:--|:--|",
    ]
    for effect in effects(study):
        result = found(effect, studies)
        name = effect.estimate or f"{effect.recipe} → {effect.target}"
        if effect.model.partition("+")[2]:
            name += f" ({effect.model.partition('+')[2]})"
        lines.append(f"| {name} | {effect.planted} | {result} | {result.verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for name in dict.fromkeys(effect.study for effect in effects()):
        if (STUDIES / name).is_dir():
            print(f"{name}\n\n{table(name)}\n")
