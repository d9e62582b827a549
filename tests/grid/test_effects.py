"""Settings without effect change no path; the settings that a family reads do."""

import re

import pytest

from tests import tiny_project
from xstilts.config.origins import FilesSplit
from xstilts.config.project import Project
from xstilts.config.settings import SETTINGS
from xstilts.families import family, names, particular_settings
from xstilts.grid import artefacts
from xstilts.grid.artefacts import Dataset
from xstilts.grid.grid import Grid
from xstilts.sources.files import without_defaults

TARGETS = ["nli", "completion", "entities", "reading", "tatoeba"]
EVERYWHERE = {key for settings in SETTINGS.values() for key in settings.model_fields}


def paths(recipe="text", models=None, **study) -> set[str]:
    """Return the paths of all results of a study of the tiny project, but its scores."""
    values = {"models": ["xlmr"], "recipes": [recipe], "targets": TARGETS}
    project = {
        "study": {**tiny_project.STUDY, **values, **study},
        "tasks": tiny_project.TASKS,
        "models": models or tiny_project.MODELS,
    }
    found = Grid(Project.model_validate(project)).artefacts()
    return {a.path for a in (*found.datasets.values(), *found.checkpoints.values())} | {
        a.path for a in found.predictions.values()
    }


def steps(**train):
    return {"train": {**tiny_project.STUDY["train"], **train}}


@pytest.mark.parametrize(
    "change",
    [
        steps(epochs=7),
        steps(examples_cap=20),
        steps(validation_examples=9),
        steps(mixing="uniform"),
        steps(mixing="temperature", temperature=2),
        {"tasks": {"nli": {"train": {"mask_rate": 0.3}}}},
        {"tasks": {"nli": {"train": {"language_temperature": 2}}}},
        {"tasks": {"nli": {"encode": {"stride": 7, "max_question_length": 9}}}},
        {"tasks": {"entities": {"encode": {"stride": 7, "prefix": "query: "}}}},
        {"tasks": {"reading": {"encode": {"texts": "second"}}}},
        {
            "tasks": {
                "completion": {"predict": {"best_spans": 3, "layer": 0, "retrieval": "margin"}}
            }
        },
        {"tasks": {"tatoeba": {"predict": {"max_answer_length": 3, "neighbours": 9}}}},
        {"recipe": "text@all"},
        {"recipe": "text~100pct"},
        {"recipe": "text~300"},
    ],
    ids=str,
)
def test_settings_without_effect_change_no_path(change):
    assert paths(**change) == paths()


@pytest.mark.parametrize(
    "change",
    [
        steps(max_steps=31),
        steps(max_steps=None, epochs=7),
        {"tasks": {"text": {"train": {"mask_rate": 0.3}}}},
        {"tasks": {"text": {"train": {"language_temperature": 2}}}},
        {"tasks": {"nli": {"encode": {"texts": "second"}}}},
        {"tasks": {"reading": {"encode": {"stride": 7}}}},
        {"tasks": {"tatoeba": {"encode": {"prefix": "query: "}}}},
        {"tasks": {"reading": {"predict": {"best_spans": 3}}}},
        {"tasks": {"tatoeba": {"predict": {"pooling": "first"}}}},
        {"recipe": "text~10"},
    ],
    ids=str,
)
def test_settings_with_an_effect_change_paths(change):
    assert paths(**change) != paths()


@pytest.mark.parametrize(
    ("idle", "others"),
    [
        ({"warmup": 0.5}, {"warmup_steps": 3}),
        (
            {"lora": {"target_modules": ["value", "query", "query"]}},
            {"lora": {"target_modules": ["query", "value"]}},
        ),
        ({"lora": {"rank": 8}}, {"lora": True}),
    ],
)
def test_spellings_of_one_training_share_it(idle, others):
    assert paths(**steps(**{**others, **idle})) == paths(**steps(**others))


def test_parts_of_a_step_keep_the_settings_that_mix_them():
    mixed = {"recipe": "nli+text", **steps(mixing="uniform", epochs=2)}
    assert paths(**mixed) != paths("nli+text")
    capped = steps(mixing="uniform", examples_cap=9)
    assert paths("nli+text", **capped) == paths("nli+text", **steps(mixing="uniform"))
    assert paths("nli+text", **steps(examples_cap=9)) != paths("nli+text")


def test_numbers_of_an_architecture_have_one_spelling():
    model = tiny_project._model()
    zeros = {
        key: 0 if value == 0.0 else value for key, value in model["init"]["architecture"].items()
    }
    whole = {"init": {**model["init"], "architecture": zeros}}
    assert "0.0" in str(model)
    assert paths(models={"xlmr": whole}) == paths(models={"xlmr": model})


def test_options_at_their_defaults_change_no_path():
    assert without_defaults("squad", {"labelled": True, "number_ids": False}) == {}
    assert without_defaults("squad", {"labelled": False}) == {"labelled": False}


@pytest.mark.parametrize("name", [*names(), "classify_text", "choose_text"])
def test_families_declare_the_settings_that_they_read(name):
    from importlib import import_module
    from inspect import getsource

    sources = [getsource(import_module(f"xstilts.families.{name}"))]
    if name == "classify_text":
        sources.append(getsource(import_module("xstilts.families.classify").encode))
    read = set(re.findall(r"\bsettings\.(\w+)", "".join(sources)))
    assert read & EVERYWHERE - {"max_length"} == family(name).SETTINGS
    assert family(name).SETTINGS <= particular_settings() <= EVERYWHERE


def test_language_that_a_task_has_anyway_changes_no_path():
    assert paths("nli@en") == paths("nli")
    assert paths("nli@xa") != paths("nli")


def test_version_of_a_format_concerns_its_data_alone(monkeypatch):
    def digests() -> list[str]:
        columns = {"words": "1", "tags": "2"}
        specs = [{"format": "tsv"}, {"format": "conll"}, {"format": "panx", "columns": {}}]
        return [
            Dataset(
                "task",
                "en",
                "test",
                FilesSplit.model_validate(
                    {"source": "files", "path": "x", "columns": columns} | spec
                ),
            ).identity.digest
            for spec in specs
        ]

    tsv, *others = digests()
    monkeypatch.setattr(artefacts, "READERS", {"tsv": 3})
    assert digests()[0] != tsv
    assert digests()[1:] == others
