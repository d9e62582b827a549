"""score: a cell's predictions against the gold data, in total and per example."""

import time
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from xstilts import store
from xstilts.families import check_metrics, family
from xstilts.grid.artefacts import Dataset, Predictions, Score
from xstilts.identity import VERSIONS, file_sha256
from xstilts.metrics import class_f1, majority
from xstilts.results.predictions import read_language
from xstilts.results.score_file import Language, ScoreFile, Validation, averages
from xstilts.store.about import About
from xstilts.store.provenance import provenance


def run(score: Score) -> None:
    """Score all languages and their averages. Raise InputError for damaged or missing inputs."""
    started = time.monotonic()
    predictions = score.predictions
    check_metrics(predictions.family, score.metrics, score.cell.target)
    languages, examples = {}, []
    for dataset in predictions.scored:
        languages[dataset.language], of_language = _score_language(score, dataset)
        examples += [(dataset.language, *example) for example in of_language]
    write_examples(Path(score.examples_path), examples)
    cell, source = score.cell, score.source_language
    ScoreFile(
        version=1,
        name=str(cell),
        model=cell.model,
        recipe=cell.recipe,
        target=cell.target,
        seed=cell.seed,
        source_language=source,
        main_metric=score.metrics[0],
        languages=languages,
        validation=_validation(score),
        averages=averages(languages, source),
        degenerate=_degenerate(languages, score),
        provenance={
            "id": score.id,
            "content": score.identity.content,
            "predictions": predictions.id,
            "files": _hashes(predictions),
            "examples": file_sha256(Path(score.examples_path)),
            "lineage": [node.id for node in predictions.checkpoint.lineage()],
            "data": {dataset.language: dataset.id for dataset in predictions.scored},
            "versions": VERSIONS,
            **provenance(started),
        },
    ).write(Path(score.path))


def _hashes(predictions: Predictions) -> dict[str, str]:
    """Return the sha256 of the files that the scores were computed from, which were checked."""
    stated = About.read(Path(predictions.path)).files
    names = [Path(predictions.file(dataset)).name for dataset in predictions.predicted]
    return {name: stated[name].sha256 for name in names}


def _score_language(score: Score, dataset: Dataset) -> tuple[Language, list[tuple]]:
    """Return the scores of one language, and (id, top, bottom) of each of its examples."""
    module, main = family(score.predictions.family), score.metrics[0]
    rows, predictions, threshold = read_language(score.predictions, dataset)
    examples = []
    if main in module.EXAMPLES:
        examples = module.EXAMPLES[main](rows, predictions, dataset.language)
    entry = Language(
        n=len(predictions),
        metrics={
            metric: module.METRICS[metric](rows, predictions, dataset.language)
            for metric in score.metrics
        },
        majority=_majority(rows, main),
        **_class_f1(score.metrics, rows, predictions),
        **({} if threshold is None else {"threshold": threshold}),
    )
    return entry, examples


def _class_f1(names: Sequence[str], rows: list[dict], predictions: list[dict]) -> dict[str, dict]:
    """Return the field `class_f1` if macro_f1 is a metric: other score files stay as they are."""
    if "macro_f1" not in names:
        return {}
    golds = [row["label"] for row in rows]
    return {"class_f1": class_f1(golds, [answer["prediction"] for answer in predictions])}


def _validation(score: Score) -> Validation | None:
    """Return the scores on the source language's validation split, if the target has one."""
    dataset = score.predictions.validation
    if dataset is None:
        return None
    entry, _ = _score_language(score, dataset)
    return Validation(language=dataset.language, n=entry.n, metrics=entry.metrics)


def examples_table(examples: Sequence[tuple]) -> pa.Table:
    """Return the terms of the main metric, which is 100 Σ top / Σ bottom over a language.

    `examples` are (language, id, top, bottom).
    """
    languages, ids, tops, bottoms = zip(*examples, strict=True) if examples else [()] * 4
    columns = {
        "language": _texts(languages).dictionary_encode(),
        "id": _texts(ids),
        "top": _numbers(tops),
        "bottom": _numbers(bottoms),
    }
    return pa.Table.from_arrays([*columns.values()], [*columns])


def write_examples(path: Path, examples: Sequence[tuple]) -> None:
    """Write the table of `examples_table` as a Parquet file, atomically."""
    buffer = pa.BufferOutputStream()
    pa.parquet.write_table(examples_table(examples), buffer, compression="zstd")
    store.write_bytes(path, buffer.getvalue().to_pybytes())


# pa.array and pa.table would import pandas: two thirds of the time of a small score job
def _texts(values: Sequence[str]) -> pa.Array:
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def _numbers(values: Sequence[float]) -> pa.Array:
    return pa.Array.from_buffers(
        pa.float64(), len(values), [None, pa.py_buffer(array("d", values))]
    )


def _majority(rows: Sequence[Mapping], metric: str) -> dict[str, float] | None:
    """Return the score of the most frequent label; None if the metric is not accuracy."""
    if metric != "accuracy" or "label" not in rows[0]:
        return None
    return {metric: majority([row["label"] for row in rows])}


def _degenerate(languages: Mapping[str, Language], score: Score) -> bool:
    """Whether the run learned nothing: in the source language it is not above the majority."""
    source = languages.get(score.source_language)
    if source is None or source.majority is None:
        return False
    main = score.metrics[0]
    return source.metrics[main] <= source.majority[main]
