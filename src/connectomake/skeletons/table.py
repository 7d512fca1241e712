"""Skeletons as a table of voxels. Whatever cell a row comes from, two tables are joined by uniting their rows."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from connectomake.columns import Arrays


@dataclass(frozen=True, slots=True)
class Traces(Arrays):
    """Voxels of skeletons with the links between them, and the objects' sizes.

    Parameters
    ----------
    id : (n,) uint64
        Object of each voxel.
    key : (n,) int64
        1 + raster index in the region; no key occurs twice.
    radius : (n,) float32
        Distance to the nearest voxel of another label, in nm.
    links : (n,) uint16
        Bit d: there is a link to the neighbour in direction d of the lattice's `DIRECTIONS`, which lies before this voxel.
    size_id : (m,) uint64
        Ascending ids of objects, also of those without a skeleton.
    size : (m,) int64
        Their numbers of voxels.
    """

    id: np.ndarray
    key: np.ndarray
    radius: np.ndarray
    links: np.ndarray
    size_id: np.ndarray
    size: np.ndarray

    @classmethod
    def empty(cls) -> "Traces":
        """Return the table without rows."""
        dtypes = (np.uint64, np.int64, np.float32, np.uint16, np.uint64, np.int64)
        return cls(*(np.zeros(0, dtype) for dtype in dtypes))

    @classmethod
    def merge(cls, tables: Iterable["Traces"]) -> "Traces":
        """Unite tables: links are joined, of several radii the least stays, sizes add up. Rows are by id, then key."""
        ids, keys, radius, links, size_id, size = cls.joined(tables)
        order = np.lexsort((keys, ids))
        ids, keys, radius, links = ids[order], keys[order], radius[order], links[order]
        first = _firsts(keys, ids)
        by_id = np.argsort(size_id, kind="stable")
        size_id, size = size_id[by_id], size[by_id]
        start = _firsts(size_id)
        if len(first):
            radius, links = np.minimum.reduceat(radius, first), np.bitwise_or.reduceat(links, first)
        sums = np.add.reduceat(size, start) if len(start) else size
        return cls(ids[first], keys[first], radius, links, size_id[start], sums)

    def take(self, rows: np.ndarray, objects: np.ndarray) -> "Traces":
        """Return some voxels and some objects, by mask."""
        links, objects_of = self.links[rows], (self.size_id[objects], self.size[objects])
        return Traces(self.id[rows], self.key[rows], self.radius[rows], links, *objects_of)


def _firsts(*columns: np.ndarray) -> np.ndarray:
    """Return the rows of sorted columns where any of them differs from the row before."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    differs = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    found: np.ndarray = np.flatnonzero(np.concatenate([[True], differs]))
    return found
