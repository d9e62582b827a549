"""Columns of a dataset on the Hub to canonical rows; valid entries; identities."""

import gzip
import json
import logging
import os
import re
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub.repositories import NER, NLI, PAIR, SQUAD, parquet
from xstilts.config.origins import HubSplit
from xstilts.config.project import Project, validate
from xstilts.config.schema import Task
from xstilts.errors import InputError
from xstilts.families import family as family_of
from xstilts.families import mask
from xstilts.grid.grid import Grid
from xstilts.sources.hub import read

PLACE = {"source": "hub", "repository": "some/data", "revision": "a" * 40, "split": "test"}
QUESTION = {"id": "q", "question": "Where?", "choices": {"label": ["A", "B"], "text": ["x", "y"]}}
CHOICES = {"question": "question", "choices": "choices.text", "label": "answerKey"}


@pytest.fixture
def load(tmp_path):
    """Write records as a file and read them."""

    def rows(family, records, language="en", name="data.parquet", **split):
        path = tmp_path / name
        if name.endswith("parquet"):
            path.write_bytes(parquet(records))
        else:
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return read(HubSplit(**PLACE, **split), family_of(family).hub_items, [path], language)

    return rows


@pytest.mark.parametrize("name", ["data.parquet", "data.jsonl"])
def test_a_dot_selects_a_field_inside_a_column(load, name):
    table = load(
        "choose",
        [{**QUESTION, "answerKey": "B"}],
        name=name,
        columns=CHOICES,
        labels={"A": 0, "B": 1},
    )
    assert table.rows == [
        {"id": "0", "context": "", "question": "Where?", "choices": ["x", "y"], "label": 1}
    ]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("key", "names", "position"), [("A", "BA", 1), ("B", "BA", 0), ("2", "12", 1), ("z", "yz", 1)]
)
def test_keys_name_a_choice_by_its_label(load, listed, key, names, position):
    choices = {"label": list(names), "text": [f"text {name}" for name in names]}
    if listed:
        pairs = zip(*choices.values(), strict=True)
        choices = [{"label": name, "text": text} for name, text in pairs]
    record = {"question": "Where?", "choices": choices, "answerKey": key}
    [row] = load("choose", [record], columns=CHOICES, labels={"A": 0, "B": 1}).rows
    assert row["choices"][row["label"]] == f"text {key}"
    assert row["label"] == position


PARALLEL = {"columns": {"text_a": "t.de", "label": "l"}}
WORDS = {"columns": {"words": "w", "tags": "t"}}
ANSWERS = {"columns": {"context": "c", "question": "c", "answers": "a", "starts": "s"}}
UNREADABLE = [
    ("classify", PARALLEL, {"t": {"language": None, "translation": None}}, "no column 't.de'"),
    ("classify", PARALLEL, {"t": {"language": ["de", "en"], "translation": ["x"]}}, "'t.de'"),
    ("classify", PARALLEL, {"t": {"language": ["de"] * 2, "translation": ["x", "y"]}}, "'t.de'"),
    ("tag", WORDS, {"w": "['a', 'b']", "t": "['O', 'O']"}, "a JSON list such as"),
    ("tag", WORDS, {"w": "[" * 50_000, "t": "[" * 50_000}, "a JSON list such as"),
    ("answer", ANSWERS, {"c": "Rome", "a": ["Rome"], "s": [False]}, "has False in its list"),
    ("answer", ANSWERS, {"c": "Rome", "a": ["Rome"], "s": "9" * 5000}, "'s' has '999"),
]


@pytest.mark.parametrize(("family", "split", "record", "message"), UNREADABLE)
def test_values_that_are_no_rows_are_named(load, family, split, record, message):
    with pytest.raises(InputError, match=f"jsonl:1: .*{message}"):
        load(family, [{"l": "x", **record}], name="data.jsonl", **split)


def test_parquet_with_odd_columns_is_explained(tmp_path):
    columns = {"columns": {"text_a": "a", "label": "l"}}
    far = pa.array([10**16], pa.timestamp("ms"))
    for values, names, message in [
        ([["x"], ["1"], ["2"]], ["a", "l", "l"], "column 'l' is given twice"),
        ([["x"], ["1"], far], ["a", "l", "when"], "after row 0 cannot be read: date value out"),
    ]:
        path = tmp_path / "data.parquet"
        pq.write_table(pa.Table.from_arrays([*map(pa.array, values)], names), path)
        with pytest.raises(InputError, match=message):
            read(HubSplit(**PLACE, **columns), family_of("classify").hub_items, [path], "en")


def test_keys_without_a_choice_are_errors(load):
    records = [{**QUESTION, "answerKey": "C"}]
    with pytest.raises(InputError, match=r"data\.parquet: row 1: unknown label 'C'; valid: A, B"):
        load("choose", records, columns=CHOICES, labels={"A": 0, "B": 1, "C": 2})


def test_excluded_rows_are_counted(load):
    records = [
        {"id": "english-1", "text": "a"},
        {"id": "finnish-1", "text": "b"},
        {"id": "finnish-2", "text": ""},
    ]
    table = load(
        "mask",
        records,
        "fi",
        columns={"id": "id", "text": "text"},
        only={"id": "{name}-*"},
        excluded={"text": {"": "blank line"}},
    )
    assert table.rows == [{"id": "finnish-1", "text": "b", "text_b": ""}]
    assert table.excluded == {"blank line": 1}


def test_the_language_may_be_in_a_column(load):
    record = {"sentence_en": "a", "sentence_de": "b"}
    columns = {"text": "sentence_en", "text_b": "sentence_{language}"}
    (row,) = load("mask", [record], "de", columns=columns).rows
    assert (row["text"], row["text_b"]) == ("a", "b")


TEXTS = {
    "data.csv": 'id,text\r\n1,"a, b"\r\n',
    "data.tsv": "id\ttext\n1\ta, b\n",
    "data.json": '[{"id": 1, "text": "a, b"}]',
    "data.jsonl": '{"id": 1, "text": "a, b"}\n',
    "data.txt": "a, b\n",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_text_files_may_be_compressed(tmp_path, name, packed):
    path = tmp_path / f"{name}{'.gz' if packed else ''}"
    data = TEXTS[name].encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    columns = {"text": "text"} if name == "data.txt" else {"text": "text", "id": "id"}
    table = read(HubSplit(**PLACE, columns=columns), mask.hub_items, [path], "en")
    assert [row["text"] for row in table.rows] == ["a, b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", 'text\n"a', r"data\.csv:2: not valid CSV, or truncated"),
        ("data.tsv", "id\ttext\n1\n", r"data\.tsv:2: 1 columns, expected 2"),
        ("data.json", '[{"text": "a"}, 3]', "row 2: expected a JSON object, found int"),
        ("data.json", '[{"text": "a"}', r"data\.json: not valid JSON, or truncated"),
        ("data.jsonl.gz", b"", "the file is empty|not valid gzip"),
        ("data.txt.gz", gzip.compress(b"a" * 99, mtime=0)[:-8], "not valid gzip, or truncated"),
    ],
)
def test_a_damaged_text_file_is_one_message(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read(HubSplit(**PLACE, columns={"text": "text"}), mask.hub_items, [path], "en")


def test_lines_and_limit(load):
    records = [{"text": "one\n\n two "}, {"text": "three"}]
    split = {"columns": {"text": "text"}, "lines": True}
    assert [row["text"] for row in load("mask", records, **split).rows] == ["one", "two", "three"]
    assert [row["text"] for row in load("mask", records, limit=2, **split).rows] == ["one", "two"]


POOLS = {"foreign": "a", "english": "b", "pairs": "gold"}


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([[1, 3]], r"pair \[1, 3\], but the row has 2 sentences"),
        ([[0, 1]], r"pair \[0, 1\], but the row has 2 sentences"),
        ([[1, 1], [2, 1]], "'en-2' already has the translation 'de-2'"),
        ([[1]], r"\[1\] is not a pair of numbers"),
    ],
)
def test_pairs_must_fit_the_pools(load, gold, message):
    record = {"a": ["x", "y"], "b": ["x", "y"], "gold": gold}
    with pytest.raises(InputError, match=message):
        load("mine", [{**record, "gold": [[1, 2]]}, record, record], "de", columns=POOLS)


def test_true_is_no_number_of_a_sentence(load):
    record = {"a": ["x"], "b": ["y"], "gold": [[True, True]]}
    with pytest.raises(InputError, match=r"\[True, True\] is not a pair of numbers"):
        load("mine", [record], "de", name="data.jsonl", columns=POOLS)


def test_a_column_with_a_dot_in_its_name_is_read(load):
    record = {"a.b": "outer", "a": {"b": "inner"}, "l": "x"}
    [row] = load("classify", [record], columns={"text_a": "a.b", "label": "l"}).rows
    assert row["text_a"] == "outer"


TREE = {"w": ["in", "dem", "Haus"], "t": ["ADP", "DET", "NOUN"], "h": ["3", "3", "0"]}
TREEBANK = {"words": "w", "tags": "t", "heads": "h", "fused": "m"}


def test_a_treebank_becomes_surface_words(load):
    record = TREE | {"m": [{"id": "1-2", "form": "im"}]}
    [row] = load("tag", [record], "de", columns=TREEBANK).rows
    assert (row["words"], row["tags"]) == (["im", "Haus"], ["ADP", "NOUN"])
    hidden = {"w": ["_"], "t": ["NOUN"], "h": ["0"], "m": []}
    table = load("tag", [hidden, record], "de", columns=TREEBANK)
    assert table.excluded == {"sentence with its words withheld": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": [{"id": "3-4", "form": "x"}]}, "row 1: 'x' fuses words 3 to 4, but the sentence"),
        ({"m": [{"id": "x", "form": "x"}]}, "row 1: 'x' is not a word number"),
        ({"h": ["3"]}, "row 1: 3 words and 1 heads"),
        ({"t": ["ADP", "DET", "NOMEN"]}, "row 1: unknown label 'NOMEN'; valid: ADJ"),
    ],
)
def test_an_invalid_tree_is_one_message(load, changes, message):
    record = TREE | {"m": [{"id": "1-2", "form": "im"}]} | changes
    with pytest.raises(InputError, match=message):
        load("tag", [record], "de", columns=TREEBANK)


def test_wording_surrounds_the_text(load):
    record = {"premise": "p", "hypothesis": "h", "label": "0"}
    row = load("classify", [record], columns=PAIR, wording={"text_b": "so {}"}).rows[0]
    assert row["text_b"] == "so h"


def test_labels_without_a_mapping_stay(load):
    record = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    assert load("classify", [record], columns=PAIR).rows[0]["label"] == "neutral"


def answered(texts, starts):
    """Return a record of a question with answers."""
    answers = {"text": texts, "answer_start": starts}
    return {"id": "1", "context": "It is red.", "question": "?", "answers": answers}


@pytest.mark.parametrize(
    ("family", "record", "message"),
    [
        ("classify", {"premise": None, "hypothesis": "b", "label": 0}, "'premise' holds None"),
        ("classify", {"premise": "a", "hypothesis": "b", "label": 7}, "unknown label '7'"),
        ("tag", {"tokens": ["a", "b"], "ner_tags": [0]}, "row 1: 2 words and 1 tags"),
        ("tag", {"tokens": ["a"], "ner_tags": [9]}, "unknown label '9'"),
        ("answer", answered(["red"], [3]), "answer 'red' is not at offset 3 but at 6"),
        ("answer", answered(["red"], [6, 7]), "1 answers and 2 offsets"),
        ("answer", answered([""], [0]), "the answer is empty, as where labels were removed"),
    ],
)
def test_an_unusable_row_is_reported(load, family, record, message):
    usual = {
        "classify": {"columns": PAIR, "labels": NLI},
        "tag": {"columns": {"words": "tokens", "tags": "ner_tags"}, "labels": NER},
        "answer": {"columns": SQUAD},
    }
    with pytest.raises(InputError) as error:
        load(family, [record], **usual[family])
    assert message in str(error.value)
    assert "data.parquet: row 1: " in str(error.value)


def test_a_truncated_file_is_reported(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_bytes(parquet([{"text": "a"}])[:40])
    with pytest.raises(InputError, match=r"data\.parquet: not valid Parquet, or truncated"):
        read(HubSplit(**PLACE, columns={"text": "text"}), mask.hub_items, [path], "en")


@pytest.mark.parametrize(
    ("family", "split", "message"),
    [
        ("classify", {"columns": {**PAIR, "text_c": "x"}}, "no field 'text_c': did you mean"),
        ("classify", {"columns": {"text_a": "x"}}, "family classify needs 'label'"),
        ("classify", {"columns": {**PAIR, "text_a": ["x", "y"]}}, "columns.text_a: expected one"),
        ("classify", {"columns": PAIR, "labels": {0: 1}}, "labels.0: 1, expected text"),
        ("choose", {"columns": CHOICES}, "labels: family choose needs"),
        ("choose", {"columns": CHOICES, "labels": {"A": "0"}}, "labels.A: '0', expected a choice"),
        (
            "choose",
            {"columns": CHOICES, "labels": {"A": -1}},
            "labels.A: -1, expected a choice's number",
        ),
        (
            "choose",
            {"columns": {**CHOICES, "choices": ["x", "y"]}, "labels": {"A": 2}},
            "labels.A: 2, expected a choice's number, from 0 to 1",
        ),
        ("retrieve", {"columns": {}}, "not for family retrieve, only answer, choose, classify"),
        ("mask", {"columns": {"text": "t"}, "revision": "main"}, "'main' is not allowed; expected"),
        ("tag", {"columns": {"words": "w", "tags": "t", "heads": "h"}}, "go together"),
        ("classify", {"columns": PAIR, "lines": True}, "lines: not for family classify"),
        *(
            (
                "classify",
                {"columns": PAIR, "wording": {"text_b": text}},
                "wording.text_b: expected a",
            )
            for text in ("x", "{} {name}", "{} {", "{}{}", "{!r} {}", "{}}", "{:>9}")
        ),
        ("mask", {"columns": {"text": "t"}, "confg": "x"}, "unknown key 'confg': did you mean"),
    ],
)
def test_an_invalid_entry_is_reported_with_its_key(family, split, message):
    task = {
        "family": family,
        "roles": ["target"],
        "languages": ["en"],
        "splits": {"test": {**PLACE, **split}},
    }
    with pytest.raises(InputError) as error:
        validate(Task, task, "tasks.yaml, x")
    assert message in str(error.value)
    assert re.match(r"tasks\.yaml, x(, |: )splits\.test[.:]", str(error.value))


def _datasets(**changes):
    split = {**PLACE, "config": "{language}", "columns": PAIR, "labels": NLI, **changes}
    task = {
        "family": "classify",
        "roles": ["target"],
        "languages": ["en", "de"],
        "splits": {"test": split},
    }
    model = {"hub": {"repository": "some/model", "revision": "b" * 40}}
    study = {"study": "s", "models": ["m"], "recipes": ["none"], "targets": ["t"], "seeds": [1]}
    values = {"study": study, "tasks": {"t": task}, "models": {"m": model}}
    grid = Grid(Project.model_validate(values))
    again = Grid(Project.model_validate(json.loads(grid.project.model_dump_json())))
    found = [grid.data.dataset("t", language, "test") for language in ("en", "de")]
    assert [again.data.dataset("t", language, "test").id for language in ("en", "de")] == [
        dataset.id for dataset in found
    ]
    return [d.id for d in found], [d.download.id for d in found]


def test_columns_and_commits_change_identities():
    prepared, fetched = _datasets()
    assert len({*prepared, *fetched}) == 4
    renamed, same = _datasets(columns={**PAIR, "text_a": "other"})
    assert same == fetched
    assert not set(renamed) & set(prepared)
    newer, downloads = _datasets(revision="c" * 40)
    assert not {*newer, *downloads} & {*prepared, *fetched}


def test_mixed_split_is_downloaded_once():
    prepared, fetched = _datasets(config="all", only={"language": "{language}"})
    assert len(set(prepared)) == 2
    assert len(set(fetched)) == 1


def test_jobs_are_offline(monkeypatch):
    from xstilts.grid.state import use_this_installation

    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "HF_HUB_OFFLINE": "0"})
    use_this_installation()
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_DATASETS_OFFLINE"] == "1"


def test_a_long_download_reports_progress(monkeypatch, caplog):
    from huggingface_hub.utils.tqdm import _get_progress_bar_context

    from xstilts.stages import fetch

    monkeypatch.setattr(fetch, "PROGRESS_SECONDS", 0.02)
    caplog.set_level(logging.INFO, "xstilts")
    options = {"desc": "model.safetensors", "log_level": logging.WARNING, "total": 4_000_000}
    with _get_progress_bar_context(**options, name="x", tqdm_class=fetch.Progress) as bar:
        for _ in range(4):
            time.sleep(0.03)
            bar.update(1_000_000)
    assert "  model.safetensors: 2.00M of 4.00M, " in caplog.text
    assert " left" in caplog.text
