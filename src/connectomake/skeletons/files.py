"""Traces on the way from cells to shards: one HDF5 file per group of blocks, gathered into fewer, sorted by shard."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from connectomake.layers import read_tables, write_tables
from connectomake.layers.id_shards import IdSharding
from connectomake.skeletons.table import Traces

PathLike = str | os.PathLike[str]
_SHARDS = "shards"


def write_traces(path: PathLike, traces: Traces, sharding: IdSharding, record: dict[str, Any] | None = None) -> None:
    """Atomically write a table, grouped by the shards that its objects belong to.

    Parameters
    ----------
    path
        HDF5 file to write.
    traces
        The table.
    sharding
        Which shard an object belongs to.
    record
        What to note in the file: stage, fingerprint, software.
    """
    of_voxel, of_object = sharding.shards(traces.id), sharding.shards(traces.size_id)
    present = np.union1d(of_voxel, of_object).astype(np.int64)
    tables = {_SHARDS: present}
    for shard in present.tolist():
        tables |= traces.take(of_voxel == shard, of_object == shard).arrays(f"{shard:x}")
    write_tables(path, tables, record)


def read_traces(path: PathLike, shard: int) -> Traces:
    """Read the traces of the objects of one shard.

    Parameters
    ----------
    path
        A file of `write_traces` or `gather_traces`.
    shard
        Number of the shard; the table is empty if the file has nothing of it.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    if shard not in read_tables(path, [_SHARDS])[_SHARDS]:
        return Traces.empty()
    return Traces.from_arrays(read_tables(path, Traces.names(f"{shard:x}")), f"{shard:x}")


def merge_traces(paths: Iterable[PathLike], shard: int) -> Traces:
    """Read the traces of the objects of one shard from several files, one file at a time, as one table.

    Parameters
    ----------
    paths
        Files of `write_traces` or `gather_traces`.
    shard
        Number of the shard.

    Raises
    ------
    LayerError
        If a file is missing or damaged.
    """
    found = Traces.empty()
    for path in paths:
        found = Traces.merge([found, read_traces(path, shard)])
    return found


class _Gathered(Mapping[str, np.ndarray]):
    """The tables of several files as one, shard by shard, when they are asked for in order of their names."""

    def __init__(self, paths: Sequence[PathLike]) -> None:
        self._paths = paths
        parts = [read_tables(path, [_SHARDS])[_SHARDS] for path in paths]
        self._present = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))
        self._shard, self._arrays = -1, dict[str, np.ndarray]()

    def __iter__(self) -> Iterator[str]:
        yield from (name for shard in self._present.tolist() for name in Traces.names(f"{shard:x}"))
        yield _SHARDS

    def __len__(self) -> int:
        return len(Traces.names("")) * len(self._present) + 1

    def __getitem__(self, name: str) -> np.ndarray:
        if name == _SHARDS:
            return self._present
        shard = int(name.partition("/")[0], 16)
        if shard != self._shard:
            self._shard, self._arrays = shard, merge_traces(self._paths, shard).arrays(f"{shard:x}")
        return self._arrays[name]


def gather_traces(path: PathLike, paths: Sequence[PathLike], record: dict[str, Any] | None = None) -> None:
    """Atomically write the contents of several files as one, holding those of one shard in memory at a time.

    Parameters
    ----------
    path
        HDF5 file to write.
    paths
        Files of `write_traces` or of this function.
    record
        What to note in the file: stage, fingerprint, software.

    Raises
    ------
    LayerError
        If a file is missing or damaged.
    """
    write_tables(path, _Gathered(paths), record)
