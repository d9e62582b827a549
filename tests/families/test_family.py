"""The protocol: every family is complete, and a new family is one module."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.reference import schema
from tests.tiny_project import MODELS, STUDY, TASKS
from xstilts import families, store
from xstilts.config.origins import HubSplit
from xstilts.config.project import Project, validate
from xstilts.config.schema import Task
from xstilts.costs.estimates import Estimator
from xstilts.errors import InputError
from xstilts.families import family, names
from xstilts.grid.grid import Grid
from xstilts.report.disagreements import sample
from xstilts.sources.hub import read

FORMS = [family(name).TEXT_TO_TEXT for name in names("TEXT_TO_TEXT")]
NEW = '''
"""count: how many words a text has."""

from xstilts.families import HubColumns, Shown, features_of, pad
from xstilts.sources.hub import each

COLUMNS = {"id": str, "text": str, "label": int}
MODEL = "AutoModelForSequenceClassification"
TOKENS = 7
HUB = HubColumns({"text", "label"}, {"id"}, label=int)
CATEGORY = "Counting"


def _accuracy(rows, predictions, language):
    pairs = zip(rows, predictions, strict=True)
    return 100 * sum(row["label"] == p["prediction"] for row, p in pairs) / len(rows)


METRICS = {"accuracy": _accuracy}


def labels(rows):
    return sorted({str(row["label"]) for row in rows})


def encode(rows, tokenizer, settings, labels, train):
    return features_of(tokenizer([row["text"] for row in rows]), tokenizer.model_input_names)


def collate(features, pad_id):
    return pad(features, pad_id)


def outputs(output, batch, settings):
    return list(output.logits.float().cpu().numpy())


def decode(rows, features, logits, labels, settings):
    pairs = zip(rows, logits, strict=True)
    return [{"id": row["id"], "prediction": int(labels[x.argmax()])} for row, x in pairs]


def hub_items(records):
    return each(records, lambda record: record.labelled("text"))


def shown_texts(row):
    return [Shown("words", row["text"])]


def shown_answer(row, answer, rows, answers):
    return [(f"{answer} words", "")]
'''
PLACE = {"source": "hub", "repository": "some/data", "revision": "a" * 40, "split": "test"}
SPLIT = {**PLACE, "columns": {"text": "sentence", "label": "n"}, "labels": {"two": 2, "one": 1}}
COUNT = {
    "family": "count",
    "roles": ["intermediate", "target"],
    "languages": ["en"],
    "splits": {"train": {**SPLIT, "split": "train", "rows": 10}, "test": {**SPLIT, "rows": 3}},
    "metrics": ["accuracy"],
}


@pytest.fixture
def new(tmp_path, monkeypatch):
    """A family `count` in a module of its own."""

    def forget():
        family.cache_clear()
        names.cache_clear()
        sys.modules.pop("xstilts.families.count", None)
        vars(families).pop("count", None)
        importlib.invalidate_caches()

    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "count.py").write_text(NEW)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path / "modules")])
    monkeypatch.chdir(tmp_path)
    forget()
    yield family("count")
    forget()


def grid() -> Grid:
    study = {**STUDY, "models": ["xlmr"], "targets": ["count"], "recipes": ["none", "nli"]}
    values = {"study": study, "tasks": {**TASKS, "count": COUNT}, "models": MODELS}
    return Grid(Project.model_validate(values))


@pytest.mark.parametrize("name", [*names(), *FORMS])
def test_every_family_is_complete(name):
    import transformers

    kind = family(name)
    assert hasattr(transformers, kind.MODEL)
    assert kind.COLUMNS["id"] is str
    assert set(kind.COLUMNS.values()) <= {str, int, list[str], list[int]}
    assert kind.TOKENS > 0
    assert kind.EXAMPLES.keys() <= kind.METRICS.keys()
    if kind.METRICS:
        assert kind.CATEGORY
        assert kind.outputs
        assert kind.decode
        assert kind.shown_texts
    assert bool(kind.threshold) == bool(kind.above)
    assert bool(kind.HUB) == bool(kind.hub_items)
    if kind.HUB:
        assert not kind.HUB.required & kind.HUB.optional
        assert frozenset().union(*kind.HUB.together) <= kind.HUB.optional
        assert kind.HUB.several <= kind.HUB.required | kind.HUB.optional


@pytest.mark.parametrize("name", names("TEXT_TO_TEXT"))
def test_a_text_to_text_form_scores_alike(name):
    kind, form = family(name), family(family(name).TEXT_TO_TEXT)
    for key in ("COLUMNS", "METRICS", "EXAMPLES", "CATEGORY", "TOKENS", "shown_texts"):
        assert getattr(form, key) == getattr(kind, key)
    assert form.name not in names()


def test_an_unknown_family_is_named():
    with pytest.raises(InputError, match="x, family: unknown family 'masks': did you mean 'mask'"):
        validate(Task, {**COUNT, "family": "masks"}, "x")


def test_a_new_family_is_configured(new):
    assert "count" in json.loads(schema("task"))["properties"]["family"]["enum"]
    assert validate(Task, COUNT, "x").family == "count"
    wrong = {**COUNT, "splits": {"test": {**SPLIT, "columns": {"txt": "sentence"}}}}
    with pytest.raises(InputError, match="family count has no field 'txt': did you mean 'text'"):
        validate(Task, wrong, "x")
    with pytest.raises(InputError, match="family count has no metric 'f1': valid: accuracy"):
        families.check_metrics("count", ["f1"], "count")


def test_a_new_family_is_read_from_the_hub(new):
    Path("data.jsonl").write_text('{"sentence": "a b", "n": "two"}\n')
    table = read(HubSplit(**SPLIT), new.hub_items, [Path("data.jsonl")], "en")
    assert table.rows == [{"id": "0", "text": "a b", "label": 2}]
    Path("rows").mkdir()
    store.write_rows(Path("rows/data.parquet"), table.rows, new.COLUMNS)
    store.DatasetManifest.publish(Path("rows"), Path("published"), content={}, rows=1)
    assert store.read_rows(Path("published")) == table.rows


def test_a_new_family_has_a_cost(new):
    [_, score] = grid().scores()
    estimator = Estimator(grid().project)
    predictions = score.predictions
    assert predictions.family == "count"
    weights = estimator.parameters("xlmr", masked=0)
    assert estimator.work(predictions) == 2 * weights * 7 * 3


def test_the_report_shows_examples_of_a_new_family(new):
    scores = grid().scores()
    [dataset] = scores[0].predictions.scored
    rows = [{"id": "0", "text": "a b", "label": 2}]
    store.write_rows(store.scratch(dataset.id) / "data.parquet", rows, new.COLUMNS)
    made = store.scratch(dataset.id, keep=True)
    store.DatasetManifest.publish(made, Path(dataset.path), content={}, rows=1)
    for number, score in enumerate(scores, 1):
        path = Path(score.predictions.file(dataset))
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_lines(path, [{"id": "0", "prediction": number}])
    notices = []
    [shown] = sample(grid(), notices)
    assert not notices
    [example] = shown["examples"]
    assert example["texts"] == [["words", "a b", "en"]]
    assert example["gold"] == [["2 words", ""]]
    assert [tuple(answer) for answer in example["answers"]] == [
        ("none", 0.0, [["1 words", ""]]),
        ("nli", 100.0, [["2 words", ""]]),
    ]
