"""Queries over a whole object table, read a row group at a time."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from connectomake.layers import read_batches

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Overview:
    """The objects of a run in short.

    Parameters
    ----------
    count
        How many there are.
    voxels
        All their voxels.
    ids, sizes
        (n,) uint64: the largest, the largest first (ties: smaller id first), and their voxels.
    """

    count: int
    voxels: int
    ids: np.ndarray
    sizes: np.ndarray

    @classmethod
    def none(cls) -> "Overview":
        """Return that of no objects."""
        return cls(0, 0, np.zeros(0, np.uint64), np.zeros(0, np.uint64))

    def with_rows(self, rows: Mapping[str, np.ndarray], largest: int) -> "Overview":
        """Return that of further rows of the table, too, naming so many of the largest."""
        ids, sizes = np.concatenate([self.ids, rows["id"]]), np.concatenate([self.sizes, rows["voxels"]])
        kept = np.lexsort((ids, np.iinfo(np.uint64).max - sizes))[: max(largest, 0)]
        return Overview(self.count + len(rows["id"]), self.voxels + int(rows["voxels"].sum()), ids[kept], sizes[kept])


def overview(path: PathLike, largest: int) -> Overview:
    """Return the number of objects and the largest of them.

    Parameters
    ----------
    path
        The object table (Parquet), read a row group at a time.
    largest
        How many of the largest objects to return.

    Raises
    ------
    LayerError
        If the table is missing or damaged.
    """
    found = Overview.none()
    for part in read_batches(path, ("id", "voxels")):
        found = found.with_rows(part, largest)
    return found


def rows_of(path: PathLike, ids: Collection[int], names: Collection[str]) -> tuple[int, dict[str, np.ndarray]]:
    """Return the number of objects, and some columns of the objects with certain ids.

    Parameters
    ----------
    path
        The object table (Parquet), read a row group at a time.
    ids
        Objects wanted; ids that do not exist are left out.
    names
        Columns wanted, besides ``id``.

    Returns
    -------
    count : int
        Number of all objects in the table.
    columns : dict
        (n,) each, ``id`` among them, ascending by id.

    Raises
    ------
    LayerError
        If the table is missing or damaged.
    """
    wanted = np.array(sorted({i for i in ids if 0 <= i <= np.iinfo(np.uint64).max}), np.uint64)
    count, found = 0, list[dict[str, np.ndarray]]()
    for part in read_batches(path, {"id", *names}):
        kept = np.isin(part["id"], wanted)
        count += len(kept)
        found.append({name: part[name][kept] for name in ("id", *names)})
    return count, {name: np.concatenate([part[name] for part in found]) for name in ("id", *names)}
