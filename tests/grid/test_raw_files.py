"""Raw files: their hashes follow their content, whatever their times say."""

import os
from pathlib import Path

import pytest

from tests.tiny_project import MODELS, STUDY, TASKS
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.grid import raw_files

HEAD = "index\tpairID\tsentence1\tsentence2\tgold_label\n"
MEMORY = raw_files.RAW_MEMORY


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """The training file of a task of local files."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for split in ("train", "validation", "test"):
        Path(f"data/{split}.tsv").write_text(f"{HEAD}0\t1\ta\tb\tneutral\n")
    return Path("data/train.tsv")


def fingerprint(paths: dict[str, str], *languages: str) -> tuple[Project, list[str]]:
    """Return the project whose task NLI has local files, by split, and the notices."""
    splits = {
        split: {"source": "files", "format": "glue-mnli", "path": path}
        for split, path in paths.items()
    }
    nli = {**TASKS["nli"], "languages": languages, "source_language": languages[0]}
    tasks = {**TASKS, "nli": {**nli, "splits": splits}}
    values = {"study": {**STUDY, "data": "data"}, "tasks": tasks, "models": MODELS}
    return raw_files.fingerprint(Project.model_validate(values), MEMORY)


def hashes() -> dict[str, list[str]]:
    """Return the hashes that a run sees, with a memory of earlier runs."""
    paths = {split: f"{split}.tsv" for split in ("train", "validation", "test")}
    return fingerprint(paths, "en")[0].raw


def change(file: Path, times: os.stat_result) -> None:
    """Give a file another content of equal length, with its old time of modification."""
    text = file.read_text()
    file.write_text(text.replace("a\tb", "b\ta"))
    assert file.read_text() != text
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_files_changed_in_place_have_other_hashes(file):
    before = hashes()
    assert hashes() == before
    change(file, file.stat())
    assert hashes() != before


def test_replaced_files_have_other_hashes(file):
    before, times = hashes(), file.stat()
    other = file.with_name("other")
    other.write_text(file.read_text())
    change(other, times)
    os.replace(other, file)
    assert hashes() != before


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"data/train.tsv": 7}', "\udcff"])
def test_a_damaged_memory_is_read_as_empty(file, content):
    before = hashes()
    MEMORY.write_bytes(content.encode(errors="surrogateescape"))
    assert hashes() == before
    entries = '{"data/train.tsv": [1, 2]}'
    MEMORY.write_text(entries)
    assert hashes() == before


def test_a_hash_that_was_wrong_is_forgotten(file):
    hashes()
    remembered = MEMORY.read_text()
    assert str(file) in remembered
    with pytest.raises(InputError, match="changed since the study was planned; run again"):
        raw_files.check_unchanged([file], ["0" * 64])
    assert str(file) not in MEMORY.read_text()
    assert "data/test.tsv" in MEMORY.read_text()


def test_training_on_the_test_data_is_noticed(file):
    for name in ("train", "test"):
        Path(f"data/{name}.tsv").write_text(HEAD + "a")
    for test in ("test.tsv", "train.tsv"):
        [notice] = fingerprint({"train": "train.tsv", "test": test}, "en")[1]
        assert notice.startswith("task 'nli': splits train and test have the same rows in en")


def test_file_of_two_languages_is_noticed(file):
    for name in ("de", "fr", "it"):
        Path(f"data/{name}.tsv").write_text(HEAD + ("b" if name == "it" else "a"))
    paths = {"train": "train.tsv", "test": "{language}.tsv"}
    _, notices = fingerprint(paths, "de", "fr", "it")
    assert notices == [
        "task 'nli', splits.test: data/fr.tsv (fr) has the content of data/de.tsv (de); "
        "is one of them a copy by mistake?"
    ]
