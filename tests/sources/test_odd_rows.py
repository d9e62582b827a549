"""Tables as other programs write them: the right value, or one message, never another value."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from tests.sources.samples import COPA, ud
from tests.tiny_project import MODELS, STUDY, TASKS
from xstilts.config.project import Project, validate
from xstilts.config.schema import Task
from xstilts.errors import InputError
from xstilts.families import family as family_of
from xstilts.sources import files, hub

PAIR = {"columns": {"text_a": "text", "label": "label"}}
CHOICES = {
    "columns": {"question": "q", "choices": "choices", "label": "answer"},
    "labels": {"A": 0, "B": 1, "C": 2},
}
WORDS = {"columns": {"words": "w", "tags": "t"}}
CONLL = {"columns": {"words": "1", "tags": "2"}}


def task(family, **split):
    spec = {"source": "files", "path": "data", **split}
    values = {"family": family, "roles": ["target"], "languages": ["de"], "splits": {"test": spec}}
    return validate(Task, values, "own.yaml, mine")


@pytest.fixture
def rows(tmp_path):
    """Return a function that reads a file of a user's own format."""

    def read(family, format, content, **split):
        path = tmp_path / "data"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        made = task(family, format=format, **split).splits["test"]
        return hub.read(made, family_of(family).hub_items, [path], "de").rows

    return read


def jsonl(*records):
    return "\n".join(map(json.dumps, records))


@pytest.mark.parametrize(
    ("format", "content", "texts"),
    [
        ("tsv", '"a ""b"" c"\tx\n"plain"\ty\n"a"b"\ty\n', ['a "b" c', '"plain"', '"a"b"']),
        ("tsv", "a\tx\n\nb\ty\n\n", ["a", "b"]),
        ("csv", "a,x\n\nb,y\n\n", ["a", "b"]),
        ("csv", '"a, ""b""",x\n', ['a, "b"']),
    ],
)
def test_quotation_marks_and_blank_lines(rows, format, content, texts):
    header = "text\tlabel\n" if format == "tsv" else "text,label\n"
    assert [row["text_a"] for row in rows("classify", format, header + content, **PAIR)] == texts


def test_blank_lines_of_json_lines(rows):
    content = jsonl({"text": "a", "label": 1}) + "\n\n" + jsonl({"text": "b", "label": 2}) + "\n\n"
    assert [row["id"] for row in rows("classify", "jsonl", content, **PAIR)] == ["0", "1"]


@pytest.mark.parametrize(
    ("key", "kept"), [("true", ["a"]), ("True", ["a"]), ("false", ["b"]), ("null", ["c"])]
)
def test_true_false_and_null_are_written_in_both_ways(rows, key, kept):
    values = {"a": True, "b": False, "c": None}
    content = jsonl(*({"text": t, "label": t, "ok": ok} for t, ok in values.items()))
    only = rows("classify", "jsonl", content, **PAIR, only={"ok": key})
    others = rows("classify", "jsonl", content, **PAIR, excluded={"ok": {key: "bad"}})
    assert [row["text_a"] for row in only] == kept
    assert [row["text_a"] for row in others] == [text for text in values if text not in kept]


def test_whole_numbers_are_written_in_both_ways(rows):
    content = jsonl({"text": "a", "label": 1, "n": 2.0}, {"text": "b", "label": 1, "n": 3.0})
    [row] = rows("classify", "jsonl", content, **PAIR, excluded={"n": {"2": "bad"}})
    assert row["text_a"] == "b"


def test_labels_true_and_false_are_renamed(rows):
    content = jsonl({"text": "a", "label": True}, {"text": "b", "label": False})
    labels = {"true": "yes", "false": "no"}
    labelled = rows("classify", "jsonl", content, **PAIR, labels=labels)
    assert [row["label"] for row in labelled] == ["yes", "no"]


@pytest.mark.parametrize("column", ["choices.key", "choices.label", "names"])
def test_keys_name_the_labels_of_the_choices(rows, column):
    name = column.rpartition(".")[2]
    texts, labels = ["wrong", "right", "other"], ["B", "A", "C"]
    if name == "names":
        record = {"choices": texts, "names": labels}
    else:
        record = {"choices": [{"text": t, name: x} for t, x in zip(texts, labels, strict=True)]}
    choices = "choices" if name == "names" else "choices.text"
    columns = {**CHOICES["columns"], "choices": choices}
    content = jsonl({"q": "?", "answer": "A", **record})
    split = {**CHOICES, "columns": {**columns, "keys": column}}
    assert rows("choose", "jsonl", content, **split)[0]["label"] == 1
    if name != "label":
        with pytest.raises(InputError, match=f"'{column}' holds .* write `keys: {column}`"):
            rows("choose", "jsonl", content, **{**split, "columns": columns})


def test_other_lists_are_no_labels_of_choices(rows):
    record = {"q": "?", "choices": ["x", "y"], "answer": "A"}
    for others in ({"votes": [1, 0]}, {"names": ["A", "B"]}, {"names": ["B"]}):
        [row] = rows("choose", "jsonl", jsonl(record | others), **CHOICES)
        assert row["label"] == 0


def test_choices_of_a_table_are_a_json_list(rows):
    header = "q\tchoices\tanswer\n"
    [row] = rows("choose", "tsv", header + '?\t["x", "y"]\tB\n', **CHOICES)
    assert (row["choices"], row["label"]) == (["x", "y"], 1)
    with pytest.raises(InputError, match=r"2: .*expected a JSON list such as"):
        rows("choose", "tsv", header + "?\t['x', 'y']\tB\n", **CHOICES)


def test_comments_and_docstarts_lose_no_word(rows):
    content = "-DOCSTART- O\na B-PER\n\n# id 7 domain=en\nb O\n\n# O\nc O\n"
    words = [row["words"] for row in rows("tag", "conll", content, **CONLL)]
    assert words == [["a"], ["b"], ["#", "c"]]


def test_white_space_of_tags_does_not_count(rows):
    [row] = rows("tag", "jsonl", jsonl({"w": ["a", "b"], "t": ["O ", " B-PER"]}), **WORDS)
    assert row["tags"] == ["O", "B-PER"]


TREE = "# sent_id = 1\n1-2\tam\t_\n1\tan\tADP\n2\tdem\tDET\n"
REFUSED = [
    ("classify", "csv", PAIR, 'text,label\n"a", "x"\n', r":2: a space before a quotation mark"),
    ("classify", "tsv", PAIR, "text\tlabel\na\n", r":2: 1 columns, expected 2"),
    ("classify", "tsv", PAIR, "text\tlabel\n", "no row"),
    ("classify", "tsv", PAIR, "<!DOCTYPE html>\n<html>\n", ":1: a page of HTML"),
    ("classify", "tsv", PAIR, "text\tlabel\na\0\tx\n", ":2: a zero byte"),
    ("mask", "csv", {"columns": {"text": "t"}}, b"t\n" + b"\0" * 512, ":2: a zero byte"),
    ("tag", "csv", WORDS, "w,t\n\"['a', 'b']\",O O\n", "expected words between spaces, or a JSON"),
    ("tag", "conll", CONLL, TREE, ":2: 1-2 of CoNLL-U; `format: conllu` reads it"),
    ("choose", "jsonl", CHOICES, jsonl({"q": "?", "choices": ["x"], "answer": "A"}), "two choices"),
    (
        "classify",
        "tsv",
        {"columns": {**PAIR["columns"], "id": "id"}},
        "id\ttext\tlabel\n \ta\tx\n",
        ":2: the id is empty",
    ),
]


@pytest.mark.parametrize(("family", "format", "split", "content", "message"), REFUSED)
def test_what_is_no_row_is_named(rows, family, format, split, content, message):
    with pytest.raises(InputError, match=message):
        rows(family, format, content, **split)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.parquet"])
def test_a_pointer_in_place_of_a_file_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(POINTER)
    reader = hub.READERS[hub.kind(path)]
    with pytest.raises(InputError, match=f"{name}: a pointer of Git LFS"):
        list(reader(path))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"text\n"))
    assert [row["text"] for _, row in hub.READERS[".txt"](tmp_path / "b.txt.gz")] == ["text"]


@pytest.mark.parametrize(
    ("family", "columns", "message"),
    [
        ("mine", {"foreign": "x", "english": "x"}, "columns.english: 'x' .* foreign and english"),
        ("classify", {"text_a": "x", "label": "x"}, "columns.label: 'x' is given twice"),
        ("choose", {"choices": ["x", "x"], "label": "y"}, "columns.choices: 'x' is given twice"),
    ],
)
def test_a_column_fills_one_field(family, columns, message):
    labels = {"A": 0} if family == "choose" else {}
    with pytest.raises(InputError, match=message):
        task(family, format="tsv", columns=columns, labels=labels)
    task("classify", format="tsv", columns={"text_a": "x", "label": "y", "id": "x"})


def several(split, family="classify", **others):
    spec = {"source": "files", "format": "tsv", "path": "test.tsv", **PAIR, **split}
    values = {"family": family, "roles": ["target", "intermediate"], "languages": ["en", "de"]}
    return validate(Task, {**values, "splits": {"test": spec, **others}}, "own.yaml, mine")


def test_each_language_has_its_own_rows():
    for split in ({}, {"path": "*.tsv"}, {"columns": {"text_a": "en", "label": "l"}}):
        with pytest.raises(InputError, match=r"splits\.test: the same rows for en, de; write the"):
            several(split)
    for split in (
        {"path": "{language}.tsv"},
        {"only": {"code": "{language}"}},
        {"columns": {"text_a": "text_{language}", "label": "l"}},
    ):
        several(split, train={"source": "files", "format": "tsv", "path": "en.tsv", **PAIR})


def test_a_recipe_in_a_language_needs_its_rows():
    train = {"source": "files", "format": "tsv", "path": "en.tsv", **PAIR}
    own = several({"path": "{language}.tsv"}, train=train)
    values = {"models": MODELS, "tasks": {**TASKS, "own": own.model_dump(exclude_unset=True)}}
    for recipe in ("own", "own@en"):
        study = {**STUDY, "recipes": [recipe]}
        Project.model_validate({**values, "study": study})
    for recipe in ("own@de", "own@all"):
        study = {**STUDY, "recipes": [recipe]}
        with pytest.raises((InputError, ValueError), match=r"own: splits\.train: the same rows"):
            Project.model_validate({**values, "study": study})


def test_f1_of_a_label_needs_the_label():
    check = family_of("classify").check_labels
    with pytest.raises(InputError, match="f1 is the F1 of label '1', but the labels are no, yes"):
        check(["no", "yes"], ["accuracy", "f1"])
    check(["no", "yes"], ["macro_f1"])
    check(["0", "1"], ["f1"])


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ((0, 3), "the head of 'b' is word 3, but the sentence has 2 .is the file truncated"),
        ((0, "x"), "'x' is no head, such as 4, 0 or _"),
        ((0, "-1"), "'-1' is no head"),
        ((0, "9" * 5000), "9' is no head"),
    ],
)
def test_heads_are_words_of_the_sentence(tmp_path, heads, message):
    path = Path(tmp_path / "data")
    path.write_text(ud((1, "a", "NOUN", heads[0]), (2, "b", "VERB", heads[1])))
    with pytest.raises(InputError, match=message):
        files.read("conllu", [path], "de")
    path.write_text(ud((1, "", "NOUN", 0)))
    with pytest.raises(InputError, match="word 1 is empty"):
        files.read("conllu", [path], "de")


def test_a_question_in_a_wording_is_not_empty(tmp_path):
    path = Path(tmp_path / "data")
    path.write_text(json.dumps(COPA | {"question": ""}))
    with pytest.raises(InputError, match=":1: column 'question' is empty"):
        files.read("copa", [path], "de")


def test_hidden_files_are_no_data(tmp_path):
    names = ["de.tsv", ".de.tsv", "._de.tsv", ".ipynb_checkpoints/de-checkpoint.tsv", "a/de.tsv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def found(pattern):
        return [str(p.relative_to(tmp_path)) for p in files.locate(pattern, tmp_path, "de")]

    assert found("**/*.tsv") == ["a/de.tsv", "de.tsv"]
    assert found(".ipynb_checkpoints/*.tsv") == [names[3]]
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        archive.writestr("de.tsv", "text\n")
        archive.writestr("__MACOSX/._de.tsv", b"\0\5")
    assert found("own.zip") == found("own.zip/*.tsv") == ["own.zip/de.tsv"]


def test_one_object_in_place_of_rows_is_named(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"data": [{"text": "a"}]}, indent=1))
    with pytest.raises(InputError, match=r"rows\.json: one JSON object; expected an array of rows"):
        list(hub.READERS[".json"](path))
    path.write_text(jsonl({"text": "a"}, {"text": "b"}))
    assert [row["text"] for _, row in hub.READERS[".json"](path)] == ["a", "b"]
    path.write_text(jsonl({"text": "a"}))
    assert len(list(hub.READERS[".json"](path))) == 1
