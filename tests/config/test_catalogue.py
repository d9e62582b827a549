"""The shipped tasks, models, presets and studies."""

import json
import os
from itertools import chain
from pathlib import Path

import pytest

from tests import CONFIG, shipped
from xstilts.cli import main
from xstilts.config import origins
from xstilts.config.project import assemble, load, read_definitions
from xstilts.config.settings import SETTINGS
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError
from xstilts.grid import raw_files
from xstilts.grid.grid import Grid
from xstilts.grid.state import open_values
from xstilts.report.view import notes, same_data
from xstilts.stages import prepare

REAL = Path(os.environ.get("XSTILTS_REAL_DATA", "absent"))
TASKS = read_definitions([CONFIG]).tasks
XTREME = "xnli pawsx udpos panx xquad mlqa tydiqa bucc2018 tatoeba"
NINE = "anli_plus mnli qqp squad2 squad hellaswag ccg cosmosqa commonsenseqa"
STUDY = {
    "study": "s",
    "models": ["xlmr-large"],
    "recipes": ["none"],
    "targets": ["xnli"],
    "seeds": [1],
}


def project(**changes):
    return assemble({**STUDY, **changes}, shipped())


def test_released_tasks_state_licence_and_citation():
    files = ("intermediate", "xtreme", "few_labels", "slices", "pocket", "lab")  # and no user's own
    for name in chain.from_iterable(read_yaml(CONFIG / f"tasks/{file}.yaml") for file in files):
        task = TASKS[name]
        if any(isinstance(spec, origins.FilesSplit) for spec in task.splits.values()):
            assert task.licence, name
            assert name == "mlm" or (task.citation and task.homepage), name
            assert task.settings or "target" in task.roles or name == "plain_text", name


@pytest.mark.parametrize("name", ["phang2020", "xtreme", "lab"])
def test_every_preset_resolves(name):
    made = project(hyperparameters=name)
    having = [task for task, entry in TASKS.items() if name in entry.settings]
    assert len(having) > 15
    for task in having:
        for group in SETTINGS:
            made.settings(group, task, "xlmr-large")


def test_preset_overrides_task_but_not_study():
    plain, named = project(), project(hyperparameters="phang2020")
    assert plain.settings("encode", "xnli", "xlmr-large").max_length == 128
    assert named.settings("encode", "xnli", "xlmr-large").max_length == 256
    assert named.settings("train", "xnli", "xlmr-large").epochs == 2
    overridden = project(hyperparameters="phang2020", train={"epochs": 1})
    assert overridden.settings("train", "xnli", "xlmr-large").epochs == 1
    with pytest.raises(InputError, match="hyperparameters: unknown preset 'phang': did you mean"):
        project(hyperparameters="phang")


# learning rate, epochs, batch size, longest sequence, steps between validations
JIANT = {
    "xnli": (1e-5, 2, 32, 256, 1000),
    "pawsx": (1e-5, 5, 32, 256, 1000),
    "udpos": (1e-5, 10, 32, 256, 1000),
    "panx": (1e-5, 10, 32, 256, 1000),
    "xquad": (1e-5, 2, 16, 384, 1000),
    "mlqa": (1e-5, 2, 16, 384, 1000),
    "tydiqa": (1e-5, 2, 16, 384, 1000),
    **{task: (1e-5, 3, 32, 256, None) for task in NINE.split() if not task.startswith("squad")},
    **dict.fromkeys(("squad", "squad2"), (1e-05, 3, 32, 384, None)),
}
GOOGLE = {
    "xnli": (3e-5, 5, 32, 128, 1000),  # there every 100
    "pawsx": (2e-5, 5, 32, 128, 200),
    "udpos": (2e-5, 10, 32, 128, 500),
    "panx": (2e-5, 10, 32, 128, 1000),
    **dict.fromkeys(("squad", "xquad", "mlqa", "tydiqa"), (3e-05, 3, 32, 384, None)),
    **dict.fromkeys(("siqa", "copa", "xcopa"), (3e-05, 5, 32, 128, None)),
    "lareqa": (2e-5, 3, 16, 256, None),
    "mewslix": (1e-5, 2, 32, 64, None),
}


@pytest.mark.parametrize(("name", "stated"), [("phang2020", JIANT), ("xtreme", GOOGLE)])
def test_presets_equal_their_sources(name, stated):
    made = project(hyperparameters=name)
    for task, expected in stated.items():
        train, encode = (made.settings(group, task, "xlmr-large") for group in ("train", "encode"))
        found = (train.learning_rate, train.epochs, train.batch_size, encode.max_length)
        assert (*found, train.evaluate_every) == expected, task
        if name == "phang2020":
            decay, warmup = 0.01, (0.1, None)
        else:
            reads = made.tasks[task].family == "answer"
            decay, warmup = (1e-4, (0.1, 500)) if reads else (0, (0, None))
        assert train.weight_decay == decay, task
        assert (train.warmup, train.warmup_steps) == warmup, task


def test_caption_names_preset_and_tasks_without_it():
    assert notes(Grid(project(title="Does it help?"))) == []
    grid = Grid(project(hyperparameters="phang2020", targets=["xnli", "xcopa", "tatoeba"]))
    [note] = notes(grid)
    assert "phang2020 (defaults for XCOPA, without this preset)" in note
    assert "XNLI" not in note


def test_anli_plus_is_one_head_on_three_releases():
    grid = Grid(project(recipes=["none", "anli_plus"]))
    [part] = grid.trainings.step("xlmr-large", grid.recipes["anli_plus"], 1).parts
    assert [data.task for data in part.train] == ["snli", "mnli", "anli"]
    assert ("anli_plus", "xnli") in same_data(grid)  # both hold MNLI


@pytest.mark.parametrize(
    ("recipe", "same"),
    [
        ("squad", ["xquad", "mlqa", "lareqa"]),
        ("squad2", ["xquad", "mlqa", "lareqa"]),
        ("mnli", ["xnli", "xnli_half"]),
        ("mnli_translated@de", ["xnli"]),  # the other half of the premises
        ("snli", []),
        ("qqp-mlm", []),
    ],
)
def test_shared_examples_are_found(recipe, same):
    targets = ["xnli", "xnli_half", "pawsx", "xquad", "mlqa", "tydiqa", "lareqa", "tatoeba"]
    found = same_data(Grid(project(recipes=["none", recipe], targets=targets)))
    assert [target for _, target in found] == same


def test_same_data_names_tasks():
    for name, task in TASKS.items():
        assert set(task.same_data) <= TASKS.keys() - {name}


def test_paper_grid():
    grid = Grid(load(CONFIG / "studies" / "phang2020.yaml"))
    assert grid.study.targets == XTREME.split()
    without = {name for name in grid.recipes if "mlm" not in name}
    assert without == {"none", "multitask", *NINE.split()}
    assert len(grid.recipes) == 2 * len(without)
    assert len(grid.cells()) == 22 * 9 * 3
    counts = {target: len(grid.data.languages(target)) for target in grid.study.targets}
    assert list(counts.values()) == [15, 7, 33, 40, 11, 7, 9, 4, 36]
    assert len(grid.artefacts().scores) == len(grid.cells())


def test_tydiqa_trains_on_english_only():
    grid = Grid(project(targets=["tydiqa"]))
    [predictions] = grid.artefacts().predictions.values()
    assert {data.language for data in predictions.checkpoint.parts[0].train} == {"en"}


def test_mewsli_x_languages_share_candidates():
    [predictions] = Grid(project(targets=["mewslix"])).artefacts().predictions.values()
    assert len(predictions.scored) == len(predictions.files) == 11  # no validation: no file is here
    assert [data.split for data in predictions.datasets].count("candidates") == 1
    assert sum(data.spec.expected("rows", data.language) for data in predictions.scored) == 14624
    assert predictions.candidates.spec.expected("rows", "en") == 1003893


def test_unpinned_repositories_are_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid, notices = open_values(
        {**STUDY, "models": ["xlmr-xl"], "source": "hub"}, CONFIG / "x.yaml"
    )
    assert notices == [
        "not pinned: facebook/xlm-roberta-xl; before `fetch`, `xstilts pin --study …` writes their "
        "commits to hub.lock.yaml"
    ]
    assert grid.artefacts().scores


def test_tasks_missing_on_the_hub_are_read_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = CONFIG / "studies" / "phang2020.yaml"
    _, notices = open_values(read_yaml(path) | {"source": "hub"}, path)
    assert "not (completely) on the Hub: bucc2018, ccg; read from files below data" in notices


@pytest.fixture
def release(tmp_path, monkeypatch):
    """An XNLI and an MNLI of two rows each, below the working directory."""
    monkeypatch.chdir(tmp_path)
    xnli = tmp_path / "data/xnli/XNLI-1.0"
    xnli.mkdir(parents=True)
    lines = ["language\tgold_label\tsentence1\tsentence2\tpairID"]
    lines += [f"{code}\tneutral\ta\tb\t{n}" for code in ("en", "de") for n in range(2)]
    for split in ("dev", "test"):
        (xnli / f"xnli.{split}.tsv").write_text("\n".join(lines) + "\n")
    mnli = tmp_path / "data/mnli/glue/MNLI"
    mnli.mkdir(parents=True)
    rows = ["index\tsentence1\tsentence2\tgold_label", "0\ta\tb\tneutral", "1\ta\tb\t-"]
    (mnli / "train.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_wrong_number_of_rows_is_an_error(release):
    for rows in ("stated", "any"):
        made, _ = raw_files.fingerprint(project(rows=rows), release / "memory")
        grid = Grid(made)
        wanted = [grid.data.dataset("mnli", "en", "train")]
        if rows == "any":
            prepare.run(wanted, made)
            manifest = json.loads((release / wanted[0].path / "manifest.json").read_text())
            assert manifest["rows"] == 1
            assert manifest["gaps"] == [1]
        else:
            with pytest.raises(InputError, match="2 rows, but the release has 392702"):
                prepare.run(wanted, made)


def test_missing_ccgbank_names_address_and_folder(release):
    made, _ = raw_files.fingerprint(project(recipes=["none", "ccg"]), release / "memory")
    with pytest.raises(InputError) as error:
        prepare.run([Grid(made).data.dataset("ccg", "en", "train")], made)
    for expected in (
        "no file ccg/ccgbank_1_1/data/AUTO/0[2-9]/*.auto, ",
        "below data; unpack the release there, it is at https://catalog.ldc.upenn.edu/LDC2005T13",
        "licence: LDC User Agreement",
    ):
        assert expected in str(error.value)


def test_gold_pairs_of_a_release_are_counted(release):
    made, _ = raw_files.fingerprint(project(targets=["bucc2018"]), release / "memory")
    folder = release / "data" / "bucc2018" / "zh-en"
    folder.mkdir(parents=True)
    for ending, text in (("zh", "zh-1\ta\n"), ("en", "en-1\tb\n"), ("gold", "zh-1\ten-1\n")):
        (folder / f"zh-en.sample.{ending}").write_text(text)
    made, _ = raw_files.fingerprint(made, release / "memory")
    with pytest.raises(InputError, match="1 pairs, but the release has 257"):
        prepare.run([Grid(made).data.dataset("bucc2018", "zh", "validation")], made)


def test_stated_rows_do_not_change_the_identity(release):
    made, _ = raw_files.fingerprint(project(), release / "memory")
    task = made.tasks["mnli"]
    spec = task.splits["train"].model_copy(update={"rows": 1})
    other = task.model_copy(update={"splits": {**task.splits, "train": spec}})
    changed = made.model_copy(update={"tasks": {**made.tasks, "mnli": other}})
    first, second = (Grid(p).data.dataset("mnli", "en", "train") for p in (made, changed))
    assert first.id == second.id


def test_missing_files_are_left_out_and_reported(release):
    study = {
        "recipes": ["none", "mnli", "anli_plus", {"again": "mnli~9", "both": "mnli+squad"}],
        "targets": ["xnli", "pawsx", "bucc2018", "tatoeba"],
        "languages": "available",
    }
    made, notices = raw_files.fingerprint(project(**study), release / "memory")
    assert made.study.recipes == ["none", "mnli", {"again": "mnli~9"}]
    assert made.study.targets == ["xnli"]
    assert made.study.tasks["xnli"].languages == TASKS["xnli"].languages  # one file holds all
    text = "\n".join(notices)
    for expected in (
        "recipe anli_plus: no files snli/",
        "recipe mnli+squad: no files squad/",
        "pawsx: no files pawsx/",
        "bucc2018: no files for de, fr, ru, zh: target left out",
    ):
        assert expected in text
    with pytest.raises(InputError, match="no target has its files below data: pawsx"):
        raw_files.fingerprint(project(**{**study, "targets": ["pawsx"]}), release / "memory")


@pytest.mark.skipif(not REAL.is_dir(), reason="XSTILTS_REAL_DATA is not set")
def test_slices_are_complete_except_as_reported(tmp_path):
    loaded = load(CONFIG / "studies" / "slices.yaml")
    made, notices = raw_files.fingerprint(loaded, tmp_path / "memory")
    lost = [
        {str(name) for name in getattr(loaded.study, key)}
        - {str(name) for name in getattr(made.study, key)}
        for key in ("recipes", "targets")
    ]
    assert lost == [{"anli_plus", "qqp", "ccg"}, {"tydiqa", "bucc2018"}]
    text = " ".join(notices)
    assert all(f"{name}: no files" in text for name in [*lost[0], *lost[1]])
    kept = {target: len(made.study.tasks[target].languages) for target in made.study.targets}
    assert kept == {
        **{"xnli": 15, "pawsx": 2, "udpos": 28, "panx": 47, "xquad": 12, "mlqa": 7},
        **{"tydiqa_train": 3, "bucc2018_dev": 1, "tatoeba": 112, "xcopa": 11, "lareqa": 11},
        **{"multichecklist": 50},
    }


def test_every_hub_model_states_its_size():
    for name, model in read_definitions([CONFIG]).models.items():
        assert model.init or model.parameters > model.embedding_parameters > 0, name


def test_paper_grid_is_planned_without_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = CONFIG / "studies" / "phang2020.yaml"
    assert main(["plan", "--study", str(study), "--gpus", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "phang2020: 594 cells, 0 done, 594 to do"
    rows = {line.split()[0]: line.split() for line in lines if line}
    # 21 recipes' steps and 22 x 6 targets with training, three seeds: XQuAD and MLQA share theirs
    heads = [line.split()[2:4] for line in lines if line.startswith("By recipe")]
    assert heads == [["to", "do"]]  # nothing is done: no columns for all and done
    assert rows["train"][1] == "459"
    assert rows["fetch"][-2:] == ["2.2", "GB"]  # XLM-R large
