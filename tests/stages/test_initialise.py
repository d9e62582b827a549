"""Models of local folders: identity, publication, and what is wrong with a folder."""

import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.local_folder import write_model
from tests.tiny_project import STUDY, TASKS
from xstilts import store
from xstilts.config.origins import HubModel
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.grid import raw_files
from xstilts.grid.grid import Grid
from xstilts.stages import initialise


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A usable folder, which tests copy."""
    return write_model(tmp_path_factory.mktemp("own") / "model")


@pytest.fixture
def folder(published, tmp_path, monkeypatch) -> Path:
    """A copy of the folder, below the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(published, "model"))


def root(folder: str | Path = "model", **entry):
    """Return the planned checkpoint of a local model."""
    own = {"local": {"folder": str(folder), **entry}}
    values = {"study": {**STUDY, "models": ["own"]}, "tasks": TASKS, "models": {"own": own}}
    project, _ = raw_files.fingerprint(Project.model_validate(values), Path("raw.json"))
    return Grid(project).trainings.root("own")


def change(path: Path, **keys) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_local_model_is_published_from_its_folder(folder):
    checkpoint = root()
    initialise.run(checkpoint)
    manifest = store.CheckpointManifest.verify(Path(checkpoint.path))
    made = Path(checkpoint.path)
    assert manifest.parameters == 4368
    assert manifest.lineage == [checkpoint.id]
    assert checkpoint.id.startswith("own.local.")
    assert (
        load_file(made / "model.safetensors").keys()
        == load_file(folder / "model.safetensors").keys()
    )
    assert os.path.samefile(made / "model.safetensors", folder / "model.safetensors")


def test_tokenizer_of_the_folder_is_not_changed(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    initialise.run(root())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_identity_is_the_content_not_the_place(folder):
    shutil.copytree("model", "elsewhere")
    (Path("elsewhere") / "README.md").write_text("not read")
    assert root().id == root("elsewhere").id
    change(Path("elsewhere/config.json"), hidden_dropout_prob=0.3)
    assert root().id != root("elsewhere").id


def test_weights_are_counted_for_the_plan(folder):
    values = {"study": {**STUDY, "models": ["own"]}, "tasks": TASKS}
    values["models"] = {"own": {"local": {"folder": "model"}}}
    project, _ = raw_files.fingerprint(Project.model_validate(values), Path("raw.json"))
    table = json.loads((folder / "config.json").read_text())["vocab_size"] * 16
    assert project.models["own"].embedding_parameters == table
    assert project.models["own"].parameters > table


def test_folder_and_home_are_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("MODELS", str(Path.cwd()))
    assert root("~/model").id == root("$MODELS/model").id == root().id


def damage_config(folder):
    (folder / "config.json").write_text("{")


def damage_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def name_code(folder):
    change(folder / "config.json", auto_map={"AutoModel": "modeling_own.Own"})


def name_code_of_tokenizer(folder):
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]})


def remove(*names):
    def apply(folder):
        for name in names:
            (folder / name).unlink()

    return apply


def only_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def missing_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def damaged_index(content):
    def apply(folder):
        (folder / "model.safetensors").rename(folder / "model-1.safetensors")
        (folder / "model.safetensors.index.json").write_text(content)

    return apply


INDEX = "model.safetensors.index.json: damaged: "
PLANNED = {
    "index of another type": (damaged_index("[]"), INDEX),
    "index without weights": (damaged_index('{"weight_map": {"a": 1}}'), INDEX),
    "index of another folder": (
        damaged_index('{"weight_map": {"a": "../model/model-1.safetensors"}}'),
        INDEX,
    ),
    "no folder": (shutil.rmtree, "local.folder model: the folder does not exist"),
    "no config": (remove("config.json"), "local.folder model: no config.json"),
    "damaged config": (damage_config, "model/config.json: damaged: not valid JSON"),
    "no tokenizer": (remove("tokenizer.json"), "model: no tokenizer: none of tokenizer.json"),
    "pickle": (only_pickle, "no model.safetensors (pytorch_model.bin): other formats can run code"),
    "no weights": (remove("model.safetensors"), "no model.safetensors (no weights at all)"),
    "damaged weights": (damage_weights, "model.safetensors: damaged or truncated"),
    "missing shard": (missing_shard, "model/model-2.safetensors: no such file"),
    "code": (name_code, "model/config.json: `auto_map` names code"),
    "code of tokenizer": (name_code_of_tokenizer, "tokenizer_config.json: `auto_map` names code"),
}


@pytest.mark.parametrize("case", PLANNED)
def test_unusable_folder_is_found_when_planning(case, folder):
    damage, message = PLANNED[case]
    damage(folder)
    with pytest.raises(InputError) as raised:
        root()
    assert str(raised.value).startswith("model 'own', ")
    assert message in str(raised.value)


def test_file_in_place_of_a_folder_is_named(folder):
    with pytest.raises(InputError, match="the folder is a file"):
        root("model/config.json")


def test_unset_variable_is_named(folder):
    with pytest.raises(InputError, match="NOT_SET_ANYWHERE/model is not set"):
        root("$NOT_SET_ANYWHERE/model")


def rewrite(path: Path, keep) -> None:
    save_file({k: w for k, w in load_file(path).items() if keep(k)}, path, {"format": "pt"})


def change_weights(folder):
    rewrite(folder / "model.safetensors", lambda key: "embeddings" in key)


def change_shape(folder):
    change(folder / "config.json", intermediate_size=48)


def add_piece(folder):
    change(folder / "config.json", vocab_size=10)


RUN = {
    "incomplete weights": (change_weights, {}, "the weights lack encoder.layer.0."),
    "other shape": (change_shape, {}, "the weights do not fit config.json"),
    "small vocabulary": (add_piece, {}, "but the model has only 10 embeddings"),
    "unknown class": (lambda f: None, {"tokenizer_class": "MyTokenizer"}, "has no 'MyTokenizer'"),
    "slow": (lambda f: None, {"tokenizer_class": "ByT5Tokenizer"}, "has no fast form"),
    "unknown type": (
        lambda f: change(f / "config.json", model_type="my_bert"),
        {},
        "transformers cannot read it",
    ),
}


@pytest.mark.parametrize("case", RUN)
def test_unusable_model_publishes_nothing(case, folder):
    damage, entry, message = RUN[case]
    damage(folder)
    checkpoint = root(**entry)
    with pytest.raises(InputError) as raised:
        initialise.run(checkpoint)
    assert str(raised.value).startswith("model 'own', local.folder model")
    assert message in str(raised.value)
    assert not Path(checkpoint.path).exists()


def test_folder_changed_after_planning_is_an_error(folder):
    checkpoint = root()
    change(folder / "config.json", hidden_dropout_prob=0.3)
    with pytest.raises(InputError, match=r"config\.json: changed since the study was planned"):
        initialise.run(checkpoint)
    assert not Path(checkpoint.path).exists()


@pytest.mark.parametrize("name", ["/models/own", "./own", "models/own/v2", "own", "~/own"])
def test_folder_as_a_repository_is_refused(name):
    with pytest.raises(ValueError, match=r"expected OWNER/NAME.*`local: \{folder"):
        HubModel(repository=name)


def test_model_has_exactly_one_origin():
    both = {"local": {"folder": "a"}, "hub": {"repository": "a/b"}}
    for entry, given in (({}, "none of them"), (both, "`hub` and `local`")):
        values = {"study": {**STUDY, "models": ["m"]}, "tasks": TASKS, "models": {"m": entry}}
        with pytest.raises(ValueError, match=f"exactly one of .*, not {given}"):
            Project.model_validate(values)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_weights_have_the_mode_of_the_umask(tmp_path, mask, mode):
    made = write_model(tmp_path / "made")
    before = os.umask(mask)
    try:
        store.CheckpointManifest.publish(
            made, tmp_path / "out", content={}, provenance={}, pretrained_pooler=False, labels={}
        )
    finally:
        os.umask(before)
    assert (tmp_path / "out/model.safetensors").stat().st_mode & 0o777 == mode
