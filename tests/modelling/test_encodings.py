"""Token ids are kept for other jobs, and a file never has those of other rows or tokenizers."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny_project import TASK_OF, make_grid
from xstilts import store
from xstilts.config.settings import Encode
from xstilts.families import family
from xstilts.identity import VERSIONS
from xstilts.modelling import batches, checkpoints
from xstilts.modelling.encodings import encoded, source_of
from xstilts.stages import train
from xstilts.store import paths

ENCODE = Encode(max_length=40, stride=4, max_question_length=20)


def data_of(task: str, split: str) -> Path:
    """Return the folder of prepared data of the tiny project."""
    return Path(make_grid().data.dataset(task, "xa", split).path)


def root() -> Path:
    """Return the folder of a tiny model without training."""
    return Path(make_grid().trainings.root("xlmr").path)


@pytest.fixture
def again(workspace):
    """Return a function that encodes a family's data; a second call must not encode."""

    def run(name: str, train: bool = True, settings: Encode = ENCODE, kept: bool = False, **part):
        folder = data_of(TASK_OF[name], "train" if train else "test")
        rows, module = store.read_rows(folder), family(name)
        labels = module.labels(rows)
        if kept:
            module = replace(module, encode=lambda *rows: pytest.fail("encodes again"))
        tokenizer, source = checkpoints.load_tokenizer(root()), source_of(root(), [folder])
        return encoded(rows, tokenizer, module, settings, labels, train, source.part(**part))

    return run


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", TASK_OF)
def test_kept_token_ids_are_those_of_the_family(again, name, train):
    if name == "mask" and not train:
        pytest.skip("only trains")
    features = again(name, train)
    assert again(name, train, kept=True) == json.loads(json.dumps(features))  # tuples are lists


@pytest.mark.parametrize(
    "other", [{"name": "tag"}, {"train": False}, {"settings": Encode(max_length=39)}, {"seed": 2}]
)
def test_others_have_their_own_file(again, other):
    again("classify")
    again(**{"name": "classify", **other})
    assert len(list(paths.ENCODINGS.iterdir())) == 2


def test_phases_of_another_version_encode_again(workspace, monkeypatch):
    step, tokenizer = workspace.step("entities~10"), checkpoints.load_tokenizer(root())
    [before] = batches.read_materials(step, tokenizer).values()
    monkeypatch.setattr(batches, "subsample", lambda count, size, seed: list(range(10, 20)))
    monkeypatch.setitem(VERSIONS, "train", VERSIONS["train"] + 1)
    [after] = batches.read_materials(step, tokenizer).values()
    shutil.rmtree(paths.ENCODINGS)
    [expected] = batches.read_materials(step, tokenizer).values()
    lengths = [material.supply().lengths for material in (before, after, expected)]
    assert lengths[0] != lengths[1] == lengths[2]


def test_another_tokenizer_or_other_data_have_another_source(workspace):
    folder = data_of("nli", "test")
    before = source_of(root(), [folder]).content
    assert before["tokenizer"].keys() >= {"tokenizer.json", "tokenizer_config.json"}
    assert "model.safetensors" not in before["tokenizer"]
    assert before != source_of(root(), [data_of("nli", "train")]).content
    manifest = store.CheckpointManifest.read(root())
    manifest.files["tokenizer.json"] = "0" * 64
    manifest.write(root())
    assert before != source_of(root(), [folder]).content


def test_damaged_files_are_written_again(again):
    expected = again("answer")
    [path] = paths.ENCODINGS.iterdir()
    content, draw = path.read_bytes(), random.Random(1)
    damaged = [b"", b"PAR1", content[:-1], content[: len(content) // 2], content[32:]]
    for position in draw.sample(range(len(content)), 60):
        damaged.append(
            content[:position] + bytes([content[position] ^ 64]) + content[position + 1 :]
        )
    plain = json.loads(json.dumps(expected))
    for wrong in damaged:
        path.write_bytes(wrong)
        assert json.loads(json.dumps(again("answer"))) == plain


def test_trainings_share_them_with_the_same_weights(workspace):
    settings = {"evaluate_every": 10, "max_steps": 20}
    first, second = (workspace.step("entities", seed=seed, train=settings) for seed in (1, 2))
    expected = workspace.train(second)
    shutil.rmtree(second.path)
    shutil.rmtree(paths.ENCODINGS)
    workspace.train(first)
    files = {path.name: path.stat().st_ino for path in paths.ENCODINGS.iterdir()}
    assert len(files) == 2, "training and validation"
    assert workspace.train(second) == expected
    assert {path.name: path.stat().st_ino for path in paths.ENCODINGS.iterdir()} == files


def test_validations_need_no_manifest_of_the_parent(workspace, monkeypatch):
    step = workspace.step("entities", train={"evaluate_every": 10, "max_steps": 20})
    manifest = Path(step.parent.path) / store.MANIFEST
    evaluate = train.StepTrainer.evaluate

    def released(trainer):
        manifest.unlink(missing_ok=True)
        return evaluate(trainer)

    monkeypatch.setattr(train.StepTrainer, "evaluate", lambda trainer, *_, **__: released(trainer))
    workspace.train(step)
    assert not manifest.exists()
    assert len(list(paths.ENCODINGS.iterdir())) == 2, "training and validation"
