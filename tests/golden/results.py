"""Golden results of the tiny project: a record of what each phase computes.

The test `tests/golden/test_results.py` compares the present results with the record. It decides
whether the version of a phase must be raised: raise it exactly when these results change. The hash
of a phase's code (`tests/phase_code.py`, printed by `make lint`) is only a reminder.

Text and whole numbers (rows, token ids, predictions) must be equal. Floating-point numbers (losses,
weights, scores) may differ by 1e-4, because processors round differently.

    python -m tests.golden.results              print the differences
    python -m tests.golden.results --record     record the present results
"""

import contextlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import real_classes, tiny_project
from xstilts import identity, store
from xstilts.families import family
from xstilts.grid.artefacts import Cell, Checkpoint, Score
from xstilts.grid.grid import Grid
from xstilts.grid.state import is_done
from xstilts.recipe import parse

RECORD = Path(__file__).with_name("results.json")
TOLERANCE = 1e-4
SHOWN = 2  # encoded examples, and predictions with their scores, that are recorded in full

# Some gradients are zero but for rounding: of the keys' biases, and of a constant that is added to
# all logits of an answer. AdamW divides them by their own size, unless epsilon is larger.
SETTINGS = {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-3, "adam_epsilon": 1e-5}
GENTLE = {**SETTINGS, "learning_rate": 1e-4}
VALIDATED = {**SETTINGS, "evaluate_every": 2, "select": "best"}
# recipe and settings; each trains the tiny model `xlmr`
STEPS = {
    "classify": ("nli", {}),
    "choose": ("completion", {}),
    "tag": ("entities", {}),
    "answer": ("reading", {}),
    "mask": ("text@all", {}),
    "subsample": ("nli~20", {}),
    "several tasks": ("completion+entities~24+reading+text", {"multitask": VALIDATED}),
    "languages": ("text@all", {"train": {**SETTINGS, "language_temperature": 2.0}}),
    "lora": ("nli", {"train": {**SETTINGS, "lora": True}}),
}
MERGES = ("nli|reading", "nli|reading~0.3")
SEED = 4  # after a gentle training with this seed, most predictions still vary
# task, model and form; the model is trained on the task first, except for `mine`
TARGETS = {
    "classify": ("nli", "xlmr", "heads"),
    "choose": ("completion", "xlmr", "heads"),
    "tag": ("entities", "xlmr", "heads"),
    "answer": ("reading", "xlmr", "heads"),
    "retrieve": ("passages", "xlmr", "heads"),
    "mine": ("tatoeba", "xlmr", "heads"),
    "classify_text": ("nli", "mt5", "text-to-text"),
    "choose_text": ("completion", "mt5", "text-to-text"),
}


def compute() -> dict[str, dict]:
    """Return the results of each phase, from the filled store that is the working directory."""
    results = {
        "prepare": _prepared(tiny_project.make_grid()),
        "initialise": _initialised(tiny_project.make_grid()),
        "train": {},
        "merge": {},
        "predict": {},
        "score": {},
    }
    for name, (recipe, study) in STEPS.items():
        study = {"train": SETTINGS, "recipes": [recipe], **study}
        step = tiny_project.make_grid(**study).trainings.step("xlmr", parse(recipe), 1)
        results["train"][name] = _trained(step)
    for recipe in MERGES:
        grid = tiny_project.make_grid(train=SETTINGS, recipes=[recipe])
        results["merge"][recipe] = _merged(grid.trainings.step("xlmr", parse(recipe), 1))
    for name, (task, model, form) in TARGETS.items():
        grid = real_classes.grid(form, train=GENTLE, targets=[task], seeds=[SEED])
        score = grid.score(Cell(model, "none", task, SEED))
        if name != "mine":
            results["train"][f"{name}, {model}"] = _trained(score.predictions.checkpoint)
        results["predict"][name] = _predicted(score)
        results["score"][name] = _scored(score)
    return json.loads(json.dumps(results))  # tuples become lists, as in the record


def _prepared(grid: Grid) -> dict[str, str]:
    return {
        f"{name}.{language}.{split}": identity.digest(
            store.read_rows(Path(grid.data.dataset(name, language, split).path))
        )
        for name, task in tiny_project.TASKS.items()
        for language in task["languages"]
        for split in task["splits"]
    }


def _initialised(grid: Grid) -> dict[str, dict]:
    from xstilts.modelling import checkpoints

    results = {}
    for model in tiny_project.MODELS:
        folder = Path(grid.trainings.root(model).path)
        weights = checkpoints.load_weights(folder)
        results[model] = {
            "vocabulary": identity.digest(checkpoints.load_tokenizer(folder).get_vocab()),
            "weights": identity.digest({name: list(w.shape) for name, w in weights.items()}),
            "norm": sum(w.double().square().sum().item() for w in weights.values()) ** 0.5,
        }
    return results


def _merged(step: Checkpoint) -> dict[str, float]:
    """Return the norms of the merged weights; trainings that exist are not repeated."""
    from xstilts.modelling import checkpoints
    from xstilts.stages import merge, train

    for training in step.merged:
        if not is_done(training):
            train.run(training)
    merge.run(step)
    weights = checkpoints.load_weights(Path(step.path))
    return {name: weight.double().norm().item() for name, weight in weights.items()}


def _trained(step: Checkpoint) -> dict[str, Any]:
    from xstilts.stages import train

    train.run(step)
    manifest = store.read_json(Path(step.path) / store.MANIFEST)
    log = store.read_lines(Path(step.path) / "training.jsonl")
    return {
        "encoded": {part.name: _encoded(step, part, manifest["labels"]) for part in step.parts},
        "examples": manifest["examples"],
        "labels": manifest["labels"],
        "best_step": manifest["best_step"],
        "losses": [entry["loss"] for entry in log if "loss" in entry],
        "validation": [entry["eval_score"] for entry in log if "eval_score" in entry],
    }


def _encoded(step: Checkpoint, part, labels: dict[str, list[str]]) -> dict[str, Any]:
    from xstilts.modelling import checkpoints

    rows = [row for data in part.train for row in store.read_rows(Path(data.path))]
    tokenizer = checkpoints.load_tokenizer(Path(step.parent.path))
    features = family(part.family).encode(
        rows, tokenizer, part.encode, labels[part.task], train=True
    )
    return {
        "token ids": [feature["input_ids"] for feature in features[:SHOWN]],
        "features": identity.digest(features),
    }


def _predicted(score: Score) -> dict[str, list]:
    from xstilts.stages import predict

    predict.run(score.predictions)
    results = {}
    for dataset in score.predictions.predicted:
        predictions = store.read_lines(Path(score.predictions.file(dataset)))
        results[f"{dataset.language}.{dataset.split}"] = [
            *predictions[:SHOWN],
            *(prediction["prediction"] for prediction in predictions[SHOWN:]),
        ]
    return results


def _scored(score: Score) -> dict[str, Any]:
    from xstilts.stages import score as stage

    stage.run(score)
    results = store.read_json(Path(score.path))
    return {key: results[key] for key in ("languages", "validation", "averages", "degenerate")}


def differences(recorded: Any, current: Any, place: str = "") -> Iterator[str]:
    """Yield one line for each value that differs from the record."""
    if isinstance(recorded, dict) and isinstance(current, dict):
        recorded, current = recorded.items(), dict(current)
        for key, value in recorded:
            yield from differences(value, current.pop(key, None), f"{place} / {key}")
        for key in current:
            yield f"{place} / {key}: not recorded"
    elif isinstance(recorded, list) and isinstance(current, list) and len(recorded) == len(current):
        for number, pair in enumerate(zip(recorded, current, strict=True)):
            yield from differences(*pair, f"{place} [{number}]")
    elif isinstance(recorded, float) and isinstance(current, float):
        if not math.isclose(recorded, current, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{place}: {current}, recorded {recorded}"
    elif recorded != current:
        yield f"{place}: {current}, recorded {recorded}"


def main() -> None:
    """Print the differences, or record the present results."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        tiny_project.fill()
        real_classes.fill(real_classes.grid(), ["xlmr", "mt5"])
        current = compute()
    if sys.argv[1:] == ["--record"]:
        RECORD.write_text(_text(current), encoding="utf-8")
    else:
        print(*differences(json.loads(RECORD.read_text(encoding="utf-8")), current), sep="\n")


def _text(results: dict[str, dict]) -> str:
    """Return the record as JSON with one line per result, so that a change is readable."""
    phases = []
    for phase, cases in results.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
        phases.append(f' "{phase}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(phases) + "\n}\n"


if __name__ == "__main__":
    main()
