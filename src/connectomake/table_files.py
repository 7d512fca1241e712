"""Exported tables: CSV, Parquet or Arrow, by the suffix; equal columns give equal bytes."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from connectomake.atomic import atomic_path, write_text
from connectomake.errors import ConfigError

SUFFIXES = (".csv", ".parquet", ".arrow")


def check_destination(path: str, suffixes: Sequence[str] = SUFFIXES, *, overwrite: bool) -> Path:
    """Return where a table is written.

    Raises
    ------
    ConfigError
        If the suffix is not one of those, something is there already, or the path is not local.
    """
    if "://" in path:
        raise ConfigError(f"{path} is not a local path; write to a local file and copy it there")
    final = Path(path)
    if final.suffix not in suffixes:
        raise ConfigError(f"{path} ends in none of {', '.join(suffixes)}, which say how it is written; name it so")
    if final.exists() and not overwrite:
        raise ConfigError(f"{path} exists; name another file, or replace it with --overwrite")
    return final


def write_table(final: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns (n,) of numbers or text, atomically, in the format of the suffix."""
    if final.suffix == ".csv":
        write_text(final, csv_text(columns))
    else:
        _arrow(final, columns)


def csv_text(columns: Mapping[str, np.ndarray]) -> str:
    """Return columns as text with a row of names; integers as they are, floats with as many digits as identify them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()


def _arrow(final: Path, columns: Mapping[str, np.ndarray]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(c.tolist(), pa.string()) if c.dtype.kind == "U" else c for name, c in columns.items()})
    with atomic_path(final) as temporary:
        if final.suffix == ".parquet":
            pq.write_table(table, temporary)
        else:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
