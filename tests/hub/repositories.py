"""Tiny repositories with the names, columns and labels of the benchmarks on the Hub."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

NER = dict(enumerate("O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()))
NLI = {0: "entailment", 1: "neutral", 2: "contradiction"}
PAIR = {"text_a": "premise", "text_b": "hypothesis", "label": "label"}
SQUAD = {
    "id": "id",
    "context": "context",
    "question": "question",
    "answers": "answers.text",
    "starts": "answers.answer_start",
}

WORDS = "red blue green big small old new warm cold dry house tree river bird fish".split()


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as the bytes of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return file.getvalue()


def card(splits: Mapping[str, Mapping[str, str]]) -> bytes:
    """Return a dataset's README.md: config -> split -> glob of its files."""
    configs = [
        {
            "config_name": config,
            "data_files": [{"split": split, "path": path} for split, path in files.items()],
        }
        for config, files in splits.items()
    ]
    return f"---\n{yaml.safe_dump({'configs': configs})}---\n# A data set\n".encode()


def dataset(splits: Mapping[str, Mapping[str, Sequence[Mapping]]]) -> dict[str, bytes]:
    """Return the files of a dataset, config -> split -> rows, in the usual layout."""
    files = {
        f"{config}/{split}-00000-of-00001.parquet": parquet(rows)
        for config, found in splits.items()
        for split, rows in found.items()
    }
    globs = {
        config: {split: f"{config}/{split}-*" for split in splits[config]} for config in splits
    }
    return files | {"README.md": card(globs), ".gitattributes": b"*.parquet filter=lfs\n"}


def pairs(count: int, classes: int, first: str, second: str, **others) -> list[dict]:
    """Return sentence pairs with a class."""
    return [
        {
            first: f"the {WORDS[n % 15]} {WORDS[n % 7]}",
            second: f"a {WORDS[n % 11]}",
            "label": n % classes,
            **others,
        }
        for n in range(count)
    ]


def nli(count: int, language: str = "en") -> list[dict]:
    return pairs(count, 3, "premise", "hypothesis", language=language)


def squad(count: int, prefix: str) -> list[dict]:
    return [
        {
            "id": f"{prefix}{n}",
            "title": "T",
            "context": f"the {WORDS[n % 15]} tree is {WORDS[n % 9]} now",
            "question": f"which tree {n}?",
            "answers": {"text": [WORDS[n % 15]], "answer_start": [4]},
        }
        for n in range(count)
    ]


def hellaswag(count: int) -> list[dict]:
    return [
        {
            "ind": n,
            "activity_label": "A",
            "ctx_a": "a",
            "ctx_b": "b",
            "ctx": f"the {WORDS[n % 15]} house",
            "endings": [f"is {word}" for word in WORDS[:4]],
            "label": str(n % 4),
        }
        for n in range(count)
    ]


def xcopa(count: int) -> list[dict]:
    return [
        {
            "premise": f"the {WORDS[n % 15]} bird",
            "choice1": "sings",
            "choice2": "flies",
            "question": "cause" if n % 2 else "effect",
            "label": n % 2,
            "idx": n,
            "changed": False,
        }
        for n in range(count)
    ]


def wikiann(count: int, language: str) -> list[dict]:
    return [
        {
            "tokens": ["Anna", "sees", WORDS[n % 15]],
            "ner_tags": [1, 0, 5],
            "langs": [language] * 3,
            "spans": ["PER: Anna"],
        }
        for n in range(count)
    ]


def pawsx(count: int) -> list[dict]:
    rows = pairs(count, 2, "sentence1", "sentence2")
    return [{"id": n, **row} for n, row in enumerate(rows)] + [
        {"id": count, "sentence1": "NS", "sentence2": "NS", "label": 0}
    ]


def benchmarks(hub) -> dict[str, dict]:
    """Add MNLI and XNLI to a hub; return the tasks that read them, as in config/tasks."""

    def add(name: str, splits: Mapping) -> dict:
        commit = hub.add("datasets", name, dataset(splits))
        return {"source": "hub", "repository": name, "revision": commit}

    glue = add(
        "nyu-mll/glue",
        {
            "mnli": {"train": nli(24), "validation_matched": nli(6), "test_matched": nli(3)},
            "qqp": {"train": pairs(3, 2, "question1", "question2")},
        },
    )
    xnli = add(
        "facebook/xnli", {c: {"train": nli(3), "test": nli(6, c)} for c in ("en", "de", "sw")}
    )
    columns = {"columns": PAIR, "labels": NLI}
    train = {**glue, "config": "mnli", "split": "train", **columns}
    test = {**xnli, "config": "{language}", "split": "test", **columns}
    common = {
        "family": "classify",
        "roles": ["intermediate", "target"],
        "metrics": ["accuracy"],
        "encode": {"max_length": 32},
    }
    return {
        "mnli": {**common, "languages": ["en"], "splits": {"train": train}},
        "xnli": {**common, "languages": ["en", "de"], "splits": {"train": "mnli", "test": test}},
    }
