"""Prediction: a file per language, reproducible bits, only missing files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.tiny_project import make_grid
from xstilts import store
from xstilts.errors import Diverged, InputError
from xstilts.grid import state
from xstilts.grid.artefacts import Cell
from xstilts.identity import file_sha256
from xstilts.recipe import Recipe
from xstilts.stages import predict, score

QUICK = {"train": {"max_steps": 3, "batch_size": 8}}


def predictions(target: str = "nli", model: str = "xlmr", seed: int = 1, **study):
    """Return the predictions of a cell with recipe `none`."""
    return make_grid(**QUICK, **study).predictions(model, Recipe(), target, seed)


def files(predictions) -> dict[str, bytes]:
    """Return the content of the prediction files."""
    return {path.name: path.read_bytes() for path in Path(predictions.path).glob("*.jsonl")}


@pytest.mark.slow
def test_two_processes_train_and_predict_the_same(workspace):
    chosen = predictions(model="dropout")
    workspace.train(chosen.checkpoint)
    predict.run(chosen)
    expected = files(chosen)
    assert sorted(name[:7] for name in expected) == ["en.test", "en.vali", "xa.test"]
    shutil.rmtree(chosen.path)
    command = [sys.executable, "-m", "xstilts", *workspace.arguments("predict", chosen.id, **QUICK)]
    process = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert process.returncode == 0, process.stderr
    assert files(chosen) == expected
    other = predictions(model="dropout", seed=2)
    workspace.train(other.checkpoint)
    predict.run(other)
    assert files(other).keys() == expected.keys()
    assert all(files(other)[name] != expected[name] for name in expected)


@pytest.mark.parametrize("target", ["nli", "completion", "entities", "reading", "tatoeba"])
def test_every_target_is_predicted_and_scored(workspace, target):
    chosen = predictions(target)
    if target != "tatoeba":
        workspace.train(chosen.checkpoint)
    assert not state.is_done(chosen)
    predict.run(chosen)
    assert state.is_done(chosen)
    scored = make_grid(**QUICK, targets=[target]).score(Cell("xlmr", "none", target, 1))
    assert scored.predictions.id == chosen.id
    score.run(scored)
    result = store.read_json(Path(scored.path))
    metric = result["main_metric"]
    for language in result["languages"].values():
        assert 0 <= language["metrics"][metric] <= 100
        assert language["n"] == 16
    assert (result["validation"] is None) == (target == "tatoeba")
    examples = pyarrow.parquet.ParquetFile(scored.examples_path).read().to_pandas()
    for language, rows in examples.groupby("language", observed=True):
        expected = result["languages"][language]["metrics"][metric]
        assert 100 * rows["top"].sum() / max(rows["bottom"].sum(), 1) == pytest.approx(expected)
    assert set(examples["language"]) == set(result["languages"])


def test_an_added_language_is_predicted_alone(workspace):
    english = predictions(tasks={"nli": {"languages": ["en"]}})
    both = predictions()
    assert english.id == both.id
    workspace.train(english.checkpoint)
    predict.run(english)
    before = {path: path.stat().st_mtime_ns for path in Path(english.path).glob("*.jsonl")}
    assert sorted(path.name[:7] for path in before) == ["en.test", "en.vali"]
    assert not state.is_done(both)
    predict.run(both)
    assert state.is_done(both)
    assert len(files(both)) == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_nothing_is_read_if_nothing_is_missing(workspace):
    chosen = predictions()
    workspace.train(chosen.checkpoint)
    predict.run(chosen)
    shutil.rmtree(chosen.checkpoint.path)
    predict.run(chosen)


@pytest.mark.parametrize("damaged", ["checkpoint", "data"])
def test_damaged_inputs_are_named(workspace, damaged):
    chosen = predictions()
    workspace.train(chosen.checkpoint)
    folder = chosen.checkpoint if damaged == "checkpoint" else chosen.datasets[0]
    path = Path(folder.path) / ("model.safetensors" if damaged == "checkpoint" else "data.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    remedy = f"delete {path.parent} and run again"
    with pytest.raises(InputError, match=f"{path.name}: damaged.*{remedy}"):
        predict.run(chosen)
    assert not files(chosen)
    assert not state.is_done(chosen)


@pytest.mark.parametrize("model", ["xlmr", "bert"])
def test_earlier_head_predicts_on_the_later_encoder(workspace, model):
    from xstilts.modelling.checkpoints import load_trained, load_weights

    orders = {"tasks": ["nli", "entities"], "steps": 40, "random": 2, "forgetting": True}
    grid = make_grid(models=[model], orders=orders, recipes=["none"])
    kept = grid.retained()
    chain = "nli~20steps-entities~20steps"
    before, after = kept[model, "nli~20steps", "nli", 1], kept[model, chain, "nli", 1]
    workspace.train(before.predictions.checkpoint)
    workspace.train(after.predictions.checkpoint)
    own, later = (Path(s.predictions.checkpoint.path) for s in (before, after))
    mixed = load_trained(later, "classify", pretrained_pooler=False, head=own)
    prefix = f"{mixed.base_model_prefix}."
    for key, weight in mixed.state_dict().items():
        source = own if not key.startswith(prefix) or "pooler" in key else later
        assert weight.equal(load_weights(source)[key]), key
    for scored in (before, after):
        predict.run(scored.predictions)
        score.run(scored)
        assert store.read_json(Path(scored.path))["target"] == "nli"
    assert files(before.predictions).keys() == files(after.predictions).keys()
    assert files(before.predictions) != files(after.predictions)


def test_shared_training_has_the_labels_of_both_targets():
    asked = predictions("nli")
    assert predict.labels_of({"a_copy": ["no", "yes"]}, asked) == ["no", "yes"]
    assert predict.labels_of({"a_copy": ["no", "yes"]}, predictions("tatoeba")) == []


def changed(file: str, old: str, new: str) -> None:
    """Replace a text in a file."""
    path = Path(file)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def scored(workspace, target: str = "nli"):
    """Return a score whose predictions exist."""
    wanted = make_grid(**QUICK, targets=[target]).score(Cell("xlmr", "none", target, 1))
    workspace.train(wanted.predictions.checkpoint)
    predict.run(wanted.predictions)
    return wanted


def test_changed_predictions_are_not_scored(workspace):
    wanted = scored(workspace)
    file = wanted.predictions.file(wanted.predictions.scored[0])
    label = store.read_lines(Path(file))[0]["prediction"]
    changed(file, f'"prediction": "{label}"', '"prediction": "zzz"')
    with pytest.raises(InputError, match=r"jsonl: damaged.*delete it and run again"):
        score.run(wanted)
    assert not Path(wanted.path).exists()
    Path(file).unlink()
    predict.run(wanted.predictions)
    score.run(wanted)


@pytest.mark.parametrize("target", ["nli", "entities"])
def test_labels_that_the_model_lacks_are_errors(workspace, target):
    wanted = scored(workspace, target)
    about = Path(wanted.predictions.path) / "about.json"
    labels = store.read_json(about)["labels"]
    assert labels == sorted(labels)
    store.write_json(about, store.read_json(about) | {"labels": ["x", "y"]})
    with pytest.raises(InputError, match=r"jsonl:1: unknown label .*; valid: x, y"):
        score.run(wanted)


def test_damaged_descriptions_of_predictions_are_named(workspace):
    wanted = scored(workspace)
    for content in ("[]", "{", '{"id": "x"}'):
        (Path(wanted.predictions.path) / "about.json").write_text(content)
        with pytest.raises(InputError, match=r"about\.json: damaged: .*; delete .* and run"):
            score.run(wanted)


def test_scores_state_the_hashes_of_predictions(workspace):
    wanted = scored(workspace)
    score.run(wanted)
    result = store.read_json(Path(wanted.path))
    expected = {
        name: file_sha256(Path(wanted.predictions.path) / name)
        for name in files(wanted.predictions)
    }
    assert result["provenance"]["files"] == expected


def test_outputs_that_are_not_finite_name_the_checkpoint(workspace, monkeypatch):
    chosen = predictions("nli")
    workspace.train(chosen.checkpoint)

    def diverge(*arguments):
        raise Diverged("the model's logits are not finite")

    monkeypatch.setattr(predict, "predict_rows", diverge)
    expected = f"{chosen.id}: checkpoint {chosen.checkpoint.path}: the model's logits are not fin"
    with pytest.raises(Diverged, match=re.escape(expected)):
        predict.run(chosen)
    assert not files(chosen)


@pytest.mark.parametrize("target", ["nli", "completion", "entities", "reading"])
def test_weights_that_are_not_finite_predict_nothing(workspace, target):
    from safetensors.torch import load_file, save_file

    chosen = predictions(target)
    workspace.train(chosen.checkpoint)
    folder = Path(chosen.checkpoint.path)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "word_embeddings" in name)
    weights[name][:] = float("nan")
    made = store.scratch("damaged")
    for path in folder.iterdir():
        shutil.copy(path, made)
    save_file(weights, made / "model.safetensors", {"format": "pt"})
    (made / "manifest.json").unlink()
    fields = store.CheckpointManifest.read(folder).model_dump(exclude={"id", "files"})
    store.CheckpointManifest.publish(made, folder, **fields)
    with pytest.raises(InputError, match=r"word_embeddings\.weight are not finite"):
        predict.run(chosen)
    assert not files(chosen)
