"""The object table: id, voxels, box and centroid of every object."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path, canonical_json
from connectomake.errors import LayerError, RunError
from connectomake.geometry import Box
from connectomake.layers import read_tables
from connectomake.layers.records import PARQUET_CHECKSUMS_KEY, PARQUET_KEY, checksum_of
from connectomake.tables import ComponentTable

Nm = tuple[float, float, float]


def collect(files: Iterable[str | os.PathLike[str]]) -> ComponentTable:
    """Read the closed objects of all nodes, one up file at a time, and sort them by id.

    Parameters
    ----------
    files
        Up files of all nodes of all levels, in any order.

    Raises
    ------
    RunError
        If two files hold an object of the same id: they are not of the same run.
    """
    names = ComponentTable.names("closed")
    table = ComponentTable.concat(ComponentTable.from_arrays(read_tables(path, names), "closed") for path in files)
    table = table.take(np.argsort(table.key))
    twice = np.flatnonzero(table.key[1:] == table.key[:-1])
    if len(twice):
        raise RunError(f"object {table.key[twice[0]]} is in two merge files; delete the merge folder and rerun")
    return table


def centroids(table: ComponentTable, roi: Box, voxel_size: Nm) -> np.ndarray:
    """Return the centres of mass (n, 3) float64 in nm, z y x.

    A voxel at position i reaches from i to i + 1 voxel sizes, its centre lies at i + 0.5. The mean is taken from the
    integer sums (whole part and remainder apart), so that it does not depend on the blocks.
    """
    voxels = table.voxels[:, None]
    whole, rest = np.divmod(table.sums, voxels)
    position = whole.astype(np.int64) + np.array(roi.start, np.int64)
    centres: np.ndarray = (position + (rest / voxels + 0.5)) * np.array(voxel_size, np.float64)
    return centres


def write_parquet(
    path: str | os.PathLike[str], table: ComponentTable, roi: Box, voxel_size: Nm, record: Mapping[str, Any] | None = None
) -> None:
    """Write the object table, whole or not at all; equal tables and records give equal bytes.

    Columns: ``id`` and ``voxels`` (uint64); ``start_z`` … ``stop_x`` (int64): the half-open box in voxels;
    ``centroid_z_nm`` … (float64), see `centroids`. Rows are in the order of ids.

    Parameters
    ----------
    path
        The file.
    table
        As `collect` returns it.
    roi
        Region of interest, which the coordinate sums are relative to.
    voxel_size
        In nm, z y x.
    record
        What to note in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    centres = centroids(table, roi, voxel_size)
    columns = {"id": table.key, "voxels": table.voxels}
    columns |= {f"start_{a}": table.start[:, i] for i, a in enumerate("zyx")}
    columns |= {f"stop_{a}": table.stop[:, i] for i, a in enumerate("zyx")}
    columns |= {f"centroid_{a}_nm": centres[:, i] for i, a in enumerate("zyx")}
    arrow = pa.table({name: pa.array(np.ascontiguousarray(column)) for name, column in columns.items()})
    checksums = {name: checksum_of(name, arrow[name].to_numpy()) for name in columns}
    arrow = arrow.replace_schema_metadata(
        {PARQUET_KEY: canonical_json(record or {}), PARQUET_CHECKSUMS_KEY: canonical_json(checksums)}
    )
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def read_parquet(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read an object table: its columns by name.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    import pyarrow.parquet as pq

    try:
        arrow = pq.read_table(path)
        found = {name: arrow[name].to_numpy() for name in arrow.column_names}
        checksums = json.loads(arrow.schema.metadata[PARQUET_CHECKSUMS_KEY])
    except FileNotFoundError as error:
        raise LayerError(f"{path} is missing; run snakemake to make it") from error
    except Exception as error:  # damaged bytes make Arrow raise whatever it trips over
        raise LayerError(f"{path} is corrupted; delete it and rerun") from error
    if checksums != {name: checksum_of(name, column) for name, column in found.items()}:
        raise LayerError(f"{path} is corrupted; delete it and rerun")
    return found
