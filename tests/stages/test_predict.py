"""Prediction: a file per language, the same bits every time, only what is missing."""

import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.tiny_project import make_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.grid import state
from xstilts.grid.artefacts import Cell
from xstilts.recipe import Recipe
from xstilts.stages import predict, score

QUICK = {"train": {"max_steps": 3, "batch_size": 8}}


def predictions(target: str = "nli", model: str = "xlmr", seed: int = 1, **study):
    """A cell's predictions under recipe `none`."""
    return make_grid(**QUICK, **study).predictions(model, Recipe(), target, seed)


def files(found) -> dict[str, bytes]:
    """The content of the prediction files."""
    return {path.name: path.read_bytes() for path in Path(found.path).glob("*.jsonl")}


def test_two_processes_train_and_predict_the_same(workspace):
    found = predictions(model="dropout")
    workspace.train(found.checkpoint)
    predict.run(found)
    here = files(found)
    assert sorted(name[:7] for name in here) == ["en.test", "en.vali", "xa.test"]
    shutil.rmtree(found.path)
    process = workspace.command("predict", found.id, **QUICK)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert files(found) == here
    other = predictions(model="dropout", seed=2)
    workspace.train(other.checkpoint)
    predict.run(other)
    assert files(other).keys() == here.keys()
    assert all(files(other)[name] != here[name] for name in here)


@pytest.mark.parametrize("target", ["nli", "completion", "entities", "reading", "tatoeba"])
def test_every_target_is_predicted_and_scored(workspace, target):
    found = predictions(target)
    if target != "tatoeba":
        workspace.train(found.checkpoint)
    assert not state.is_done(found)
    predict.run(found)
    assert state.is_done(found)
    scored = make_grid(**QUICK, targets=[target]).score(Cell("xlmr", "none", target, 1))
    assert scored.predictions.id == found.id
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


def test_a_language_that_joins_is_predicted_alone(workspace):
    one = predictions(tasks={"nli": {"languages": ["en"]}})
    both = predictions()
    assert one.id == both.id
    workspace.train(one.checkpoint)
    predict.run(one)
    before = {path: path.stat().st_mtime_ns for path in Path(one.path).glob("*.jsonl")}
    assert sorted(path.name[:7] for path in before) == ["en.test", "en.vali"]
    assert not state.is_done(both)
    predict.run(both)
    assert state.is_done(both)
    assert len(files(both)) == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_with_nothing_missing_nothing_is_read(workspace):
    found = predictions()
    workspace.train(found.checkpoint)
    predict.run(found)
    shutil.rmtree(found.checkpoint.path)
    predict.run(found)


@pytest.mark.parametrize("damaged", ["checkpoint", "data"])
def test_damaged_inputs_are_named_and_leave_no_predictions(workspace, damaged):
    found = predictions()
    workspace.train(found.checkpoint)
    folder = found.checkpoint if damaged == "checkpoint" else found.datasets[0]
    path = Path(folder.path) / ("model.safetensors" if damaged == "checkpoint" else "data.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{path.name}: damaged.*delete the folder and run again"):
        predict.run(found)
    assert not files(found)
    assert not state.is_done(found)


@pytest.mark.parametrize("model", ["xlmr", "bert"])
def test_an_earlier_task_is_done_with_its_own_head_on_the_later_encoder(workspace, model):
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
    for found in (before, after):
        predict.run(found.predictions)
        score.run(found)
        assert store.read_json(Path(found.path))["target"] == "nli"
    assert files(before.predictions).keys() == files(after.predictions).keys()
    assert files(before.predictions) != files(after.predictions)
