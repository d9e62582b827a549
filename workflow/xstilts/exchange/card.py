"""Model cards in the format of the Hugging Face Hub: data, settings and scores of a checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from xstilts import __version__, store
from xstilts.config.origins import Hub, HubSplit
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid.artefacts import Cell, Checkpoint, Score
from xstilts.grid.grid import Grid
from xstilts.grid.state import is_done, is_released
from xstilts.lab.languages import LANGUAGES as CONSTRUCTED
from xstilts.languages.names import language as about
from xstilts.report.view import labels
from xstilts.results.samples import Samples, read_examples
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import AVERAGES, Context, collect
from xstilts.results.tables import ends, escape, markdown_lines, signed

_PIPELINES = {
    "classify": "text-classification",
    "tag": "token-classification",
    "answer": "question-answering",
    "choose": "multiple-choice",
    "mask": "fill-mask",
    "mine": "feature-extraction",
    "retrieve": "feature-extraction",
}


def card(grid: Grid, cell: Cell) -> str:
    """Return the model card of a cell's checkpoint.

    Raise InputError if the checkpoint or its score is missing.
    """
    score = grid.score(cell)
    checkpoint = score.predictions.checkpoint
    if not Path(score.path).exists() or not is_done(checkpoint):
        raise InputError(
            f"{cell}: its score or its checkpoint is missing; `xstilts why '{cell}'` explains it"
        )
    manifest = store.CheckpointManifest.recorded(Path(checkpoint.path))
    results = collect([Path(score.path)], Context(grid.study.study, (cell,)))
    samples = Samples(results, lambda _: read_examples(Path(score.examples_path)))
    file = results.scores[cell]
    sections = {
        f"# {escape(str(cell))}": [_summary(grid, score)],
        "## Training": _steps(checkpoint, grid),
        "## Scores": _scores(file, samples),
        "## Use": _use(checkpoint, score),
        "## Provenance": _digests(checkpoint, manifest, file),
    }
    body = [line for head, lines in sections.items() for line in (head, "", *lines, "")]
    front = yaml.safe_dump(_metadata(grid, score, file), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n".join(body).rstrip() + "\n"


def _metadata(grid: Grid, score: Score, file: ScoreFile) -> dict[str, Any]:
    """Return the front matter, which the Hub reads."""
    root = score.predictions.checkpoint.lineage()[0]
    # the Hub refuses codes that do not exist, such as those of the lab's own languages
    codes = [code for code in file.languages if code == "en" or code not in CONSTRUCTED]
    codes = dict.fromkeys(code.partition("_")[0] for code in codes)
    main = file.main_metric
    found: dict[str, Any] = {"language": list(codes), "library_name": "transformers"}
    if isinstance(root.origin, Hub):
        found["base_model"] = root.origin.repository
    if repositories := _repositories(score.predictions.checkpoint):
        found["datasets"] = repositories
    kind = _PIPELINES[grid.project.tasks[score.cell.target].family]
    result = {
        "task": {"type": kind},
        "dataset": {"name": score.cell.target, "type": score.cell.target},
        "metrics": [
            {"type": main, "name": f"{main}, {name}", "value": round(values[main], 4)}
            for name, values in file.averages.items()
        ],
    }
    return found | {
        "pipeline_tag": kind,
        "tags": ["xstilts", "cross-lingual", "intermediate-task-training"],
        "model-index": [{"name": str(score.cell), "results": [result]}],
    }


def _repositories(checkpoint: Checkpoint) -> list[str]:
    """Return the data sets on the Hub that a checkpoint was trained on."""
    data = [d for node in checkpoint.lineage() for part in node.parts for d in part.train]
    specs = [dataset.spec for dataset in data if isinstance(dataset.spec, HubSplit)]
    return list(dict.fromkeys(spec.repository for spec in specs))


def _summary(grid: Grid, score: Score) -> str:
    cell, names = score.cell, labels(grid)
    model, recipe = (names.get(name, name) for name in (cell.model, cell.recipe))
    notation = grid.recipes[cell.recipe]
    steps = "without an intermediate step"
    if notation.steps:
        steps = f"after the intermediate steps `{notation}` ({escape(recipe)})"
    return (
        f"{escape(model)}, fine-tuned for {escape(names.get(cell.target, cell.target))} {steps}, "
        f"seed {cell.seed}. "
        f"Other languages than {about(score.source_language).name} are zero-shot, unless a step "
        f"below has data in them. Made by xstilts {__version__}."
    )


def _steps(checkpoint: Checkpoint, grid: Grid) -> Iterator[str]:
    """Yield the steps with their data, licences and settings."""
    heads, rows = ["Step", "Data", "Licence", "Source", "Settings"], []
    for node in checkpoint.lineage():
        if not node.parts:
            rows.append([escape(f"{node.chain} ({node.identity.phase})"), *[""] * 4])
        for part in node.parts:
            task = grid.project.tasks[part.task]
            languages = ", ".join(dict.fromkeys(data.language for data in part.train))
            size = f", {part.size} of the examples" if part.size else ""
            values = node.settings.model_dump(exclude_defaults=True)
            settings = ", ".join(f"{key} {value}" for key, value in values.items())
            cells = [part.name, f"{task.label or part.task} ({languages}{size})", task.licence]
            cells += [task.homepage or task.citation, settings]
            rows.append([escape(text) or "not stated" for text in cells])
    yield from markdown_lines(heads, rows, texts=len(heads))


def _scores(file: ScoreFile, samples: Samples) -> Iterator[str]:
    cell, main = file.cell, file.main_metric
    yield (
        f"{main} in percent, 95 % CIs over test examples (not over seeds: this is one of the runs "
        "of a study).\n"
    )
    lines = [(x, x, entry.metrics, f"{entry.n:,}") for x, entry in file.languages.items()]
    lines += [(x, AVERAGES[x], metrics, "") for x, metrics in file.averages.items()]
    rows = []
    for name, label, metrics, number in lines:
        interval = samples.score(cell.model, cell.recipe, cell.target, name).interval
        limits = ends(interval.low, interval.high) or "not known"
        rows.append([escape(label), signed(metrics[main]), limits, number])
    yield from markdown_lines(["Language", main, "95 % CI", "n"], rows)


def _use(checkpoint: Checkpoint, score: Score) -> Iterator[str]:
    import transformers

    name = family(score.predictions.family).MODEL
    config = store.read_object(Path(checkpoint.path) / "config.json")
    known = all(hasattr(transformers, kind) for kind in config.get("architectures") or [])
    name = name if checkpoint.parts and known else "AutoModel"
    if is_released(checkpoint):
        yield "The weights are released: deleted after prediction. They can be trained again.\n"
    yield f"""```python
from transformers import AutoTokenizer, {name}

model = {name}.from_pretrained("REPOSITORY")
tokenizer = AutoTokenizer.from_pretrained("REPOSITORY")
```"""


def _digests(
    checkpoint: Checkpoint, manifest: store.CheckpointManifest, file: ScoreFile
) -> Iterator[str]:
    """Yield the ids of the steps, the hashes of the files, and library versions."""
    yield from (f"- `{node.id}`" for node in checkpoint.lineage())
    yield f"- score: `{file.provenance.get('id', file.name)}`, sha256 `{file.sha256}`"
    weights = {name: sha for name, sha in manifest.files.items() if name.endswith(".safetensors")}
    yield from (f"- {name}: sha256 `{sha}`" for name, sha in weights.items())
    libraries = manifest.provenance.get("libraries", {})
    if libraries:
        yield "- " + ", ".join(f"{name} {version}" for name, version in libraries.items())
