"""A results folder of made-up scores, logs, benchmarks and predictions, with hostile texts.

Nothing is trained: the files are those that the stages would write, for grids of any size.
"""

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

from xstilts import store
from xstilts.config.project import Project
from xstilts.families import family
from xstilts.grid.artefacts import Cell, Dataset
from xstilts.grid.grid import Grid
from xstilts.stages.score import write_examples

ATTACK = "</script><script>window.attacked = 1</script><img src=x onerror='window.attacked = 2'>"
LANGUAGES = ["en", "ar", "de", "he", "sw", "ta", "tr", "zh"]
HEBREW, ARABIC = "הילדה קראה ספר ישן בגינה", "قرأت الفتاة كتابا قديما في الحديقة"
TEXT = {"he": HEBREW, "ar": ARABIC}
FAMILIES = {"classify": "accuracy", "answer": "f1", "tag": "f1"}
LIBRARIES = {"xstilts": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"}
PROVENANCE = {
    "libraries": LIBRARIES,
    "python": "3.11.9",
    "commit": "0" * 40,
    "machine": "x86_64",
    "seconds": 1.0,
}


def _task(kind: str, roles: list[str], label: str) -> dict:
    splits = {
        split: {"source": "lab", "kind": label, "size": 40} for split in ("train", "validation")
    }
    splits["test"] = {"source": "lab", "kind": f"{label} test", "size": 40}
    metrics = {"answer": ["f1", "exact_match"]}.get(kind, [FAMILIES[kind]])
    shown = {"family": kind, "roles": roles, "languages": LANGUAGES, "splits": splits}
    return {**shown, "metrics": metrics, "label": label}


def make_grid(models: int = 1, recipes: int = 5, targets: int = 3, seeds: int = 2) -> Grid:
    """Return a grid of `none`, single tasks and then pairs of tasks; labels contain HTML."""
    kinds = list(FAMILIES)
    width = max(2, int(recipes**0.5) + 1)
    tasks = {f"i{n}": _task("classify", ["intermediate"], f"Task {n}") for n in range(width)}
    tasks |= {f"t{n}": _task(kinds[n % 3], ["target"], f"Target {n}") for n in range(targets)}
    tasks["i1"]["label"] = f"Help {ATTACK}"
    tasks["t0"]["label"] = "<b>NLI</b> & co"
    tasks["text"] = _task("classify", ["pretraining"], "text") | {"family": "mask", "metrics": []}
    pairs = [f"i{a}-i{b}" for a in range(width) for b in range(width) if a != b]
    init = {"architecture": {"model_type": "bert"}, "tokenizer": {"task": "text"}}
    study = {
        "study": "made-up",
        "title": f"Does it help? {ATTACK}",
        "models": [f"m{n}" for n in range(models)],
        "controls": ["floor"],
        "recipes": ["none", *tasks_of(width), *pairs][:recipes],
        "targets": [f"t{n}" for n in range(targets)],
        "seeds": list(range(1, seeds + 1)),
    }
    model = {"init": init}
    named = dict.fromkeys(study["models"], model)
    named["floor"] = {"init": {**init, "seed": 2}, "label": "random weights"}
    return Grid(Project.model_validate({"study": study, "tasks": tasks, "models": named}))


def tasks_of(width: int) -> list[str]:
    """Return the names of the intermediate tasks."""
    return [f"i{n}" for n in range(width)]


def write_results(grid: Grid, missing: Callable[[Cell], bool] = lambda cell: False) -> None:
    """Write the results folder of a finished run, without the scores of missing cells."""
    chance = random.Random(1)
    effect = {name: chance.gauss(0, 2.5) for name in grid.recipes}
    artefacts = grid.artefacts()
    for data in artefacts.datasets.values():
        _write_data(data, grid.project.tasks[data.task].family)
    for step in artefacts.checkpoints.values():
        _write_step(step, chance)
    for score in grid.scores():
        if not missing(score.cell):
            _write_score(score, effect[score.cell.recipe], chance)
    model, seed = grid.study.models[0], grid.study.seeds[0]
    for target in grid.study.targets:
        for recipe in list(grid.recipes)[:4]:
            cell = Cell(model, recipe, target, seed)
            if not missing(cell):
                _write_predictions(grid.score(cell).predictions, chance)


def _benchmark(phase: str, id: str, seconds: float) -> None:
    path = Path("results/benchmarks") / phase / f"{id}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds:.2f}\t0:00:01\t1\n")


def rows(kind: str, language: str) -> list[dict]:
    """Return canonical rows; the first contains an attack."""
    text = TEXT.get(language, f"A sentence in {language}")
    content = []
    for n in range(8):
        sentence = f"{text} {n}" if n else f"{text} {ATTACK}\u2028<!--"
        if kind == "classify":
            row = {"text_a": sentence, "text_b": text, "label": "yes"}
        elif kind == "tag":
            words = sentence.split()
            row = {"words": words, "tags": ["B-PER"] + ["O"] * (len(words) - 1)}
        elif kind == "answer":
            answers = {"answers": [text.split()[0]], "starts": [0]}
            row = {"context": f"{sentence} " * 40, "question": f"{text}?", **answers}
        else:
            row = {"text": sentence, "text_b": None}
        content.append({"id": str(n), **row})
    return content


def _write_data(data: Dataset, kind: str) -> None:
    folder = store.scratch(data.id)
    content = rows(kind, data.language)
    columns = family(kind).COLUMNS
    store.write_rows(
        folder / "data.parquet", [{k: r.get(k) for k in columns} for r in content], columns
    )
    excluded = {"gold label is missing": 3} if data.task == "t0" else {}
    store.DatasetManifest.publish(
        folder,
        Path(data.path),
        content={},
        rows=len(content),
        excluded=excluded,
        provenance=PROVENANCE,
    )


def _write_step(step, chance: random.Random) -> None:
    store.CheckpointManifest(
        id=step.id,
        content={},
        files={},
        pretrained_pooler=False,
        labels={},
        steps=400,
        examples={"all": 4000},
        provenance=PROVENANCE,
    ).write(Path(step.path))
    _benchmark(step.identity.phase, step.id, chance.uniform(200, 900))
    if step.parent:
        losses = [
            {"loss": 0.3 + 0.9 * 0.96**n + chance.gauss(0, 0.02), "step": 8 * (n + 1)}
            for n in range(50)
        ]
        text = "".join(json.dumps(entry) + "\n" for entry in losses)
        (Path(step.path) / "training.jsonl").write_text(text)


def _write_score(score, effect: float, chance: random.Random) -> None:
    cell, metrics = score.cell, score.metrics
    base = 22 if cell.model == "floor" else 55 + effect
    values = {
        data.language: {
            metric: min(100.0, max(0.0, base + 10 * (data.language == "en") + chance.gauss(0, 3)))
            for metric in metrics
        }
        for data in score.predictions.scored
    }
    away = [code for code in values if code != score.source_language]
    averages = {
        name: {m: sum(values[c][m] for c in codes) / len(codes) for m in metrics}
        for name, codes in {"avg": list(values), "zero_shot": away}.items()
    }
    content = {
        "schema": 1,
        "cell": str(cell),
        **{key: getattr(cell, key) for key in ("model", "recipe", "target", "seed")},
        "source_language": score.source_language,
        "main_metric": metrics[0],
        "languages": {c: {"n": 500, "metrics": m, "majority": None} for c, m in values.items()},
        "averages": averages,
        "degenerate": cell.recipe == "i0" and cell.seed == 1,
        "provenance": PROVENANCE,
    }
    path = Path(score.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    Path(score.examples_path).write_bytes(_no_examples())


@cache
def _no_examples() -> bytes:
    """Return the parquet file of a metric without scores per example."""
    path = Path("results/scratch/examples.parquet")
    write_examples(path, [])
    return path.read_bytes()


def _write_predictions(predictions, chance: random.Random) -> None:
    for data in predictions.datasets:
        lines = []
        for row in rows(predictions.family, data.language):
            answer = {
                "classify": lambda: chance.choice(["yes", "no", ATTACK]),
                "tag": lambda row=row: [chance.choice(["B-PER", "O"]) for _ in row["words"]],
                "answer": lambda row=row: chance.choice(
                    [row["answers"][0], "", row["context"][:30]]
                ),
            }[predictions.family]()
            lines.append({"id": row["id"], "prediction": answer})
        store.write_lines(Path(predictions.file(data)), lines)
    _benchmark("predict", predictions.id, chance.uniform(5, 30))
