"""Pickled weights become safetensors; what holds more than tensors is refused."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file

from xstilts.errors import InputError
from xstilts.modelling import conversion
from xstilts.sources import models

TENSOR = torch.arange(6.0).reshape(2, 3)


class Program:
    """A pickle of this object runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_tied_and_transposed_weights_are_written(is_zip, tmp_path):
    weights = {"a": TENSOR, "tied": TENSOR, "b": TENSOR.T}
    torch.save(weights, "old.bin", _use_new_zipfile_serialization=is_zip)
    assert conversion.main("old.bin", "new.safetensors") == 0
    written = load_file("new.safetensors")
    assert written.keys() == weights.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": Program()}, "it names the code posix.system"),
        ([TENSOR], "it holds a list, expected tensors by name"),
        ({"a": TENSOR, "b": 7}, "'b' is a int, expected tensors by name"),
    ],
)
def test_other_content_is_refused(content, reason, tmp_path, capsys):
    torch.save(content, "old.bin")
    assert conversion.main("old.bin", "new.safetensors") == 1
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["old.bin"]


def test_program_in_place_of_weights_is_one_message(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Program()))
    message = "model m: pytorch_model.bin is not converted: it is damaged or holds more than"
    with pytest.raises(InputError, match=message) as raised:
        models.convert(tmp_path, ["pytorch_model.bin"], "model m")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_index_of_several_pickles_names_the_new_files(tmp_path):
    names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (tmp_path / models.PICKLE_INDEX).write_text(json.dumps(index))
    for key, name in index["weight_map"].items():
        torch.save({key: TENSOR}, name)
    assert models.convert(tmp_path, names, "model m").keys() == set(names)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {*models.weights(files, tmp_path), models.INDEX}
    assert load_file("model-00002-of-00002.safetensors").keys() == {"b"}
