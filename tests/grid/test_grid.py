"""Expansion: cells, shared nodes, and which change reaches which digest."""

import pytest

from tests import shipped, tiny_project
from xstilts.config.project import Project, assemble
from xstilts.config.resources import ModelNeeds
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.grid.grid import Grid
from xstilts.recipe import parse
from xstilts.report.view import labels

STUDY = {
    "study": "s",
    "models": ["lab_tiny"],
    "controls": ["lab_random"],
    "recipes": ["none", "lab_nli", "lab_nli-lab_squad", "lab_completion+lab_nli"],
    "targets": ["lab_paraphrase", "lab_tatoeba"],
    "seeds": [1, 2],
}


def grid(**changes) -> Grid:
    return Grid(assemble({**STUDY, **changes}, shipped()))


def ids(found: Grid) -> set[str]:
    return {artefact.id for artefact in found.artefacts().all()}


def kinds(new: set[str], old: set[str]) -> set[str]:
    """The readable names of what is in one set of ids only."""
    return {name.rsplit(".", 1)[0] for name in new - old}


def test_cells_are_the_product_plus_controls():
    cells = grid().cells()
    assert len(cells) == 4 * 2 * 2 + 2 * 2
    assert {cell.recipe for cell in cells if cell.model == "lab_random"} == {"none"}


def test_extra_baseline_seeds_are_of_the_baseline():
    more = grid(baseline_seeds=6)
    new = set(more.cells()) - set(grid().cells())
    assert {cell.recipe for cell in new} == {"none"}
    assert {(cell.model, cell.seed) for cell in new} == {("lab_tiny", s) for s in (3, 4, 5, 6)}
    assert ids(grid()) < ids(more)
    score = more.score(new.pop())
    assert more.find("scores", score.id) == score


def test_only_keeps_the_digests():
    only = ["lab_tiny.lab_nli.*", "lab_random.none.lab_tatoeba.s2"]
    found = grid(only=only)
    assert [str(cell) for cell in found.cells()] == [
        "lab_tiny.lab_nli.lab_paraphrase.s1",
        "lab_tiny.lab_nli.lab_paraphrase.s2",
        "lab_tiny.lab_nli.lab_tatoeba.s1",
        "lab_tiny.lab_nli.lab_tatoeba.s2",
        "lab_random.none.lab_tatoeba.s2",
    ]
    assert ids(found) < ids(grid())


def test_a_pattern_without_a_cell_names_the_nearest():
    with pytest.raises(InputError, match=r"only: no cell .*: did you mean 'lab_tiny.lab_nli"):
        grid(only=["lab_tiny.*", "lab_tiny.lab_nly.lab_tatoeba.s1"]).cells()


def test_prefixes_are_shared():
    found = grid().artefacts()
    chains = [c.chain for c in found.checkpoints.values() if c.model == "lab_tiny"]
    assert chains.count("lab_nli") == 2  # one per seed, though three recipes begin with it
    assert chains.count("init") == chains.count("pretrain-lab_text") == 1
    two_steps = grid().predictions(
        "lab_tiny", grid().recipes["lab_nli-lab_squad"], "lab_paraphrase", 1
    )
    assert [node.chain for node in two_steps.checkpoint.lineage()] == [
        "init",
        "pretrain-lab_text",
        "lab_nli",
        "lab_nli-lab_squad",
        "lab_nli-lab_squad-lab_paraphrase",
    ]


def test_mining_is_predicted_once_for_all_seeds():
    found = grid().artefacts()
    none = [p for p in found.predictions.values() if p.target == "lab_tatoeba"]
    assert len(none) == 1 + 3 * 2 + 1  # none, three recipes of two seeds, the control
    assert len(found.scores) == len(grid().cells())


def twins(**changes):
    """A grid with two targets that differ in name, label and metrics of a target only."""
    project = grid(targets=["lab_nli", "lab_paraphrase"], **changes).project
    original = project.tasks["lab_nli"]
    copy = original.model_copy(update={"label": "Copy"})
    study = project.study.model_copy(update={"targets": ["lab_nli", "a_copy"]})
    tasks = project.tasks | {"a_copy": copy}
    return Grid(project.model_copy(update={"tasks": tasks, "study": study}))


def test_targets_that_differ_in_name_share_a_training():
    found = twins(recipes=["none", "lab_squad"], seeds=[1])
    by_target = {}
    for score in found.scores():
        key = score.cell.model, score.cell.recipe
        by_target.setdefault(key, []).append(score.predictions.checkpoint.id)
    assert all(first == second for first, second in by_target.values())
    assert len(found.artefacts().predictions) == len(found.cells())


def test_borrowing_task_names_no_checkpoint():
    def trained(*names):
        project = tiny_project.make_grid(recipes=["none"], targets=["nli"]).project
        nli = project.tasks["nli"]
        borrowed = {"train": "nli", "validation": "sibling", "test": "nli"}
        splits = {"sibling": nli.splits | {"train": "nli"}, "borrower": borrowed}
        copies = {name: nli.model_copy(update={"splits": splits[name]}) for name in names}
        found = Grid(project.model_copy(update={"tasks": project.tasks | copies}))
        return sorted(found.artefacts().checkpoints)

    assert trained("sibling") == trained("sibling", "borrower")


@pytest.mark.parametrize("target", ["lab_nli", "a_copy"])
def test_job_of_a_shared_training_is_found(target):
    cell = next(cell for cell in twins().cells() if cell.target == target)
    id = twins().score(cell).predictions.checkpoint.id
    assert twins().find("checkpoints", id).id == id


def test_target_step_equals_intermediate_step():
    found = grid(recipes=["none", "lab_paraphrase"], targets=["lab_paraphrase"], seeds=[1])
    chains = [c.chain for c in found.artefacts().checkpoints.values() if c.model == "lab_tiny"]
    assert sorted(chains) == [
        "init",
        "lab_paraphrase",
        "lab_paraphrase-lab_paraphrase",
        "pretrain-lab_text",
    ]


def test_a_few_cells_have_all_data_and_models():
    shared, found = grid().shared(), grid().artefacts()
    assert shared.datasets.keys() == found.datasets.keys()
    assert {p.target for p in shared.predictions.values()} == set(STUDY["targets"])
    assert shared.scores.keys() < found.scores.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"recipes": ["none", {"two": "lab_nli-lab_squad-lab_nli~1k"}]},
        {"recipes": ["none", "lab_nli-lab_ner|lab_squad~0.3"]},
    ],
)
def test_find_does_not_expand_the_study(monkeypatch, changes):
    everything = grid(**changes).artefacts()
    with monkeypatch.context() as patch:
        patch.setattr(Grid, "artefacts", lambda self: pytest.fail("expanded"))
        for group in ("datasets", "checkpoints", "predictions", "scores"):
            fresh = grid(**changes)
            for id in getattr(everything, group):
                assert fresh.find(group, id).id == id
    id = next(iter(everything.checkpoints))
    with pytest.raises(InputError, match=f"has no checkpoint '{id}x' .*did you mean '{id}'"):
        grid(**changes).find("checkpoints", f"{id}x")


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "another title"},
        {"study": "other"},
        {"train": {"weight_decay": 0.01}},  # its default
        {"tasks": {"lab_nli": {"train": {"batch_size": 32}}}},  # its default
        {"recipes": list(reversed(STUDY["recipes"]))},
        {"multitask": {"batch_size": 32}},  # what both tasks have
    ],
)
def test_what_changes_no_result_changes_no_digest(changes):
    assert ids(grid(**changes)) == ids(grid())


def test_labels_and_resources_change_no_digest():
    plain = grid()
    project = plain.project
    models = {
        name: model.model_copy(update={"label": "x", "resources": ModelNeeds(gpu=8)})
        for name, model in project.models.items()
    }
    tasks = {
        name: task.model_copy(update={"label": "y", "licence": "z"})
        for name, task in project.tasks.items()
    }
    changed = Grid(project.model_copy(update={"models": models, "tasks": tasks}))
    assert ids(changed) == ids(plain)


def test_a_target_setting_reaches_its_target_only():
    changed = grid(tasks={"lab_paraphrase": {"train": {"learning_rate": 2e-3}}})
    names = kinds(ids(changed), ids(grid()))
    assert names
    assert all("lab_paraphrase" in name for name in names)


def test_setting_changes_only_descendants():
    changed = grid(tasks={"lab_squad": {"train": {"learning_rate": 2e-3}}})
    names = kinds(ids(changed), ids(grid()))
    assert names
    assert all("lab_nli-lab_squad" in name for name in names)


def test_language_changes_scores_only():
    fewer = grid(tasks={"lab_paraphrase": {"languages": ["en", "xa"]}})
    old, new = fewer.artefacts(), grid().artefacts()
    assert old.checkpoints.keys() == new.checkpoints.keys()
    assert old.predictions.keys() == new.predictions.keys()
    assert old.scores.keys() != new.scores.keys()
    for id, predictions in old.predictions.items():
        files = {new.predictions[id].file(dataset) for dataset in new.predictions[id].datasets}
        assert {predictions.file(dataset) for dataset in predictions.datasets} <= files


def test_validation_data_counts_only_if_used():
    without = grid().artefacts().datasets
    assert not any(name.startswith("lab_nli.en.validation") for name in without)
    settings = {"train": {"evaluate_every": 10, "select": "best"}}
    changed = grid(tasks={"lab_nli": settings}, multitask=settings["train"])
    assert any(name.startswith("lab_nli.en.validation") for name in changed.artefacts().datasets)


def test_a_mixture_whose_tasks_disagree_must_be_told():
    tasks = {"lab_nli": {"train": {"batch_size": 16, "warmup": 0}}}
    printed = (
        r"differ in train\.batch_size \(.*lab_nli 16.*\), warmup \(.*lab_nli 0.*\); .*`multitask`"
    )
    with pytest.raises(InputError, match=printed):
        grid(tasks=tasks).artefacts()
    assert grid(tasks=tasks, multitask={"batch_size": 32, "warmup": 0}).artefacts()


def test_epochs_stay_with_each_task_of_a_mixture():
    found = grid(tasks={"lab_nli": {"train": {"epochs": 1}}})
    step = found.trainings.step("lab_tiny", found.recipes["lab_completion+lab_nli"], 1)
    assert {part.task: part.settings.epochs for part in step.parts} == {
        "lab_completion": found.project.tasks["lab_completion"].train["epochs"],
        "lab_nli": 1,
    }


def test_mask_task_trains_on_all_its_languages():
    found = grid(recipes=["none", "lab_text", "lab_text@xa"])
    languages = {
        recipe: [
            d.language for d in found.trainings.step("lab_tiny", found.recipes[recipe], 1).datasets
        ]
        for recipe in ("lab_text", "lab_text@xa")
    }
    assert languages == {"lab_text": ["en", "xa", "xb", "xc", "xd"], "lab_text@xa": ["xa"]}


def test_all_languages_of_a_task_are_one_notation():
    found = grid(recipes=["none", "lab_nli@all~500"])
    step = found.trainings.step("lab_tiny", found.recipes["lab_nli@all~500"], 1)
    assert [d.language for d in step.datasets] == ["en", "xa", "xb", "xc", "xd"]
    assert str(step.parts[0].size) == "500"


def test_a_recipe_may_say_how_many_steps():
    found = grid(recipes=["none", "lab_nli~80steps", "lab_nli+lab_squad~80steps", "lab_nli"])
    steps = {
        name: found.trainings.step("lab_tiny", recipe, 1).settings.max_steps
        for name, recipe in found.recipes.items()
        if recipe.steps
    }
    assert steps == {"lab_nli~80steps": 80, "lab_nli+lab_squad~80steps": 80, "lab_nli": None}
    by_setting = grid(recipes=["none", "lab_nli"], tasks={"lab_nli": {"train": {"max_steps": 80}}})
    assert (
        by_setting.trainings.step("lab_tiny", by_setting.recipes["lab_nli"], 1).identity.digest
        == found.trainings.step("lab_tiny", found.recipes["lab_nli~80steps"], 1).identity.digest
    )


ARMS = {
    "plain": {},
    "short": {"tasks": {"lab_nli": {"train": {"max_steps": 5}}}},
    "fast": {"label": "quick", "train": {"learning_rate": 5e-3}},
}


def merge(recipe: str):
    """Return the checkpoint of a recipe that ends in a merge."""
    return grid(recipes=["none", recipe]).trainings.step("lab_tiny", parse(recipe), 1)


def test_a_merge_has_several_parents():
    node = merge("lab_nli-lab_ner|lab_squad")
    assert [parent.chain for parent in node.merged] == ["lab_nli-lab_ner", "lab_nli-lab_squad"]
    assert {parent.parent for parent in node.merged} == {node.parent}
    assert node.inputs == node.merged
    chains = [step.chain for step in node.lineage()]
    assert chains[-4:] == ["lab_nli", *(parent.chain for parent in node.merged), node.chain]
    assert len(chains) == len(set(chains))
    assert {step.id for step in node.lineage()} - {node.id} < node.ancestors().keys()
    assert node.job.rule == "merge"


def test_only_a_scaled_merge_reads_its_parent():
    scaled = merge("lab_nli-lab_ner|lab_squad~0.3")
    assert scaled.inputs == (scaled.parent, *scaled.merged)
    digests = {merge(f"lab_nli|lab_squad{s}").identity.digest for s in ("", "~0.3", "~0.4")}
    assert len(digests) == 3


def test_a_merge_is_the_same_in_any_order():
    assert merge("lab_squad|lab_nli~0.5").id == merge("lab_nli|lab_squad").id


def test_equal_trainings_are_not_merged():
    with pytest.raises(InputError, match="two of the merged trainings have the same data"):
        merge("lab_nli|lab_nli@en")


def test_punctuation_tells_recipes_apart():
    found = grid(recipes=["none", "lab_nli-lab_squad", {"multi-task": "lab_nli+lab_squad"}])
    called = {text: found.recipe_called(text) for text in ("NLI+SQuAD", "lab_nli|lab_squad")}
    assert called["lab_nli|lab_squad"] is None
    assert found.recipe_called("lab_squad+lab_nli") == "multi-task"
    assert found.recipe_called("multitask") == "multi-task"


def test_arms_share_equal_nodes():
    found = grid(arms=ARMS, recipes=["none", "lab_nli"], targets=["lab_paraphrase"], seeds=[1])
    assert {cell.model for cell in found.cells()} == {
        "lab_tiny+plain",
        "lab_tiny+short",
        "lab_tiny+fast",
        "lab_random",
    }
    plain = grid(recipes=["none", "lab_nli"], targets=["lab_paraphrase"], seeds=[1])

    def ending(grid, model, recipe):
        return grid.predictions(model, grid.recipes[recipe], "lab_paraphrase", 1).id

    assert ending(found, "lab_tiny+plain", "lab_nli") == ending(plain, "lab_tiny", "lab_nli")
    assert ending(found, "lab_tiny+short", "none") == ending(plain, "lab_tiny", "none")
    assert ending(found, "lab_tiny+short", "lab_nli") != ending(plain, "lab_tiny", "lab_nli")
    assert ending(found, "lab_tiny+fast", "none") != ending(plain, "lab_tiny", "none")


def test_arm_overrides_study_but_not_pretraining():
    tasks = {"lab_nli": {"train": {"max_steps": 9}}}
    found = grid(arms=ARMS, tasks=tasks, recipes=["none", "lab_nli"])
    nli = found.recipes["lab_nli"]
    assert found.trainings.step("lab_tiny+short", nli, 1).settings.max_steps == 5
    assert found.trainings.step("lab_tiny+plain", nli, 1).settings.max_steps == 9
    assert found.trainings.step("lab_tiny+fast", nli, 1).settings.learning_rate == 5e-3
    roots = [c for c in found.artefacts().checkpoints.values() if c.chain == "pretrain-lab_text"]
    assert len(roots) == 1


def test_an_arm_may_say_how_a_mixture_is_drawn():
    arms = {"a": {}, "b": {"train": {"mixing": "temperature", "temperature": 2.0}}}
    found = grid(arms=arms, multitask={"mixing": "uniform"})
    mixture = found.recipes["lab_completion+lab_nli"]
    settings = {arm: found.trainings.step(f"lab_tiny+{arm}", mixture, 1).settings for arm in arms}
    assert {arm: s.mixing for arm, s in settings.items()} == {"a": "uniform", "b": "temperature"}
    assert settings["b"].temperature == 2
    with pytest.raises(InputError, match="`mixing: temperature` and `temperature` need each other"):
        grid(train={"mixing": "temperature"}).artefacts()


def test_arms_are_labelled_and_their_tasks_known():
    assert labels(grid(arms=ARMS))["lab_tiny+fast"] == "tiny XLM-R, quick"
    assert labels(grid(arms=ARMS))["lab_tiny+short"] == "tiny XLM-R, short"
    with pytest.raises(InputError, match="unknown task 'lab_nly': did you mean 'lab_nli'"):
        grid(arms={"a": {"tasks": {"lab_nly": {}}}})


def test_ids_are_distinct_and_name_the_cell():
    found = grid()
    cell = Cell("lab_tiny", "lab_nli", "lab_paraphrase", 2)
    assert found.score(cell).id.startswith("lab_tiny.lab_nli.lab_paraphrase.s2.")
    assert len({score.id for score in found.scores()}) == len(found.cells())


def test_xnli_trains_on_the_same_prepared_data_as_mnli():
    found = grid(models=["slices_tiny"], controls=[], recipes=["none", "mnli"], targets=["xnli"])
    names = {name.rsplit(".", 1)[0] for name in found.artefacts().datasets}
    assert "mnli.en.train" in names
    assert "xnli.en.train" not in names


def test_settings_of_the_study_do_not_reach_pretraining():
    model = {"lab": {**tiny_project.MODELS["xlmr"], "pretrain": "text"}}

    def pretrained(**study) -> str:
        study = {**tiny_project.STUDY, "models": ["lab"], **study}
        values = {"study": study, "tasks": tiny_project.TASKS, "models": model}
        return Grid(Project.model_validate(values)).trainings.root("lab").id

    before = pretrained()
    assert pretrained(train={"learning_rate": 2e-5}, encode={"max_length": 32}) == before
    assert pretrained(tasks={"nli": {"train": {"learning_rate": 2e-5}}}) == before
    assert pretrained(tasks={"text": {"train": {"learning_rate": 2e-5}}}) != before


def test_examples_shorten_scored_data_only():
    study = {"recipes": ["none"], "targets": ["lab_reading", "xquad"], "source": "hub"}
    whole = grid(**study, controls=[])
    short = grid(**study, controls=[], tasks={"xquad": {"examples": 40}})
    data = [d for d in short.artefacts().datasets.values() if d.task in ("xquad", "squad")]
    limits = {(d.task, d.split): d.spec.limit for d in data}
    assert limits == {("xquad", "test"): 40, ("squad", "validation"): 40, ("squad", "train"): None}
    changed = kinds(ids(short), ids(whole))
    assert {name.split(".")[0] for name in changed if "xquad" not in name} == {"squad"}
    assert whole.artefacts().checkpoints.keys() == short.artefacts().checkpoints.keys()
