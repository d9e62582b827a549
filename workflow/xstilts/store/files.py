"""Files of the results folder: atomic writing, checked reading, publication of complete artefacts.

A folder artefact contains `manifest.json`, written last, with the sha256 of every other file.
Unfinished artefacts are kept in `results/scratch/`, so that no run takes one for complete.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xstilts.errors import Diverged, InputError
from xstilts.identity import file_sha256
from xstilts.store.paths import MANIFEST, SCRATCH
from xstilts.text import decode_json

_PROBE = 1_000_000  # bytes


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see the old content or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. Raise Diverged for NaN and infinity, which JSON lacks."""
    write_text(path, _json(value, indent=1))


def read_json(path: Path) -> Any:
    """Read a JSON file. Raise InputError naming it if it is missing or damaged."""
    try:
        return decode_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged, not valid JSON: {error}") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged, {error}") from None


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines atomically. Raise Diverged for NaN and infinity, which JSON lacks."""
    write_text(path, json_lines(rows))


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return JSON lines. Raise Diverged for NaN and infinity, which JSON lacks."""
    return "".join(map(_json, rows))


def _json(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError:
        raise Diverged("a result holds a number that is infinite or not a number") from None


def read_lines(path: Path) -> list[dict]:
    """Read JSON lines. Raise InputError naming file and line."""
    rows: list[dict] = []
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                rows.append(decode_json(line))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}:{len(rows) + 1}: damaged, {error}") from None
    return rows


def publish(made: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Move the files of `made` into `folder`, then write the manifest with their hashes."""
    names = sorted(path.name for path in made.iterdir())
    hashes = {name: file_sha256(made / name) for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.replace(made / name, folder / name)
    write_json(folder / MANIFEST, {**manifest, "files": hashes})
    made.rmdir()


def verify(folder: Path, again: str) -> dict:
    """Return the manifest of an artefact after checking all its files against it.

    Raise InputError naming a missing or damaged file and the remedy, `again`.
    """
    manifest = read_json(folder / MANIFEST)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing, but listed in {folder / MANIFEST}; {again}")
        if file_sha256(path) != expected:
            raise InputError(f"{path}: damaged: its sha256 differs from the manifest; {again}")
    return manifest


def scratch(artefact: str, keep: bool = False) -> Path:
    """Return the folder for an artefact's unfinished files, emptied unless `keep`."""
    folder = SCRATCH / artefact
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_writable(folder: Path) -> None:
    """Raise InputError if `folder` is read-only or the disk is full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        try:
            probe.write_bytes(bytes(_PROBE))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write here: {error.strerror}. Fix this and run again; "
            "finished results are kept"
        ) from None


def problem(folder: Path) -> str:
    """Return the message of `check_writable`; empty if `folder` can be written to."""
    try:
        check_writable(folder)
    except InputError as error:
        return str(error)
    return ""


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Any) -> None:
    """Write canonical rows as Parquet; `columns` is the family's pyarrow schema."""
    import pyarrow as pa
    import pyarrow.parquet

    plain = {str: pa.string(), int: pa.int32()}
    lists = {list[kind]: pa.list_(plain[kind]) for kind in plain}
    schema = pa.schema({name: (plain | lists)[kind] for name, kind in columns.items()})
    pa.parquet.write_table(pa.Table.from_pylist(list(rows), schema), path, compression="zstd")


def read_rows(folder: Path) -> list[dict]:
    """Read the canonical rows of a prepared dataset, checked against its manifest."""
    import pyarrow.parquet

    verify(folder, "delete the folder and run again to prepare it")
    # read_table would import pyarrow.dataset and with it pandas: half a second in every job
    return pyarrow.parquet.ParquetFile(folder / "data.parquet").read().to_pylist()
