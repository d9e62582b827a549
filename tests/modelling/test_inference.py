"""Prediction: independent of the single examples in the batch."""

import numpy as np
import pytest

from tests.tiny_project import TASK_OF
from xstilts.config.settings import Encode, Predict
from xstilts.errors import Diverged
from xstilts.families import family
from xstilts.modelling import checkpoints, inference

ENCODE = Encode(max_length=40, stride=4, max_question_length=20)


def scores(prediction: dict) -> list[float]:
    """Return all numbers of a prediction."""
    given = prediction.get("scores", [])
    values = [*(given.values() if isinstance(given, dict) else given)]
    values += [
        prediction[key] for key in ("score", "null_score") if prediction.get(key) is not None
    ]
    return values


def model_of(name: str, folder, labels: list[str]):
    """Return a family's model, without training."""
    if name == "mine":
        return checkpoints.load_trained(folder, name)
    return checkpoints.fresh_head(folder, name, labels, False, 1)


@pytest.mark.parametrize("model", ["xlmr", "bert", "deberta"])
@pytest.mark.parametrize("name", ["classify", "choose", "tag", "answer", "mine"])
def test_predictions_do_not_depend_on_the_batch(root, rows, bert, monkeypatch, model, name):
    task = TASK_OF.get(name, "tatoeba")
    data = rows(task, "xa", "test")
    folder = bert.folder if model == "bert" else root(model)
    tokenizer = checkpoints.load_tokenizer(folder)
    module = family(name)
    labels = module.labels(data)
    built = model_of(name, folder, labels)

    def predict(rows):
        return inference.predict_rows(built, tokenizer, module, rows, labels, ENCODE, Predict())

    together = predict(data)
    monkeypatch.setitem(inference.TOKENS_PER_BATCH, "cpu", 1)
    alone = predict(data[::-1])
    expected = [row["id"] for row in data if row.get("side") != "foreign"]
    assert [prediction["id"] for prediction in together] == expected
    by_id = {prediction["id"]: prediction for prediction in alone}
    for prediction in together:
        single = by_id[prediction["id"]]
        assert prediction["prediction"] == single["prediction"]
        assert scores(prediction) == pytest.approx(scores(single), abs=1e-5)
    assert len({str(scores(p) or p["prediction"]) for p in together}) > 1, (
        "otherwise the test shows nothing"
    )


def test_batches_are_bounded_and_complete():
    features = [{"input_ids": [0] * (1 + number * 7 % 60)} for number in range(50)]
    features.append({"input_ids": [0] * 500})
    batches = inference.batches_of(features, 100)
    assert sorted(number for batch in batches for number in batch) == list(range(51))
    for batch in batches:
        lengths = [len(features[number]["input_ids"]) for number in batch]
        assert len(batch) * max(lengths) <= 100 or len(batch) == 1
        assert min(lengths) >= 0.8 * max(lengths)


def test_few_short_sentences_are_padded_little():
    random = np.random.default_rng(1)
    lengths = (3 + random.gamma(2, 10, 200)).astype(int)  # such as a treebank's
    features = [{"input_ids": [0] * length} for length in lengths]
    padded = sum(
        max(lengths[batch]) * len(batch) for batch in inference.batches_of(features, 16384)
    )
    assert padded < 1.15 * lengths.sum()


@pytest.mark.parametrize("training", [True, False])
def test_prediction_keeps_the_models_mode(root, rows, tokenizer, training):
    built = checkpoints.fresh_head(root("dropout"), "classify", ["x", "y", "z"], False, 1)
    built.train(training)
    data = rows("nli", "en", "test")
    arguments = (tokenizer, family("classify"), data, ["x", "y", "z"], ENCODE, Predict())
    first = inference.predict_rows(built, *arguments)
    assert built.training == training
    assert inference.predict_rows(built, *arguments) == first, "no dropout while predicting"


@pytest.mark.parametrize("name", ["classify", "choose", "tag", "answer", "mine"])
def test_outputs_that_are_not_finite_are_errors(root, rows, tokenizer, name):
    data = rows(TASK_OF.get(name, "tatoeba"), "xa", "test")
    module = family(name)
    labels = module.labels(data)
    built = model_of(name, root("xlmr"), labels)
    for weight in built.parameters():
        weight.data[:] = float("inf")
    with pytest.raises(Diverged, match="not finite"):
        inference.predict_rows(built, tokenizer, module, data, labels, ENCODE, Predict())
