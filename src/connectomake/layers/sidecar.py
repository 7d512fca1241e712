"""The one HDF5 file beside a shard or of a node: tables, faces, halos. Equal content gives equal bytes."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import LayerError
from connectomake.forking import last_file
from connectomake.layers.records import append_record, check_place, checksum_of, read_record
from connectomake.layers.shard_file import DENSEST
from connectomake.os_errors import storage_error

CHECKSUM, COUNT = "crc32", "tables"
TABLE_BYTES = "table_bytes"
"""Name in a file's record of how many bytes its arrays take in memory: what a job needs that reads them."""


def write_tables(
    path: str | os.PathLike[str], tables: Mapping[str, np.ndarray], record: Mapping[str, Any] | None = None
) -> None:
    """Atomically write arrays as datasets of an HDF5 file, with checksums, and a record behind them.

    Parameters
    ----------
    path
        The file.
    tables
        Arrays by name; a ``/`` in a name makes a group.
    record
        What to note at the end of the file.
    """
    import h5py

    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w") as file:
            file.attrs[COUNT] = len(tables)
            arrays = {name: np.asarray(tables[name]) for name in sorted(tables)}
            for name, array in arrays.items():
                options: dict[str, Any] = {}
                if array.size:
                    options = {"chunks": _chunks(array), "shuffle": True, "compression": 1, "fletcher32": True}
                file.create_dataset(name, data=array, **options).attrs[CHECKSUM] = np.uint32(checksum_of(name, array))
        held = sum(array.nbytes for array in arrays.values())
        append_record(temporary, {**(record or {}), TABLE_BYTES: held}, temporary.stat().st_size)


def table_bytes(path: str | os.PathLike[str]) -> int | None:
    """Return how many bytes the arrays of a file take in memory; None if it is not there, or does not say.

    One short read at the file's end: a scheduler asks for every input of every job.
    """
    try:
        found = (read_record(path) or {}).get(TABLE_BYTES)
    except (OSError, LayerError):
        return None
    return found if isinstance(found, int) and found >= 0 else None


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """Whole rows, a megabyte or so to a chunk."""
    row = max(array[0].nbytes if array.ndim > 1 else array.itemsize, 1)
    return (max(min(array.shape[0], (1 << 20) // row), 1), *array.shape[1:])


def read_tables(path: str | os.PathLike[str], names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Read datasets of a file that `write_tables` made.

    Parameters
    ----------
    path
        The file.
    names
        Which; default all.

    Raises
    ------
    LayerError
        If the file is missing, truncated or damaged, or has no such dataset.
    """
    import h5py

    if not Path(path).exists():
        raise LayerError(f"{path} is missing; run snakemake to make it")
    last_file.reading(path)
    check_place(read_record(path), path)
    try:
        with h5py.File(path, "r") as file:
            wanted = _all_names(file) if names is None else list(names)
            return {name: _checked(name, file[name]) for name in wanted}
    except KeyError as error:
        raise LayerError(f"{path} lacks a table ({error.args[0]}); delete it and rerun") from error
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make HDF5 raise whatever it trips over
        raise storage_error(path, error) or LayerError(f"{path} is corrupted; delete it and rerun") from error


def _checked(name: str, dataset: Any) -> np.ndarray:
    """Read a table and compare its checksum: HDF5 has none for its own structures, such as names and shapes."""
    if dataset.size * dataset.dtype.itemsize > DENSEST * dataset.id.get_storage_size():
        raise ValueError(name)  # a shape that the bytes there cannot fill: HDF5 would take the memory, and fill it with zeros
    array: np.ndarray = dataset[()]
    if checksum_of(name, np.asarray(array)) != dataset.attrs[CHECKSUM]:
        raise ValueError(name)
    return array


def _all_names(file: Any) -> list[str]:
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    if len(names) != file.attrs[COUNT]:
        raise ValueError(len(names))
    return names
