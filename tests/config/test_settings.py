"""Settings, and the layers that state some of them."""

import pytest
from pydantic import ValidationError

from xstilts.config.settings import Lora, Overrides, Train


@pytest.mark.parametrize(
    "train", [{"select": "best"}, {"patience": 3}, {"mixing": "temperature"}, {"temperature": 2.0}]
)
def test_a_layer_may_be_incomplete(train):
    assert Overrides(train=train).train == train
    with pytest.raises(ValidationError, match="need"):
        Train(**train)


@pytest.mark.parametrize(
    ("layer", "key"),
    [
        ({"train": {"learning_rate": "fast"}}, ("train", "learning_rate")),
        ({"train": {"lora": {"rank": 0}}}, ("train", "lora", "Lora", "rank")),
        ({"encode": {"max_length": 1}}, ("encode", "max_length")),
        ({"predict": {"neighbour": 1}}, ("predict",)),
    ],
)
def test_a_mistake_in_a_layer_is_located(layer, key):
    with pytest.raises(ValidationError) as error:
        Overrides(**layer)
    assert error.value.errors()[0]["loc"] == key


def test_a_layer_keeps_what_is_stated():
    assert Overrides(train={"lora": True, "epochs": 3}).train == {"lora": True, "epochs": 3}


def test_lora_true_takes_the_defaults():
    assert Train(lora=True).lora == Lora()
