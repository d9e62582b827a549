"""Encoded examples, kept in `results/encodings`: jobs with equal data and tokenizer share them.

The name of a file has a digest of everything that determines its token ids. A file that is missing
or damaged only means to encode again, so the folder may be deleted while no job runs.
"""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import transformers

from xstilts import families, store
from xstilts.families import Family, Feature, Row
from xstilts.identity import VERSIONS, digest
from xstilts.sources.models import is_tokenizer_file
from xstilts.store import paths

_HASH = 32  # bytes of a sha256


@dataclass(frozen=True)
class Source:
    """The content that determines rows and a tokenizer, with a readable name."""

    name: str
    content: Mapping[str, Any]

    def part(self, **chosen: Any) -> "Source":
        """Return the source of some of the rows."""
        return Source(self.name, {**self.content, **chosen})


def source_of(checkpoint: Path, datasets: Sequence[Path]) -> Source:
    """Return the source of all rows of prepared data sets, for the tokenizer of a checkpoint."""
    own = store.CheckpointManifest.read(checkpoint).files
    data = [store.DatasetManifest.read(folder).files for folder in datasets]
    tokenizer = {name: sha256 for name, sha256 in own.items() if is_tokenizer_file(name)}
    name = datasets[0].name.rpartition(".")[0]
    return Source(name, {"tokenizer": tokenizer, "data": data})


def encoded(
    rows: Sequence[Row],
    tokenizer: Any,
    family: Family,
    settings: Any,
    labels: Sequence[str],
    train: bool,
    source: Source | None = None,
) -> list[Feature]:
    """Return the features of rows as `family.encode` does, from a file if it exists.

    They are written for other jobs if `source` says what determines the rows and the tokenizer.
    """
    if source is None:
        return family.encode(rows, tokenizer, settings, labels, train)
    content = {
        **source.content,
        "family": family.name,
        "settings": settings.model_dump(),
        "labels": list(labels),
        "train": train,
        "code": _code(),
        "versions": VERSIONS,  # of other code: the choice of rows, the loading of a tokenizer
        "libraries": [tokenizers.__version__, transformers.__version__],
    }
    path = paths.encodings_file(source.name, digest(content))
    features = _read(path)
    if features is None:
        features = family.encode(rows, tokenizer, settings, labels, train)
        _write(path, features)
    return features


@cache
def _code() -> str:
    """Return the sha256 of the code that encodes."""
    files = sorted(Path(families.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _read(path: Path) -> list[Feature] | None:
    """Return the features of a file, and note its use; None if it is missing or damaged."""
    import pyarrow.parquet

    try:
        content = path.read_bytes()
    except OSError:
        return None
    table = content[_HASH:]
    if _hash(table) != content[:_HASH]:
        return None
    with suppress(OSError):  # a read-only folder
        os.utime(path)
    return pyarrow.parquet.ParquetFile(io.BytesIO(table)).read().to_pylist()


def _write(path: Path, features: Sequence[Feature]) -> None:
    """Write features as Parquet, after the hash of it."""
    import pyarrow as pa
    import pyarrow.parquet

    table = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(features), table, compression="zstd")
    store.write_bytes(path, _hash(table.getvalue()) + table.getvalue())


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
