"""Subsets of test examples: by what a model gets wrong, by lists of ids, by another target."""

import re

import pytest

from tests.grid.test_grid import grid
from xstilts.config.subsets import check_ids, read_ids
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.grid.raw_files import fingerprint
from xstilts.report.view import StudyView

HARD = {
    "models": ["lab_tiny"],
    "controls": [],
    "recipes": ["none", "lab_mnli~100"],
    "targets": ["lab_xnli", "lab_nli"],
    "seeds": [3, 4],
    "subsets": {
        "hard": {"target": "lab_xnli", "wrong": "lab_xnli_hypothesis"},
        "mine": {"target": "lab_xnli", "ids": "mine.txt"},
        "other": {"target": "lab_xnli", "whole": "lab_nli"},
    },
}


def test_hypothesis_model_is_trained_once():
    found = grid(**HARD)
    plain = grid(**{**HARD, "subsets": {}})
    more = found.artefacts().checkpoints.keys() - plain.artefacts().checkpoints.keys()
    assert {name.rsplit(".", 1)[0] for name in more} == {"lab_tiny.lab_xnli.s3"}
    [probe] = [found.artefacts().checkpoints[name] for name in more]
    assert probe.parts[0].encode.texts == "second"
    assert found.cells() == plain.cells()
    score = found.subset_score("hard")
    assert score.predictions.checkpoint.parent is found.trainings.root("lab_tiny")
    assert score.predictions.encode.texts == "second"
    assert [d.id for d in score.predictions.scored] == [
        d.id for d in found.score(found.cells()[0]).predictions.scored
    ]
    assert found.subset_score("mine") is None
    assert [s.id for s in found.aside()] == [score.id]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wrong": "lab_xnli_hypothesis", "ids": "x"}, "exactly one of `wrong`, `ids` and `whole`"),
        ({"wrong": "lab_xnli_hypotesis"}, "did you mean 'lab_xnli_hypothesis'"),
        ({"wrong": "lab_nli"}, "expected a task with `splits: {test: lab_xnli}`"),
        ({"whole": "lab_tatoeba"}, "unknown target 'lab_tatoeba'"),
        ({"target": "xnli", "ids": "x"}, "unknown target 'xnli'"),
    ],
)
def test_wrong_subsets_are_reported(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        grid(**{**HARD, "subsets": {"a": {"target": "lab_xnli", **changes}}})


def test_wrong_examples_need_the_baseline():
    with pytest.raises(InputError, match="needs recipe 'none'"):
        grid(**{**HARD, "recipes": ["lab_mnli"]})


def test_stamp_depends_on_the_content_of_a_list(tmp_path):
    ids = {"mine": {"target": "lab_xnli", "ids": "mine.txt"}}
    project = grid(**{**HARD, "subsets": ids, "data": str(tmp_path)}).project
    with pytest.raises(InputError, match=r"subsets\.mine: no file .*mine\.txt"):
        fingerprint(project, tmp_path / "memory.json")

    def stamp(text):
        (tmp_path / "mine.txt").write_text(text)
        return StudyView(Grid(fingerprint(project, tmp_path / "memory.json")[0])).stamp

    assert stamp("1\n") == stamp("1\n") != stamp("1\n2\n")


def test_lists_of_ids(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("1\n2\tde\n\n1\tfr\n3\n")
    assert read_ids(path) == {"": {"1", "3"}, "de": {"2"}, "fr": {"1"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n\n1\n", "line 3: '1' is given twice"),
        ("1\tde\tx\n", "line 1: expected an id"),
        ("\tde\n", "line 1: expected an id"),
        ("\n", "the file has no ids"),
    ],
)
def test_a_bad_list_names_file_and_line(tmp_path, text, message):
    path = tmp_path / "mine.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=f"mine.txt.*{message}"):
        read_ids(path)


def test_unknown_ids_and_languages_are_reported(tmp_path):
    examples = {"en": {"1", "2"}, "de": {"1"}}
    check_ids(tmp_path, {"": {"2"}, "de": {"1"}}, examples)
    with pytest.raises(InputError, match="no test example has id '2'"):
        check_ids(tmp_path, {"de": {"2"}}, examples)
    with pytest.raises(InputError, match="no test data in language 'fr'"):
        check_ids(tmp_path, {"fr": {"1"}}, examples)


def test_lists_may_name_only_test_examples(tmp_path, monkeypatch):
    from tests.tiny_project import LANGUAGES, make_grid
    from xstilts.analyses.facts import subsets
    from xstilts.stages import prepare

    monkeypatch.chdir(tmp_path)
    found = make_grid(data=".", subsets={"mine": {"target": "nli", "ids": "mine.txt"}})
    prepare.run(
        [found.data.dataset("nli", language, "test") for language in LANGUAGES], found.project
    )
    path = tmp_path / "mine.txt"
    path.write_text("3\n5\txa\n")
    assert subsets(found) == {"mine": {"en": {"3"}, "xa": {"3", "5"}}}
    path.write_text("3\n16\n")
    with pytest.raises(InputError, match=r"mine\.txt: no test example has id '16'"):
        subsets(found)


def test_ids_must_be_in_utf_8(tmp_path):
    path = tmp_path / "ids"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"ids: not UTF-8 \(byte 3 of the file\); convert it"):
        read_ids(path)
