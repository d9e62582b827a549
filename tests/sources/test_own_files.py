"""A user's own tables: columns that the task names, in plain files and in archives."""

import gzip
import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from xstilts import store
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.grid.raw_files import check_present, fingerprint
from xstilts.sources import hub
from xstilts.stages import prepare

FAMILIES = {
    "classify": (
        {"columns": {"text_a": "one", "text_b": "two", "label": "gold"}, "labels": {"1": "yes"}},
        {"one": "a cat", "two": "a dog", "gold": "1"},
        {"text_a": "a cat", "text_b": "a dog", "label": "yes"},
    ),
    "choose": (
        {"columns": {"question": "q", "choices": ["x", "y"], "label": "gold"}, "labels": {"B": 1}},
        {"q": "which", "x": "left", "y": "right", "gold": "B"},
        {"context": "", "question": "which", "choices": ["left", "right"], "label": 1},
    ),
    "tag": (
        {"columns": {"words": "sentence", "tags": "ner"}},
        {"sentence": "Ann is here", "ner": "B-PER O O"},
        {"words": ["Ann", "is", "here"], "tags": ["B-PER", "O", "O"]},
    ),
    "answer": (
        {"columns": {"context": "c", "question": "q", "answers": "a", "starts": "at"}},
        {"c": "Ann is here", "q": "Who?", "a": "Ann", "at": "0"},
        {"context": "Ann is here", "question": "Who?", "answers": ["Ann"], "starts": [0]},
    ),
    "mask": ({"columns": {"text": "t"}}, {"t": "some text"}, {"text": "some text", "text_b": ""}),
}


def write(path: Path, format: str, *rows: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return
    if format == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    mark = {"tsv": "\t", "csv": ","}[format]
    lines = [mark.join(rows[0]), *(mark.join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def project(family: str, split: dict, languages: tuple[str, ...] = ("en",)) -> Project:
    task = {
        "family": family,
        "roles": ["target", "intermediate", "pretraining"],
        "languages": languages,
        "splits": {"train": {"source": "files", **split}, "test": {"source": "files", **split}},
        "metrics": {"classify": ["macro_f1"], "mask": []}.get(family, ["f1"]),
    }
    return project_of({"own": task})


def project_of(own: dict) -> Project:
    study = {"study": "s", "models": ["m"], "recipes": ["none"], "targets": [*own], "seeds": [1]}
    architecture = {"model_type": "xlm-roberta"}
    init = {"architecture": architecture, "tokenizer": {"task": "text", "vocabulary": 99}}
    lab = {"source": "lab", "kind": "text", "size": 9}
    text = {"family": "mask", "roles": ["pretraining"], "languages": ["en"]}
    tasks = {**own, "text": {**text, "splits": {"train": lab}}}
    values = {"study": study, "tasks": tasks, "models": {"m": {"init": init}}}
    return Project.model_validate(values)


def planned(*arguments) -> Grid:
    return Grid(fingerprint(project(*arguments), Path("raw.json"))[0])


def rows_of(*arguments, language: str = "en") -> list[dict]:
    grid = planned(*arguments)
    dataset = grid.data.dataset("own", language, "test")
    prepare.run([dataset], grid.project)
    return store.read_rows(Path(dataset.path))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()


@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_reads_each_format(family, format):
    split, raw, expected = FAMILIES[family]
    write(Path(f"data/en.test.{format}"), format, raw)
    write(Path(f"data/en.train.{format}"), format, raw)
    split = {**split, "format": format, "path": f"{{language}}.{{split}}.{format}"}
    assert rows_of(family, split) == [{"id": "0", **expected}]


def test_aligned_sentences_are_pairs():
    write(Path("data/de.test.tsv"), "tsv", {"deu": "Hund", "eng": "dog"})
    split = {
        "format": "tsv",
        "path": "de.test.tsv",
        "columns": {"foreign": "deu", "english": "eng"},
    }
    rows = rows_of("mine", split, ("de",), language="de")
    assert {(row["side"], row["text"]) for row in rows} == {("foreign", "Hund"), ("english", "dog")}


CONLL = "-DOCSTART- -X-\n\nAnn  B-PER\nis\tO \n\nBonn B-LOC\n"


def test_conll_files_have_a_word_and_its_tags_per_line():
    Path("data/en.txt").write_text(CONLL)
    split = {"format": "conll", "path": "en.txt", "columns": {"words": "1", "tags": "2"}}
    assert rows_of("tag", split) == [
        {"id": "0", "words": ["Ann", "is"], "tags": ["B-PER", "O"]},
        {"id": "1", "words": ["Bonn"], "tags": ["B-LOC"]},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann B-PER\nis\n", "en.txt:2: 1 columns, expected 2 as in the first line"),
        ("Ann\nis\n", "en.txt:1: 1 columns, expected a word and its tag"),
    ],
)
def test_incomplete_lines_of_conll_are_named(text, message):
    Path("data/en.txt").write_text(text)
    split = {"format": "conll", "path": "en.txt", "columns": {"words": "1", "tags": "2"}}
    with pytest.raises(InputError, match=message):
        rows_of("tag", split)


def test_codes_are_the_names_of_languages_in_a_release():
    split, _, expected = FAMILIES["classify"]
    write(Path("data/eng.tsv"), "tsv", {"one_eng": "a cat", "two": "a dog", "gold": "1"})
    columns = {**split["columns"], "text_a": "one_{language}"}
    split = {**split, "columns": columns, "format": "tsv", "path": "{language}.tsv"}
    split["codes"] = {"en": "eng"}
    assert rows_of("classify", split) == [{"id": "0", **expected}]
    renamed = {**split, "path": "eng.tsv"}
    ids = {planned("classify", s).data.dataset("own", "en", "test").id for s in (split, renamed)}
    assert len(ids) == 1


def test_archives_are_read_as_they_are():
    split, raw, expected = FAMILIES["classify"]
    write(Path("en.test.tsv"), "tsv", raw)
    content = Path("en.test.tsv").read_bytes()
    Path("data/en.test.tsv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile("data/own.zip", "w") as archive:
        archive.write("en.test.tsv", "v1/en.test.tsv")
        archive.writestr("README", "about")
    with zipfile.ZipFile("data/one.zip", "w") as archive:
        archive.write("en.test.tsv")
    paths = ("{language}.test.tsv.gz", "own.zip/v1/{language}.test.tsv", "one.zip", "own.zip/*.tsv")
    for path in paths:
        assert rows_of("classify", {**split, "format": "tsv", "path": path}) == [
            {"id": "0", **expected}
        ]


def test_parquet_in_an_archive():
    split, raw, expected = FAMILIES["mask"]
    write(Path("t.parquet"), "parquet", raw)
    with zipfile.ZipFile("data/own.zip", "w") as archive:
        archive.write("t.parquet")
    split = {**split, "format": "parquet", "path": "own.zip/t.parquet"}
    assert rows_of("mask", split) == [{"id": "0", **expected}]


def test_unpacking_an_archive_changes_no_identity():
    split, raw, _ = FAMILIES["classify"]
    write(Path("data/en.tsv"), "tsv", raw)
    with zipfile.ZipFile("data/own.zip", "w") as archive:
        archive.write("data/en.tsv", "en.tsv")
    ids = {
        planned("classify", {**split, "format": "tsv", "path": path})
        .data.dataset("own", "en", "test")
        .id
        for path in ("en.tsv", "own.zip/en.tsv")
    }
    assert len(ids) == 1


def change(**keys):
    return lambda split: {**split, **keys}


MISTAKES = {
    "format": (change(format="tvs"), "format: unknown format 'tvs'; did you mean 'tsv'"),
    "family": (change(format="conllu", columns={}), "format: conllu is of family tag"),
    "no columns": (change(columns={}), "columns: family classify needs 'label'"),
    "columns": (change(format="pawsx"), "columns: format pawsx has its own columns"),
    "options": (change(options={"labelled": False}), "options: format tsv has none"),
    "field": (change(columns={"text": "one"}), "family classify has no field 'text'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_the_entry_are_found_at_once(case):
    damage, message = MISTAKES[case]
    split = {**FAMILIES["classify"][0], "format": "tsv", "path": "en.tsv"}
    with pytest.raises(ValueError, match=r"splits\.train\.") as raised:
        project("classify", damage(split))
    assert message in str(raised.value)


def test_missing_column_is_found_when_planning():
    split, raw, _ = FAMILIES["classify"]
    write(Path("data/en.tsv"), "tsv", raw)
    split = {
        **split,
        "format": "tsv",
        "path": "en.tsv",
        "columns": {"text_a": "on", "label": "gold"},
    }
    with pytest.raises(InputError) as raised:
        planned("classify", split)
    expected = "task 'own', splits.train: data/en.tsv:2: no column 'on'; did you mean 'one'"
    assert str(raised.value).startswith(expected)


def test_missing_file_is_found_when_planning():
    split, raw, _ = FAMILIES["classify"]
    write(Path("data/en.tsv"), "tsv", raw)
    grid = planned("classify", {**split, "format": "tsv", "path": "{language}.tsv"}, ("en", "de"))
    with pytest.raises(InputError, match=r"task 'own', splits\.test\.path: no file .* 'de' below"):
        check_present(grid.shared().datasets.values(), Path("data"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("en.tsv.gz", b"one\ttwo", "not valid gzip"),
        ("en.zip", b"PK", "not valid zip"),
        ("en.zip/en.tsv", b"PK", "not valid zip"),
    ],
)
def test_damaged_archive_is_named(name, content, message):
    Path("data", name.split("/")[0]).write_bytes(content)
    split = {**FAMILIES["classify"][0], "format": "tsv", "path": name}
    with pytest.raises(InputError, match=message):
        planned("classify", split)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_member_of_an_archive_is_named(method):
    with zipfile.ZipFile("data/own.zip", "w", method) as archive:
        archive.writestr("en.tsv", "one\ttwo\tgold\n" + "a\tb\t1\n" * 400)
    content = bytearray(Path("data/own.zip").read_bytes())
    content[60:70] = bytes(10)
    Path("data/own.zip").write_bytes(content)
    split = {**FAMILIES["classify"][0], "format": "tsv", "path": "own.zip/en.tsv"}
    with pytest.raises(InputError, match=r"own\.zip/en\.tsv: (not valid zip|cannot be read: Inv)"):
        rows_of("classify", split)


LABELS = [
    ("classify", "gold", ["Yes", "yes"], "labels 'Yes' and 'yes' look alike"),
    ("classify", "gold", ["0", "1.0", "1"], "labels '1' and '1.0' look alike"),
    ("classify", "gold", ["yes", "yes\u200b"], r"labels 'yes' and 'yes\\u200b' look alike"),
    ("classify", "gold", ["\u00e9", "e\u0301"], r"labels 'e\\u0301' and '\\xe9' look alike"),
    ("classify", "gold", ["\uff11", "1"], r"labels '1' and '\\uff11' look alike"),
    ("tag", "ner", ["B-PER O O", "b-per O O"], "labels 'B-PER' and 'b-per' look alike"),
    ("tag", "ner", ["1 0 0"], "f1 counts spans, and '0' is no tag of a span"),
    ("tag", "ner", ["PER O O"], "f1 counts spans, and 'PER' is no tag of a span"),
]


@pytest.mark.parametrize(("family", "column", "labels", "message"), LABELS)
def test_labels_that_no_model_should_learn_are_named(family, column, labels, message):
    split, raw, _ = FAMILIES[family]
    write(Path("data/en.jsonl"), "jsonl", *({**raw, column: label} for label in labels))
    split = {"columns": split["columns"], "format": "jsonl", "path": "en.jsonl"}
    with pytest.raises(InputError, match=message):
        rows_of(family, split)


def test_csv_field_may_be_long():
    split, raw, _ = FAMILIES["mask"]
    write(Path("data/en.csv"), "csv", raw | {"t": "x" * 200_000})
    [row] = rows_of("mask", {**split, "format": "csv", "path": "en.csv"})
    assert len(row["text"]) == 200_000


def test_archive_of_several_files_needs_a_name():
    with zipfile.ZipFile("data/own.zip", "w") as archive:
        archive.writestr("a.tsv", "x")
        archive.writestr("b.tsv", "x")
    split = {**FAMILIES["classify"][0], "format": "tsv", "path": "own.zip"}
    with pytest.raises(InputError, match=r"2 files \(a.tsv, b.tsv\), expected one"):
        planned("classify", split)


def test_lists_of_structures_are_columns():
    answers = [{"text": "Ann", "answer_start": 0}, {"text": "An", "answer_start": 0}]
    rows = [{"c": "Ann", "q": "Who?", "answers": answers}, {"c": "x", "q": "?", "answers": []}]
    write(Path("data/en.jsonl"), "jsonl", *rows)
    columns = {"context": "c", "question": "q"}
    columns |= {"answers": "answers.text", "starts": "answers.answer_start"}
    read = rows_of("answer", {"format": "jsonl", "path": "en.jsonl", "columns": columns})
    assert [row["answers"] for row in read] == [["Ann", "An"], []]


def test_translations_are_columns_of_their_language():
    flat = hub._flat({"hypothesis": {"language": ["de", "en"], "translation": ["x", "y"]}})
    assert (flat["hypothesis.de"], flat["hypothesis.en"]) == ("x", "y")


def test_examples_of_the_documentation_are_read():
    page = (Path(__file__).parents[2] / "config/README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(my_entities:.*?)```", page, re.DOTALL)
    question = re.search(r'`(\{"passage".*?\})`', page)[1]
    for language in ("en", "de"):
        for split in ("train", "test"):
            for task, ending, line in (
                ("entities", "conll", "Berlin B-LOC\n\n"),
                ("questions", "jsonl", question),
            ):
                path = Path(f"data/my_{task}/{language}.{split}.{ending}")
                path.parent.mkdir(exist_ok=True)
                path.write_text(line)
    own = yaml.safe_load(block)
    grid = Grid(fingerprint(project_of(own), Path("raw.json"))[0])
    datasets = [grid.data.dataset(task, "de", "test") for task in own]
    prepare.run(datasets, grid.project)
    entities, questions = (store.read_rows(Path(dataset.path)) for dataset in datasets)
    assert entities == [{"id": "0", "words": ["Berlin"], "tags": ["B-LOC"]}]
    assert (questions[0]["answers"], questions[0]["starts"]) == (["Ann"], [0])
