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
    """Atomically write a table, apart by the shards that its objects belong to."""
    of_voxel, of_object = sharding.shards(traces.id), sharding.shards(traces.size_id)
    present = np.union1d(of_voxel, of_object).astype(np.int64)
    tables = {_SHARDS: present}
    for shard in present.tolist():
        tables |= traces.take(of_voxel == shard, of_object == shard).arrays(f"{shard:x}")
    write_tables(path, tables, record)


def read_traces(path: PathLike, shard: int) -> Traces:
    """Read what a file holds of the objects of one shard.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    if shard not in read_tables(path, [_SHARDS])[_SHARDS]:
        return Traces.empty()
    return Traces.from_arrays(read_tables(path, Traces.names(f"{shard:x}")), f"{shard:x}")


def merge_traces(paths: Iterable[PathLike], shard: int) -> Traces:
    """Read what files hold of the objects of one shard, one file at a time, as one table."""
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
    """Atomically write the contents of several files as one. One shard's are in memory at a time."""
    write_tables(path, _Gathered(paths), record)
