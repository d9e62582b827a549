"""Precision: what is computed in fewer bits, what stays in fp32, what a device refuses."""

import numpy as np
import pytest
import torch

from tests.modelling.test_inference import ENCODE, model_of, scores
from xstilts.config.settings import Predict
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.modelling import checkpoints, precision
from xstilts.modelling.inference import predict_rows


def predictions(folder, rows, name, number):
    module, tokenizer = family(name), checkpoints.load_tokenizer(folder)
    labels = module.labels(rows)
    model = model_of(name, folder, labels)
    return predict_rows(model, tokenizer, module, rows, labels, ENCODE, Predict(precision=number))


@pytest.mark.parametrize(("name", "task"), [("classify", "nli"), ("mine", "tatoeba")])
def test_bf16_changes_scores_by_rounding_only(root, rows, name, task):
    data = rows(task, "xa", "test")
    full, mixed = (predictions(root("xlmr"), data, name, p) for p in ("fp32", "bf16"))
    exact = np.array([scores(prediction) for prediction in full])
    rounded = np.array([scores(prediction) for prediction in mixed])
    assert (exact != rounded).any(), "otherwise nothing was computed in bf16"
    assert rounded == pytest.approx(exact, abs=0.02)


def test_tf32_equals_fp32_on_a_cpu(root, rows):
    data = rows("nli", "xa", "test")
    full, tf32 = (predictions(root("xlmr"), data, "classify", p) for p in ("fp32", "tf32"))
    assert full == tf32


def test_a_cpu_refuses_fp16():
    with pytest.raises(InputError, match="cell: `precision: fp16` needs a GPU; state bf16"):
        precision.prepare("fp16", "cell")


def test_a_gpu_without_bf16_refuses_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    with pytest.raises(InputError, match="cell: Tesla V100 has no bf16; state `precision: fp16`"):
        precision.prepare("bf16", "cell")
    precision.prepare("fp16", "cell")


def test_tf32_sets_the_precision_of_products():
    try:
        precision.prepare("tf32", "cell")
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        precision.prepare("fp32", "cell")
    assert torch.get_float32_matmul_precision() == "highest"


def test_pretrained_models_compute_in_bf16():
    from tests import CONFIG
    from xstilts.config.project import read_definitions

    models = read_definitions([CONFIG]).models
    on_gpus = [model for model in models.values() if model.hub and model.resources.gpu]
    assert len(on_gpus) > 20
    for model in on_gpus:
        assert model.train["precision"] == model.predict["precision"] == "bf16"
