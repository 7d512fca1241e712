"""Tables of equally long columns as Parquet: equal tables and records give equal bytes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from connectomake import slate
from connectomake.atomic import atomic_path, canonical_json
from connectomake.errors import LayerError
from connectomake.layers.parquet_seal import MAGIC, check_footer, seal
from connectomake.layers.records import PARQUET_CHECKSUMS_KEY, PARQUET_KEY, checksum_of, named
from connectomake.trouble import in_the_way


def write_columns(
    path: str | os.PathLike[str], columns: Mapping[str, np.ndarray], record: Mapping[str, Any] | None = None
) -> None:
    """Write columns (n,) as Parquet, with checksums and a record in its metadata; whole or not at all.

    Parameters
    ----------
    path
        The file.
    columns
        Arrays of one length, by name.
    record
        What to note in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.table({name: pa.array(np.ascontiguousarray(column)) for name, column in columns.items()})
    checksums = {name: checksum_of(name, arrow[name].to_numpy()) for name in columns}
    arrow = arrow.replace_schema_metadata(
        {PARQUET_KEY: canonical_json(named(record or {}, path)), PARQUET_CHECKSUMS_KEY: canonical_json(checksums)}
    )
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")
        seal(temporary)


def read_columns(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the columns of a table that `write_columns` wrote.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    import pyarrow.parquet as pq

    slate.reading(path)
    try:
        with Path(path).open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise ValueError("no Parquet")  # Arrow does not look at the head, others do
            check_footer(stream)
        arrow = pq.read_table(path)
        found = {name: arrow[name].to_numpy() for name in arrow.column_names}
        checksums = json.loads(arrow.schema.metadata[PARQUET_CHECKSUMS_KEY])
    except FileNotFoundError as error:
        raise LayerError(f"{path} is missing; run snakemake to make it") from error
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make Arrow raise whatever it trips over
        raise in_the_way(path, error) or LayerError(f"{path} is corrupted; delete it and rerun") from error
    if checksums != {name: checksum_of(name, column) for name, column in found.items()}:
        raise LayerError(f"{path} is corrupted; delete it and rerun")
    return found
