"""Reading a configuration: what is accepted, and how mistakes are reported."""

import pytest

from tests import CONFIG, shipped
from xstilts.config.project import (
    StudyValues,
    assemble,
    load,
    places,
    read_definitions,
    read_study,
)
from xstilts.errors import InputError
from xstilts.families import check_metrics

STUDY = {
    "study": "s",
    "models": ["lab_tiny"],
    "recipes": ["none", "lab_nli"],
    "targets": ["lab_paraphrase"],
    "seeds": [1],
}


def project(**changes):
    return assemble({**STUDY, **changes}, shipped())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modles": ["x"]}, "unknown key 'modles': did you mean 'models'?"),
        ({"models": ["lab_tini"]}, "unknown model 'lab_tini': did you mean 'lab_tiny'?"),
        ({"controls": ["lab_rand"]}, "unknown model 'lab_rand': did you mean 'lab_random'?"),
        ({"targets": ["lab_paraphrases"]}, "unknown task .* did you mean 'lab_paraphrase'?"),
        ({"targets": ["lab_squad"]}, "'lab_squad' cannot be used as target task"),
        ({"recipes": ["lab_nli--x"]}, "position 9: expected a task name"),
        ({"tasks": {"tatoeba": {"examples": 9}}}, "tatoeba.examples: not for family mine"),
        ({"keep": "parent"}, "keep: 'parent' is not allowed; did you mean 'parents'"),
        ({"tasks": {"xquad": {"examples": 0}}}, "tasks.xquad.examples: 0 is not allowed"),
        ({"recipes": ["lab_nly"]}, "recipe 'lab_nly': unknown task .* did you mean 'lab_nli'?"),
        ({"recipes": ["lab_reading"]}, "'lab_reading' cannot be used as intermediate task"),
        ({"recipes": ["lab_nli@de"]}, "lab_nli has no language 'de'"),
        ({"recipes": ["lab_nli", "lab_nli"]}, "recipes: 'lab_nli' is given twice"),
        (
            {"recipes": ["none", {"../up": "lab_nli"}]},
            "recipes: '../up' is not allowed; expected",
        ),
        ({"recipes": ["none", {"none": "lab_nli"}]}, "recipes: 'none' is given twice"),
        (
            {"seeds": [1, 2, 3], "baseline_seeds": 10},
            "baseline_seeds: 10 is no multiple of the 3 seeds; write 9",
        ),
        ({"study": "../up"}, "study: '../up' is not allowed; expected a lower-case letter"),
        (
            {"train": {"learning_rat": 1}},
            "train: unknown key .* did you mean 'learning_rate'?",
        ),
        ({"tasks": {"lab_nlu": {}}}, "unknown task 'lab_nlu': did you mean 'lab_nli'?"),
        (
            {"tasks": {"lab_paraphrase": {"languages": ["xz"]}}},
            "tasks.lab_paraphrase: unknown language 'xz'",
        ),
        ({"published": {"lab_nly": {}}}, "published: unknown recipe .* mean 'lab_nli'?"),
        ({"published": {"best": {"xnli": 80}}}, "published.best: unknown target 'xnli'"),
        ({"published_by_model": {"xlmr": {}}}, "published_by_model: unknown model 'xlmr'"),
        (
            {"multitask": {"mixin": "uniform"}},
            "multitask: unknown key .* mean 'mixing'?",
        ),
        (
            {"controls": ["lab_random"], "recipes": ["lab_nli"]},
            "controls: they run under recipe 'none'",
        ),
    ],
)
def test_a_mistake_names_key_and_nearest_choice(changes, message):
    with pytest.raises(InputError, match=message):
        project(**changes)


def test_later_layers_of_settings_take_precedence():
    made = project(
        models=["slices_tiny"],
        train={"batch_size": 8},
        tasks={"lab_paraphrase": {"train": {"batch_size": 4}}},
    )
    task, model = made.tasks["lab_nli"].train, made.models["slices_tiny"].train
    assert task["learning_rate"] != model["learning_rate"]
    found = made.settings("train", "lab_nli", "slices_tiny")
    assert found.learning_rate == model["learning_rate"]
    assert found.batch_size == 8
    assert made.settings("train", "lab_paraphrase", "slices_tiny").batch_size == 4
    assert made.settings("train", "lab_nli", "lab_tiny").epochs == task["epochs"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"train": {"learning_rate": -1}}, "train"),
        ({"multitask": {"learning_rate": -1}}, "multitask"),
        ({"tasks": {"xnli": {"train": {"learning_rate": -1}}}}, "tasks.xnli.train"),
        ({"arms": {"a": {"train": {"learning_rate": -1}}}}, "arms.a.train"),
    ],
)
def test_a_wrong_setting_is_found_where_it_is_stated(changes, place):
    expected = f"study, {place}.learning_rate: -1 is not allowed; expected a number above 0"
    with pytest.raises(InputError, match=expected):
        project(**changes)


def test_short_names_of_recipes():
    made = project(recipes=["none", {"both": "lab_squad+lab_nli"}])
    assert {name: str(recipe) for name, recipe in made.named_recipes().items()} == {
        "none": "none",
        "both": "lab_nli+lab_squad",
    }


def test_an_entry_defined_twice_names_both_files(tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("a", "b"):
        (tmp_path / "models" / f"{name}.yaml").write_text(
            f"tiny: {{hub: {{repository: some/model, revision: {'a' * 40}}}}}\n"
        )
    with pytest.raises(InputError, match=r"b\.yaml: 'tiny' is already defined in .*a\.yaml"):
        read_definitions([tmp_path])


def test_a_project_survives_its_snapshot(tmp_path):
    made = project(train={"learning_rate": 1e-3}, recipes=["none", {"n": "lab_nli~10"}])
    path = tmp_path / "study.json"
    path.write_text(made.model_dump_json(exclude_defaults=True))
    assert load(path) == made
    for damaged in ("{", '{"study": 3}'):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"if a run wrote .*study\.json, delete it"):
            load(path)


@pytest.mark.parametrize("path", sorted(CONFIG.glob("studies/*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_study_is_valid(path):
    assert load(path).study.study == path.stem


def test_every_task_names_metrics_of_its_family():
    for name, task in read_definitions([CONFIG]).tasks.items():
        check_metrics(task.family, task.metrics, name)
        assert task.metrics or "target" not in task.roles, name
        assert task.label, name


def test_first_definition_of_several_folders_wins(tmp_path, monkeypatch):
    own = tmp_path / "models"
    own.mkdir()
    monkeypatch.chdir(own)
    text = (CONFIG / "models" / "lab.yaml").read_text(encoding="utf-8")
    (own / "mine.yaml").write_text(text.replace("label: tiny XLM-R", "label: mine", 1))
    definitions = read_definitions([tmp_path, CONFIG])
    assert definitions.models["lab_tiny"].label == "mine"
    assert definitions.overridden == {
        "lab_tiny": f"model lab_tiny of {tmp_path} overrides that of {CONFIG}"
    }
    project = assemble(STUDY, definitions)
    notices = definitions.notices(project)
    assert notices == list(definitions.overridden.values())


def test_a_mistake_names_the_layer_that_states_it(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("train: {learning_rate: 1, epochs: 0}")
    second.write_text("train: {learning_rate: -2}")
    values = read_study([first, second], {"targets": ["lab_nly"], "seeds": 3})
    study = StudyValues([("s.yaml", STUDY), *values.layers])
    with pytest.raises(InputError) as error:
        assemble(study, shipped())
    assert sorted(str(error.value).splitlines()) == sorted(
        [
            f"{first}, train.epochs: 0 is not allowed; expected a number above 0",
            f"{second}, train.learning_rate: -2 is not allowed; expected a number above 0",
            "--config, seeds: 3 is not allowed; expected a list, such as [3]",
        ]
    )


def test_settings_that_do_not_fit_together_name_their_places():
    values = StudyValues([("s.yaml", STUDY), ("--config", {"train": {"select": "best"}})])
    definitions = shipped()
    with pytest.raises(InputError, match=r"^--config, train\.select: .*need `evaluate_every`"):
        assemble(values, definitions).check_settings(places(values, definitions))
