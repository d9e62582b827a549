"""Text to text: a decoder generates the label; predictions compare likelihoods of labels."""

from pathlib import Path

import pytest
import torch
import transformers
from torch.nn.functional import log_softmax

from tests.real_classes import TASK, grid, predictions_of, trained
from xstilts import store
from xstilts.config.settings import Encode, Predict
from xstilts.errors import InputError
from xstilts.families import IGNORED, choose_text, classify_text
from xstilts.modelling import checkpoints
from xstilts.recipe import Recipe, parse
from xstilts.stages import predict, train

ENCODE = Encode(max_length=40)


@pytest.mark.parametrize("name", ["classify", "choose"])
def test_predictions_are_equal_after_saving(published, monkeypatch, name):
    predictions = grid("text-to-text").predictions("mt5", Recipe(), TASK[name], 1)
    assert predictions.family == f"{name}_text"
    heads = published.predictions("mt5", Recipe(), TASK[name], 1)
    assert predictions.checkpoint.identity.digest != heads.checkpoint.identity.digest
    assert predictions.checkpoint.parent.id == heads.checkpoint.parent.id, "one download"
    before = []
    trained(
        predictions.checkpoint,
        monkeypatch,
        lambda built: before.extend(predictions_of(built, predictions)),
    )
    predict.run(predictions)
    assert store.read_lines(Path(predictions.file(predictions.datasets[0]))) == before
    opened = transformers.AutoModelForSeq2SeqLM.from_pretrained(predictions.checkpoint.path)
    assert type(opened).__name__ == "MT5ForConditionalGeneration"
    # the next step inherits the decoder
    child = checkpoints.fresh_head(Path(predictions.checkpoint.path), "choose_text", [], False, 2)
    for key, weight in opened.state_dict().items():
        assert torch.equal(weight, child.state_dict()[key]), key


@pytest.mark.parametrize("module", [classify_text, choose_text])
def test_a_score_is_the_log_likelihood_of_its_tokens(published, rows, module):
    root = Path(published.trainings.root("mt5").path)
    model = checkpoints.load_trained(root, module.__name__.rsplit(".", 1)[1])
    tokenizer = checkpoints.load_tokenizer(root)
    classify = module is classify_text
    data = rows("nli" if classify else "completion", "en", "test")[:3]
    labels = module.labels(data) if classify else []
    features = module.encode(data, tokenizer, ENCODE, labels, train=False)
    features[1]["candidates"] = features[1]["candidates"][:2]  # not all have as many
    batch = module.collate(features, tokenizer.pad_token_id)
    with torch.no_grad():
        outputs = module.outputs(model(**batch), batch, Predict())
        assert len(outputs[1]) == 2
        for feature, scores in zip(features, outputs, strict=True):
            for tokens, score in zip(feature["candidates"], scores, strict=True):
                assert tokens[-1] == tokenizer.eos_token_id
                plain = transformers.MT5ForConditionalGeneration.forward(
                    model,
                    input_ids=torch.tensor([feature["input_ids"]]),
                    labels=torch.tensor([tokens]),
                ).logits[0]
                own = log_softmax(plain, -1)[range(len(tokens)), tokens].sum().item()
                assert score == pytest.approx(own, abs=1e-4)


def test_training_targets_are_the_labels(published, rows):
    tokenizer = checkpoints.load_tokenizer(Path(published.trainings.root("mt5").path))
    data = rows("nli", "en", "train")[:4]
    labels = classify_text.labels(data)
    features = classify_text.encode(data, tokenizer, ENCODE, labels, train=True)
    batch = classify_text.collate(features, tokenizer.pad_token_id)
    for row, tokens in zip(data, batch["labels"].tolist(), strict=True):
        expected = tokenizer(row["label"])["input_ids"]
        assert [token for token in tokens if token != IGNORED] == expected


@pytest.mark.slow
def test_it_learns(published):
    settings = {"max_steps": 60, "batch_size": 8, "learning_rate": 1e-2}
    step = grid("text-to-text", train=settings).trainings.step("mt5", parse("nli"), 1)
    train.run(step)
    log = store.read_lines(Path(step.path) / "training.jsonl")
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("task", ["entities", "reading", "text", "passages"])
def test_other_families_are_refused(published, task):
    with pytest.raises(InputError, match=f"'mt5' is text-to-text: task '{task}' is of family"):
        grid("text-to-text").trainings.step("mt5", parse(task), 1)
    with pytest.raises(InputError, match="task 'tatoeba' is of family mine"):
        grid("text-to-text").predictions("mt5", Recipe(), "tatoeba", 1)


def test_several_tasks_in_a_step_are_refused(published):
    with pytest.raises(InputError, match=r"step 'completion\+nli' has several tasks"):
        grid("text-to-text").trainings.step("mt5", parse("completion+nli"), 1)


def test_a_model_without_a_decoder_is_refused(published):
    with pytest.raises(InputError, match="model_type 'xlm-roberta': no decoder"):
        train.run(grid("text-to-text").trainings.step("xlmr", parse("nli"), 1))
