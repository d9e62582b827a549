"""Mistakes in a configuration are explained without pydantic's phrases and patterns."""

import re

import pytest

from xstilts.config.project import validate
from xstilts.config.schema import Lock, Model, Study, Task
from xstilts.errors import InputError

STUDY = {"study": "s", "models": ["m"], "recipes": ["none"], "targets": ["xnli"], "seeds": [1]}
TASK = {"family": "tag", "roles": ["target"], "languages": ["en"], "splits": {}}


def mistakes(model, values) -> list[str]:
    with pytest.raises(InputError) as error:
        validate(model, values, "f.yaml")
    text = str(error.value)
    assert not re.search(r"Input|String|List|Field|valid (string|integer|list)|\[a-z\]", text)
    return text.removeprefix("f.yaml, ").split("\nf.yaml, ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"study": "my study"},
            "study: 'my study' is not allowed; expected a lower-case letter, then lower-case "
            "letters, digits, - and _, at most 60",
        ),
        ({"study": None}, "study: null is not allowed; expected text"),
        ({"data": 3}, "data: 3 is not allowed; expected text in quotes"),
        ({"targets": "xnli"}, "targets: 'xnli' is not allowed; expected a list, such as [xnli]"),
        (
            {"targets": []},
            "targets: the list is empty; expected one or more, such as [xnli, udpos]",
        ),
        ({"seeds": "1-5"}, "seeds: '1-5' is not allowed; expected a list, such as [1, 2, 3]"),
        (
            {"epochs": 3},
            "f.yaml: unknown key 'epochs': it is a setting of train, `train: {epochs: …}`",
        ),
        (
            {"train": {"max_length": 3}},
            "train: unknown key 'max_length': it is a setting of encode, `encode: {max_length: …}`",
        ),
        ({"seeds": [1, "a"]}, "seeds.1: 'a' is not allowed; expected a whole number"),
        ({"seeds": [1.5]}, "seeds.0: 1.5 is not allowed; expected a whole number"),
        ({"analysis": "Help"}, "analysis: 'Help' is not allowed; did you mean 'helps'?"),
        (
            {"published": {"none": {"xnli": 120}}},
            "published.none.xnli: 120 is not allowed; expected a number of at most 100",
        ),
        (
            {"arms": {"A-b": {}}},
            "arms.A-b: 'A-b' is not allowed; expected a lower-case letter, then lower-case "
            "letters, digits and _, at most 60",
        ),
        (
            {"tasks": {"xnli": {"languages": ["DE"]}}},
            "tasks.xnli.languages.0: 'DE' is not allowed; expected a language code such as 'de'; "
            "did you mean 'de'?",
        ),
        ({"tasks": ["xnli"]}, 'tasks: ["xnli"] is not allowed; expected a mapping'),
        (
            {"orders": {"tasks": ["a"], "steps": 1}},
            'orders.tasks: ["a"] is too short; expected 2 entries or more',
        ),
        (
            {"train": {"epochs": "many"}},
            "train.epochs: 'many' is not allowed; expected a number",
        ),
        (
            {"train": {"lora": {"rank": 0}}},
            "train.lora.rank: 0 is not allowed; expected a number above 0",
        ),
        ({"train": {"lr": 1e-5}}, "train: unknown key 'lr': did you mean 'learning_rate'?"),
        (
            {"train": {"max_seq_length": 128}},
            "train: unknown key 'max_seq_length': it is a setting of encode, "
            "`encode: {max_length: …}`",
        ),
        ({"intermediate": ["xnli"]}, "f.yaml: unknown key 'intermediate': did you mean 'recipes'?"),
        (
            {"train": {"lora": "maybe"}},
            "train.lora: 'maybe' is not allowed; expected a mapping or true or false",
        ),
    ],
)
def test_study(changes, expected):
    assert mistakes(Study, STUDY | changes) == [expected]


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"source": "lap"}, "splits.train.source: 'lap' is not allowed; did you mean 'lab'?"),
        ({"kind": "nli"}, "splits.train.source: this key is missing"),
        (
            {"source": "lab", "kind": "nli", "size": 0},
            "splits.train.size: 0 is not allowed; expected a number above 0",
        ),
        ({"source": "lab", "size": 10}, "splits.train.kind: this key is missing"),
        (["mnli", 3], "splits.train.1: 3 is not allowed; expected text in quotes"),
    ],
)
def test_union_reports_only_the_intended_form(train, expected):
    assert mistakes(Task, TASK | {"splits": {"train": train}}) == [expected]


def test_every_mistake_has_a_line():
    values = {key: value for key, value in STUDY.items() if key != "targets"}
    assert mistakes(Study, values | {"seeds": []}) == [
        "targets: this key is missing",
        "seeds: the list is empty; expected one or more, such as [1, 2, 3]",
    ]


def test_a_commit_is_described():
    [line] = mistakes(Lock, {"models": {"a/b": "main"}})
    assert line.endswith("expected the 40 hexadecimal digits of a commit")


def test_long_values_are_truncated():
    [line] = mistakes(Model, {"hub": {"repository": ["x" * 500]}})
    assert len(line) < 150


HUB = {"source": "hub", "repository": "a/b", "split": "test", "columns": {}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config", "../../../outside"),
        ("config", "a/b"),
        ("config", "x\ny"),
        ("split", "tr{node}ain"),
        ("split", ".."),
        ("repository", "../b"),
        ("repository", "https://me:secret@host/a"),
        ("branch", 'main": x'),
    ],
)
def test_names_on_the_hub_stay_inside_paths(key, value):
    lines = mistakes(Task, TASK | {"splits": {"test": {**HUB, key: value}}})
    assert f"splits.test.{key}: {value!r} is not allowed; expected" in "\n".join(lines)


@pytest.mark.parametrize("name", ["{language}", "xquad.{iso3}", "20231101.de", "a+b", "plain_text"])
def test_usual_names_on_the_hub_are_accepted(name):
    values = TASK | {"splits": {"test": HUB | {"columns": {"words": "w", "tags": "t"}}}}
    values["splits"]["test"] |= {"config": name, "split": name}
    assert validate(Task, values, "f.yaml").splits["test"].config == name


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seeds": [True]}, "seeds.0: true is not allowed; expected a whole number"),
        ({"seeds": [-1]}, "seeds.0: -1 is not allowed; expected a number of at least 0"),
        ({"seeds": [1, 1]}, "seeds: 1 is given twice"),
        ({"seeds": [2**32]}, "seeds.0: 4294967296 is not allowed; expected a number below"),
        ({"seeds": [10**30]}, "seeds.0: the number is too large"),
        ({"train": {"epochs": False}}, "train.epochs: false is not allowed; expected a number"),
        (
            {"train": {"weight_decay": float("inf")}},
            "weight_decay: .inf is not allowed",
        ),
        ({"train": {"epochs": float("nan")}}, "train.epochs: .nan is not allowed; expected a"),
        ({"title": "\ud83d"}, "has a character that no file can hold"),
        ({"tasks": {"nli": {"languages": [False]}}}, "YAML reads no and off as false"),
        ({1: 2}, "unknown key 1: valid: "),
    ],
)
def test_values_of_another_type(changes, expected):
    assert expected in "\n".join(mistakes(Study, STUDY | changes))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("languages", ["EN"], "'EN' is not allowed; expected .*; did you mean 'en'"),
        ("languages", ["zh-TW"], "; did you mean 'zh_tw'"),
        ("languages", ["German"], "; did you mean 'de'"),
        ("languages", ["de", "de"], "languages: 'de' is given twice"),
        ("languages", [], "languages: the list is empty"),
        ("labels", ["a", "b", "a"], "labels: 'a' is given twice"),
        ("metrics", ["f1", "f1"], "metrics: 'f1' is given twice"),
        (
            "splits",
            {"test": {**HUB, "labels": [True]}},
            "labels.0: true .* expected text in quotes",
        ),
    ],
)
def test_names_in_a_task_are_distinct_and_known(key, value, expected):
    assert re.search(expected, "\n".join(mistakes(Task, TASK | {key: value})))


def test_architecture_must_be_plain():
    values = {"init": {"architecture": {"a": [float("nan")]}, "tokenizer": {"task": "text"}}}
    assert mistakes(Model, values) == ["init.architecture.a.0: expected a finite number"]
