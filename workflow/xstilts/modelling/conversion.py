"""Pickled weights as safetensors: `python -m xstilts.modelling.conversion SOURCE TARGET`.

A process of its own, since a pickle is a program that others wrote. `weights_only` runs none of it:
it reads tensors, and refuses everything else.
"""

import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file


def convert(source: Path, target: Path) -> None:
    """Write the tensors of a pickle to a safetensors file. Raise ValueError for other content."""
    is_mapped = zipfile.is_zipfile(source)  # the layout since PyTorch 1.6 needs no second copy
    weights = torch.load(source, map_location="cpu", weights_only=True, mmap=is_mapped)
    if not isinstance(weights, Mapping):
        raise ValueError(f"it holds a {type(weights).__name__}, expected tensors by name")
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{name!r} is a {type(tensor).__name__}, expected tensors by name")
    # names of tied weights share one tensor, which safetensors does not allow
    tensors = {name: tensor.contiguous().clone() for name, tensor in weights.items()}
    save_file(tensors, target, {"format": "pt"})


def main(source: str, target: str) -> int:
    """Convert a file; for one that cannot be read, print the reason and return 1."""
    try:
        convert(Path(source), Path(target))
    except Exception as error:  # a damaged pickle raises nearly any type
        named = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it names the code {named[1]}" if named else str(error)
        print(" ".join(reason.split())[:200], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
