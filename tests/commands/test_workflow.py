"""Commands that the workflow calls: a mistake is one clear message and no partial result."""

import re
from pathlib import Path

import pytest
import yaml

from tests.commands import STUDY, edit, ids, output, use_reviews
from xstilts import store
from xstilts.cli import main
from xstilts.grid import state
from xstilts.report.view import StudyView

TSV = "language\tgold_label\tsentence1\tsentence2\tpairID\n"
ROW = "en\tneutral\tA dog.\tA cat.\t{}\n"
SQUAD = '{"data": [{"title": "t", "paragraphs": []}]}'


@pytest.mark.parametrize(
    ("format", "content", "message"),
    [
        ("xnli", None, "reviews.en.test: no file reviews.txt for language 'en' below data"),
        ("xnli", "", "reviews.txt: the file is empty"),
        ("xnli", TSV, "reviews.txt: no row in 'en'"),
        ("xnli", TSV + ROW.format(1) + "en\tneut", "reviews.txt:3: 2 columns, expected 5"),
        ("xnli", TSV + ROW.format("1\tmore"), "reviews.txt:2: 6 columns, expected 5"),
        ("xnli", TSV + ROW.format(1) * 2, "reviews.txt:3: id '1' is repeated; first in .*:2"),
        ("xnli", (TSV + ROW.format("é")).encode("latin-1"), "reviews.txt:2: not UTF-8"),
        ("xnli", TSV + ROW.format(1).replace("neutral", "maybe"), ":2: unknown label 'maybe'"),
        ("xnli", TSV.replace("pairID", "pid") + ROW.format(1), ":2: no column 'pairID'"),
        ("squad", SQUAD[:-9], "reviews.txt: not valid JSON, or truncated"),
        ("squad", SQUAD, "reviews.txt: no row is left"),
    ],
)
def test_unusable_raw_file_is_named(small_folder, rejection, format, content, message):
    content = content.encode() if isinstance(content, str) else content
    id = use_reviews(format, content)
    assert re.search(message, rejection("prepare", id), re.S)


def test_unknown_labels_are_named(small_folder, rejection):
    content = (TSV + ROW.format(1)).encode()
    id = use_reviews("xnli", content, labels="labels: [entailment, contradiction]")
    message = rejection("prepare", id)
    assert "labels neutral are not among the task's: entailment, contradiction" in message


def test_raw_file_must_not_change_during_a_run(small_folder, rejection):
    id = use_reviews("xnli", (TSV + ROW.format(1)).encode())
    view = StudyView(state.open_study(STUDY)[0])
    view.write_snapshot()
    Path("data/reviews.txt").write_text(TSV + ROW.format(2))
    assert "changed since the study was planned" in rejection(
        "prepare", "--study", str(view.snapshot), id
    )


def test_unknown_id_gets_the_nearest(small_folder, rejection):
    id = ids("checkpoints")["tiny.nli.s1"]
    for stage in ("train", "initialise"):
        assert f"did you mean '{id}'?" in rejection(stage, id[:-1] + "x")
    assert "has no download" in rejection("fetch", id)
    id = ids("scores")["tiny.nli.paraphrase.s1"]
    assert f"did you mean '{id}'?" in rejection("score", id[:-1])
    assert "did you mean 'tiny.nli.tatoeba.s1'?" in rejection("why", "tiny.nli.tatoba.s1")


@pytest.mark.parametrize("blocked", ["results", "results/scratch", "results/data"])
def test_unwritable_results_are_named(small_folder, rejection, blocked):
    # a file in the way stands for missing permissions, which root would not notice
    Path(blocked).parent.mkdir(exist_ok=True)
    Path(blocked).write_text("")
    assert f"{blocked}" in rejection("prepare", ids("datasets")["nli.en.train"])


def test_unwritable_log_is_named(small_folder, rejection):
    Path("logs").write_text("")
    id = ids("datasets")["nli.en.train"]
    assert "logs" in rejection("prepare", "--log", "logs/prepare.log", id)


def test_parent_is_verified_before_training(workplace, rejection):
    (weights,) = Path("results/checkpoints").glob("tiny.init.*/model.safetensors")
    step = ids("checkpoints")["tiny.nli.s1"]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    message = rejection("train", step)
    again = f"delete {weights.parent} and run again"
    assert f"{weights}: damaged: its sha256 differs from manifest.json; {again}" in message
    weights.unlink()
    assert f"{weights}: missing, but listed in" in rejection("train", step)
    manifest = weights.with_name("manifest.json")
    manifest.write_text(manifest.read_text()[:50])
    assert f"{manifest}: damaged: not valid JSON; {again}" in rejection("train", step)
    manifest.unlink()
    assert f"{manifest}: no such file" in rejection("train", step)


def test_prepared_data_is_verified_before_training(workplace, rejection):
    (data,) = Path("results/data").glob("nli.en.train.*/data.parquet")
    data.write_bytes(data.read_bytes()[:-4])
    message = rejection("train", ids("checkpoints")["tiny.nli.s1"])
    assert f"{data}: damaged" in message
    assert f"delete {data.parent} and run again" in message


def test_unusable_gpu_is_an_error(workplace, rejection, monkeypatch):
    models = Path("config/models/small.yaml")
    entries = yaml.safe_load(models.read_text())
    entries["tiny"]["resources"] = {"gpu": 1}
    models.write_text(yaml.safe_dump(entries))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("xstilts.commands.workflow.NVIDIA_DRIVER", Path("config"))  # which exists
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    step = ids("checkpoints")["tiny.nli.s1"]
    assert "cannot use this node's GPU" in rejection("train", step)
    assert store.failure_file(step).exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["train", step]) == 0


def test_infinite_loss_fails_the_cell(workplace, rejection, capsys):
    edit("nli:\n    train: {learning_rate: 1.0e-3}", "nli:\n    train: {learning_rate: 1.0e+30}")
    step = ids("checkpoints")["tiny.nli.s1"]
    message = rejection("train", step)
    assert re.search(rf"{re.escape(step)}: the loss is (nan|inf) at step [1-4]$", message)
    reason = message.removeprefix("xstilts train: ")

    assert not (Path("results/checkpoints") / step).exists()
    assert "no such file" in rejection("score", ids("scores")["tiny.nli.tatoeba.s1"])
    status = output(capsys, "status")
    assert "✗ failed 2" in status  # both targets of the recipe
    assert reason in status
    assert f"again: snakemake results/checkpoints/{step}/manifest.json" in status
    why = output(capsys, "why", "tiny.nli.tatoeba.s1")
    assert f"failed: {reason}" in why
