"""The shipped tasks from a hub: pinned, fetched and prepared offline, with their rows."""

import shutil

import pytest
import yaml

from tests.hub import catalogue
from tests.hub.project import ROOT, STUDY, Project, model_files
from xstilts import store
from xstilts.config.project import assemble, read_definitions, read_lock
from xstilts.config.yaml import read_yaml
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.report.view import same_data

TASKS = read_definitions([ROOT / "config"]).tasks
TARGETS = {
    "xnli": ["en", "de"],
    "pawsx": ["en", "de"],
    "udpos": ["en", "de"],
    "panx": ["en", "de"],
    "xquad": ["en", "de"],
    "mlqa": ["en", "de"],
    "tydiqa": ["en", "fi"],
    "bucc2018_hub": ["de"],
    "tatoeba": ["de"],
    "xcopa": ["et"],
}
INTERMEDIATE = "anli_plus mnli qqp squad squad2 hellaswag cosmosqa commonsenseqa siqa copa mlm"
GRID = {
    **STUDY,
    "source": "hub",
    "rows": "any",
    "recipes": ["none", *INTERMEDIATE.split()],
    "targets": list(TARGETS),
    "tasks": {name: {"languages": languages} for name, languages in TARGETS.items()},
    "encode": {"max_length": 48, "stride": 4, "max_question_length": 16},
    "train": {"max_steps": 1, "batch_size": 4},
}


def origins() -> list:
    entries = TASKS.values()
    splits = [s for task in entries for s in (*task.splits.values(), *task.hub.values())]
    return [split for split in splits if getattr(split, "repository", "")]


@pytest.fixture
def hub(hub):
    catalogue.add(hub, {o.repository: o.revision for o in origins() if o.revision})
    return hub


@pytest.fixture
def project(hub, tmp_path, root):
    """The shipped tasks in two languages, and a tiny model without a revision."""
    hub.add("models", "some/tiny", model_files(root("xlmr")))
    made = Project(tmp_path / "project", hub, {}, {"tiny": {"hub": {"repository": "some/tiny"}}})
    shutil.rmtree(made.folder / "config" / "tasks")
    shutil.copytree(ROOT / "config" / "tasks", made.folder / "config" / "tasks")
    path = made.folder / "config" / "tasks" / "intermediate.yaml"
    entries = read_yaml(path)
    entries["mlm"]["languages"] = list(catalogue.LANGUAGES)
    made.write("tasks/intermediate.yaml", entries)
    made.write("config.yaml", GRID)
    return made


def test_every_entry_has_a_test_repository():
    names = set(catalogue.repositories())
    assert {origin.locked_name for origin in origins() if not origin.revision} < names
    assert {origin.repository for origin in origins()} == {n.partition("@")[0] for n in names}


@pytest.mark.slow
def test_shipped_tasks_run_offline(hub, project):
    unpinned = list(project.grid(**GRID).artefacts().downloads)
    (_, printed), (status, error) = project.commands(["status"], ["fetch", unpinned[-1]])
    assert (
        "not pinned: commul/universal_dependencies, facebook/mlqa@refs/convert/parquet, " in printed
    )
    assert status == 2
    assert "model some/tiny: no commit is stated; run `xstilts pin --study STUDY`" in error

    (first, again) = project.commands(["pin"], ["pin"])
    assert (first[0], again[0]) == (0, 0), first[1]
    lock = yaml.safe_load((project.folder / "config" / "hub.lock.yaml").read_text())
    assert lock["models"] == {"some/tiny": hub.branches["models/some/tiny"]["main"]}
    assert list(lock["datasets"]) == [
        "commul/universal_dependencies",
        "facebook/mlqa@refs/convert/parquet",
        "google/xtreme",
        "unimelb-nlp/wikiann",
    ]
    assert again[1].count(", kept\n") == 5

    grid = project.grid(**GRID)
    artefacts = grid.artefacts()
    (status, printed) = project.commands(["fetch", *artefacts.downloads])[0]
    assert status == 0, printed
    downloaded = hub.downloads()
    for other in ("test_matched", "grc_proiel", "00001-of-00002", "/test_r"):
        assert not any(other in path for path in downloaded), other

    hub.stop()
    # each task once: those of a first step, then the scores of recipe `none`
    nodes = [node for node in artefacts.checkpoints.values() if len(node.lineage()) == 2]
    scores = [score for score in artefacts.scores.values() if score.cell.recipe == "none"]
    (prepared, *done) = project.commands(
        ["prepare", *artefacts.datasets],
        *(["train", node.id] for node in nodes),
        *(["predict", score.predictions.id] for score in scores),
        *(["score", score.id] for score in scores),
        ["export-xtreme", "--recipe", "none", "--seed", "1", "--out", "out"],
    )
    # XNLI, XQuAD, MLQA and XCOPA train as MNLI, SQuAD and COPA do; two targets have no training
    own = ["pawsx", "udpos", "panx", "tydiqa"]
    assert sorted(node.chain for node in nodes) == sorted([*INTERMEDIATE.split(), *own])
    assert prepared[0] == 0, prepared[1]
    for name, rows in ROWS.items():
        assert f"{name}: {rows} rows" in prepared[1], name
    assert "pawsx.de.test: 3 rows, 1 excluded" in prepared[1]
    for status, printed in done:
        assert status == 0, printed
    found = {
        id.rpartition(".")[0]: project.folder / "results/data" / id for id in artefacts.datasets
    }
    for name, row in EXAMPLES.items():
        assert store.read_rows(found[name])[0] == row, name
    assert len(list((project.folder / "out").rglob("test-*"))) == 16
    hub.start()


# rows of the data sets, and the first of them
ROWS = {
    "mnli.en.train": 8,
    "snli.en.train": 8,
    "anli.en.train": 24,
    "qqp.en.train": 8,
    "squad.en.train": 8,
    "squad2.en.train": 9,
    "hellaswag.en.train": 8,
    "cosmosqa.en.train": 8,
    "commonsenseqa.en.train": 8,
    "siqa.en.train": 8,
    "copa.en.train": 8,
    "mlm.de.train": 8,
    "pawsx.de.test": 3,
    "udpos.en.train": 17,
    "tydiqa.en.train": 8,
    "tydiqa.fi.test": 3,
    "bucc2018_hub.de.test": 16,
    "tatoeba.de.test": 16,
}
EXAMPLES = {
    "udpos.en.test": {"id": "0", "words": ["im", "red", "sings"], "tags": ["ADP", "NOUN", "VERB"]},
    "udpos.de.test": {"id": "0", "words": ["im", "red", "sings"], "tags": ["ADP", "NOUN", "VERB"]},
    "copa.en.train": {
        "id": "0",
        "context": "the red bird",
        "question": "What was the effect?",
        "choices": ["sings", "flies"],
        "label": 0,
    },
    "bucc2018_hub.de.test": {"id": "de-0", "side": "foreign", "text": "vier red", "match": ""},
    "tatoeba.de.test": {"id": "de-0", "side": "foreign", "text": "ein red", "match": "en-0"},
    "mnli.en.train": {"id": "0", "text_a": "the red red", "text_b": "a red", "label": "entailment"},
    "pawsx.de.test": {"id": "0", "text_a": "the red red", "text_b": "a red", "label": "0"},
    "panx.de.test": {"id": "0", "words": ["Anna", "sees", "red"], "tags": ["B-PER", "O", "B-LOC"]},
    "xquad.de.test": {
        "id": "de0",
        "context": "the red tree is red now",
        "question": "which tree 0?",
        "answers": ["red"],
        "starts": [4],
    },
    "hellaswag.en.train": {
        "id": "0",
        "context": "the red house",
        "question": "",
        "choices": ["is red", "is blue", "is green", "is big"],
        "label": 0,
    },
    "xcopa.et.test": {
        "id": "0",
        "context": "the red bird",
        "question": "What was the effect?",
        "choices": ["sings", "flies"],
        "label": 0,
    },
    "mlm.de.train": {"id": "0", "text": "the red house", "text_b": ""},
    "siqa.en.train": {
        "id": "0",
        "context": "a bird",
        "question": "why?",
        "choices": ["red", "blue", "green"],
        "label": 0,
    },
}


@pytest.mark.slow
def test_unpinnable_repositories_are_reported(hub, project):
    files = dict(hub.repositories["models/some/tiny"][1])
    weights = files.pop("model.safetensors")
    hub.add("models", "some/tiny", files | {"pytorch_model.bin": b"x"})
    hub.add("models", "some/tiny", files | {"model.safetensors": weights}, "refs/pr/7")
    hub.add("datasets", "google/xtreme", {"xtreme.py": b"raise SystemExit(7)"})
    ((status, printed),) = project.commands(["pin"])
    assert status == 2
    assert "model some/tiny: main has no safetensors weights; refs/pr/7 has them: write" in printed
    assert "dataset google/xtreme: a script, and scripts are never run; " in printed
    lock = yaml.safe_load((project.folder / "config" / "hub.lock.yaml").read_text())
    assert "unimelb-nlp/wikiann" in lock["datasets"]
    assert "google/xtreme" not in lock["datasets"]

    project.write(
        "models/all.yaml", {"tiny": {"hub": {"repository": "some/tiny", "branch": "refs/pr/7"}}}
    )
    newer = hub.add("datasets", "unimelb-nlp/wikiann", {"README.md": b"new"})
    (_, printed), (_, updated) = project.commands(["pin"], ["pin", "--update"])
    assert "model some/tiny@refs/pr/7: " in printed
    assert "unimelb-nlp/wikiann: " + lock["datasets"]["unimelb-nlp/wikiann"] + ", kept" in printed
    assert f"unimelb-nlp/wikiann: {newer}, was " in updated


@pytest.mark.parametrize("text", ["datasets: {a/b: main}", "datasts: {}", "datasets: {a/b: 1}"])
def test_a_damaged_lock_file_is_one_message(tmp_path, text):
    (tmp_path / "hub.lock.yaml").write_text(text)
    with pytest.raises(InputError, match=r"hub\.lock\.yaml.*datas"):
        read_lock(tmp_path)


@pytest.mark.parametrize("source", ["files", "hub"])
def test_shared_training_data_is_known_in_both_sources(source):
    study = GRID | {"source": source, "models": ["xlmr-large"]}
    grid = Grid(assemble(study, read_definitions([ROOT / "config"])))
    assert {("mnli", "xnli"), ("anli_plus", "xnli"), ("squad", "xquad"), ("squad", "mlqa")} <= set(
        same_data(grid)
    )
    assert ("copa", "xcopa") in same_data(grid)
    assert not [pair for pair in same_data(grid) if pair[1] in ("pawsx", "udpos", "tydiqa")]


def test_the_source_is_part_of_the_identity():
    study = STUDY | {"models": ["xlmr-large"], "targets": ["lab_nli", "xnli"]}
    files, hub = (
        Grid(assemble(study | {"source": source}, read_definitions([ROOT / "config"])))
        .artefacts()
        .checkpoints
        for source in ("files", "hub")
    )
    shared = {id.rpartition(".")[0] for id in files.keys() & hub.keys()}
    assert shared == {"xlmr-large.hub", "xlmr-large.lab_nli.s1"}
