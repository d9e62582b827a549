"""Canonical rows of prepared data, as Parquet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xstilts.store.manifest import DatasetManifest


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

    DatasetManifest.verify(folder)
    # read_table would import pyarrow.dataset and with it pandas: half a second in every job
    return pyarrow.parquet.ParquetFile(folder / "data.parquet").read().to_pylist()
