"""Files of a pretrained model, on the Hub or in a local folder.

Weights are read from safetensors only: the other formats can run code, and so can `auto_map`. An
entry may ask for the conversion of a pickle.
"""

import math
import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors import SafetensorError, safe_open

from xstilts import store
from xstilts.errors import InputError
from xstilts.identity import file_sha256

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# a tokenizer has at least one of VOCABULARY; the files of _BESIDE are optional
VOCABULARY = ("tokenizer.json", "*.model", "vocab.txt", "vocab.json")
_BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
_UNSAFE = (".bin", ".h5", ".msgpack", ".pt", ".pth", ".ckpt", ".pkl")
CONVERT = "open the model where you trust it, and write it again with `save_pretrained`"
CONVERT_KEY = (
    "Otherwise, `convert: true` below `hub` in its entry writes a pytorch_model.bin as safetensors"
)
CONVERTED = (  # remedies for weights in another format on the Hub
    "many models have a converted copy in a pull request by SFconvertbot; state its commit as "
    f"`revision` (`xstilts pin` searches for one). {CONVERT_KEY}"
)


def has_weights(present: Iterable[str]) -> bool:
    """Whether a model's files contain weights in safetensors, a format that cannot run code."""
    return not {WEIGHTS, INDEX}.isdisjoint(present)


def can_convert(present: Iterable[str]) -> bool:
    """Whether a model's files contain weights that `convert` writes as safetensors."""
    return not {PICKLE, PICKLE_INDEX}.isdisjoint(present)


def beside_weights(
    present: Collection[str], where: str, remedy: str, convert: bool = False
) -> list[str]:
    """Return the files that a model needs besides its weights, out of those that are present.

    Messages name `where`. `remedy` is for weights in another format. Raise InputError for an
    unusable model.
    """
    if not has_weights(present) and not (convert and can_convert(present)):
        others = ", ".join(sorted(name for name in present if name.endswith(_UNSAFE)))
        raise InputError(
            f"{where}: no {WEIGHTS} ({others or 'no weights at all'}): other formats can run "
            f"code; {remedy}"
        )
    vocabulary = [name for name in present if _is_vocabulary(name)]
    if not vocabulary:
        raise InputError(f"{where}: no tokenizer: none of {', '.join(VOCABULARY)}")
    if CONFIG not in present:
        raise InputError(f"{where}: no {CONFIG}")
    one, index = _weights_and_index(present)
    beside = [*(name for name in present if name in _BESIDE), *([] if one in present else [index])]
    return [CONFIG, *vocabulary, *beside]


def _weights_and_index(present: Collection[str]) -> tuple[str, str]:
    return (WEIGHTS, INDEX) if has_weights(present) else (PICKLE, PICKLE_INDEX)


def _is_vocabulary(name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in VOCABULARY)


def is_tokenizer_file(name: str) -> bool:
    """Whether a file of a checkpoint belongs to its tokenizer."""
    return _is_vocabulary(name) or name in _BESIDE


def share_tokenizer(parent: Path, made: Path) -> None:
    """Link the tokenizer's files of a parent checkpoint, which no training changes."""
    for path in parent.iterdir():
        if is_tokenizer_file(path.name):
            store.link_or_copy(path, made / path.name)


def weights(present: Collection[str], folder: Path) -> list[str]:
    """Return the names of the files with weights; several are listed by the index in `folder`."""
    one, index = _weights_and_index(present)
    return [one] if one in present else indexed(folder / index)


def indexed(path: Path) -> list[str]:
    """Return the names of the weights' files in an index. Raise InputError if it is damaged."""
    files = store.read_object(path).get("weight_map")
    names = {*map(str, files.values())} if isinstance(files, dict) else set()
    # of this folder only: a name with a separator would lead out of it
    ending = path.name.removesuffix(".index.json").rpartition(".")[2]
    if not names or not all(re.fullmatch(rf"[\w.-]+\.{ending}", name) for name in names):
        raise InputError(f"{path}: damaged: expected `weight_map` with names of {ending} files")
    return sorted(names)


def convert(folder: Path, names: Iterable[str], where: str) -> dict[str, str]:
    """Write a model's pickled weights as safetensors, and delete them; return their hashes.

    Raise InputError for a file that is damaged or holds more than tensors.
    """
    hashes, renamed = {}, {}
    for name in names:
        renamed[name] = name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
        source, target = folder / name, folder / renamed[name]
        hashes[name] = file_sha256(source)
        command = [sys.executable, "-m", "xstilts.modelling.conversion", str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2]
            reason = reason or f"its process ended with {done.returncode}"
            raise InputError(
                f"{where}: {name} is not converted: it is damaged or holds more than tensors, and "
                f"nothing of it was run ({reason})"
            )
        source.unlink()
    if (folder / PICKLE_INDEX).exists():
        index = store.read_json(folder / PICKLE_INDEX)
        index["weight_map"] = {key: renamed[name] for key, name in index["weight_map"].items()}
        store.write_json(folder / INDEX, index)
        (folder / PICKLE_INDEX).unlink()
    return hashes


def local_files(folder: Path, where: str) -> list[str]:
    """Return the names of the files of a model in a local folder, after checking what is cheap.

    Raise InputError if the folder, a file or a part of a file is missing, or if the model needs
    code of its own.
    """
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{where}: the folder {state}; expected a folder with {CONFIG}")
    present = sorted(path.name for path in folder.iterdir() if path.is_file())
    small = beside_weights(present, where, CONVERT)
    for name in (CONFIG, "tokenizer_config.json"):
        if name in small:
            _check_no_code(folder / name)
    names = weights(present, folder)
    for name in names:
        check_weights(folder / name)
    return sorted({*small, *names})


def _check_no_code(path: Path) -> None:
    """Raise InputError for a configuration that is damaged, or names code of the model."""
    content = store.read_object(path)
    if "auto_map" in content:
        raise InputError(
            f"{path}: `auto_map` names code of the model, and code of a model is never run; if a "
            "class of transformers opens this model, delete the key"
        )
    if path.name == CONFIG and "model_type" not in content:
        raise InputError(f"{path}: no key `model_type`; expected the configuration of a model")


def check_weights(path: Path) -> None:
    """Raise InputError for a safetensors file that is missing, damaged or truncated."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, but {INDEX} lists it; copy the folder again")
    try:
        _shapes(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: damaged or truncated, not valid safetensors ({error}); copy it again"
        ) from None


def _shapes(path: Path) -> dict[str, list[int]]:
    """Return the shape of each weight of a safetensors file, from its header."""
    with safe_open(path, "np") as file:
        return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118


def parameters(folder: Path, files: Iterable[str]) -> tuple[int, int]:
    """Return the number of weights in a folder's files, and of those in the token embeddings."""
    pieces = store.read_object(folder / CONFIG).get("vocab_size")
    paths = [folder / name for name in files if name.endswith(".safetensors")]
    shapes = [shape for path in paths for shape in _shapes(path).values()]
    tables = [shape for shape in shapes if len(shape) == 2 and shape[0] == pieces]
    return sum(map(math.prod, shapes)), max(map(math.prod, tables), default=0)


def complete_tokenizer(folder: Path, where: str, tokenizer_class: str) -> int:
    """Write the tokenizer of a model in its fast form; return its number of pieces.

    Raise InputError if it or the model is unknown, or has no fast form.
    """
    import transformers

    if not hasattr(transformers, tokenizer_class):
        raise InputError(f"{where}: tokenizer_class: transformers has no {tokenizer_class!r}")
    kind = getattr(transformers, tokenizer_class)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = kind.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the library raises many types for what it cannot read
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{where}: transformers cannot read it: {reason}") from None
    if not tokenizer.is_fast:
        raise InputError(
            f"{where}: its tokenizer, {type(tokenizer).__name__}, has no fast form; state another "
            "`tokenizer_class`, or add its tokenizer.json"
        )
    pieces = getattr(config, "vocab_size", 0)
    if len(tokenizer) > pieces:
        raise InputError(
            f"{where}: its tokenizer has {len(tokenizer)} pieces, but the model has only "
            f"{pieces} embeddings"
        )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def has_pooler(folder: Path) -> bool:
    """Whether the weights in a folder contain a pooler."""
    return any("pooler." in key for path in folder.glob("*.safetensors") for key in _shapes(path))
