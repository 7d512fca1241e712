"""Sums over voxels or faces per combination of ids, in integers, so that they are the same for any tiles."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from connectomake.columns import Columns

ROWS_KEPT = 1 << 21


@dataclass(frozen=True, slots=True)
class Tally(Columns):
    """Rows of ids with what was summed, ascending by ids, each combination once.

    Parameters
    ----------
    keys
        (n, k) uint64: the ids.
    counts
        (n, m) int64: how often, such as voxels, or faces along z, y and x.
    sums
        (n, 3) int64: twice the places of the middles, z, y, x from the start of the box, added up. The middle of voxel 0 is at
        one half.
    first
        (n,) int64: the smallest raster index where.
    """

    keys: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    first: np.ndarray

    @classmethod
    def empty(cls, ids: int, counts: int) -> "Tally":
        """Return the tally without rows, of so many ids and counts."""
        shapes = ((0, ids), np.uint64), ((0, counts), np.int64), ((0, 3), np.int64), ((0,), np.int64)
        return cls(*(np.zeros(shape, dtype) for shape, dtype in shapes))

    def summed(self) -> "Tally":
        """Return rows with equal ids as one: counts and sums add up, the smallest index stays."""
        if not len(self):
            return self
        order = np.lexsort(self.keys.T[::-1])
        keys = self.keys[order]
        new = np.ones(len(keys), bool)
        new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        starts = np.flatnonzero(new)
        counts, sums = (np.add.reduceat(column[order], starts) for column in (self.counts, self.sums))
        return Tally(keys[starts], counts, sums, np.minimum.reduceat(self.first[order], starts))

    def middles(self, start: Iterable[int], voxel_size: Iterable[float]) -> np.ndarray:
        """Return the mean places (n, 3) in nm, z, y, x, given the start of the box in voxels."""
        mean = self.sums / (2 * self.counts.sum(axis=1, keepdims=True)) + np.array(tuple(start), np.float64)
        return np.asarray(mean * np.array(tuple(voxel_size), np.float64))


class Sum:
    """A tally that parts are added to, in memory that follows the number of different rows."""

    def __init__(self, ids: int, counts: int) -> None:
        self._parts = [Tally.empty(ids, counts)]

    def add(self, part: Tally) -> None:
        """Add rows."""
        self._parts.append(part)
        rows = sum(map(len, self._parts))
        if rows > ROWS_KEPT and rows > 2 * len(self._parts[0]):
            self._parts = [self.total()]

    def total(self) -> Tally:
        """Return all that was added."""
        return Tally(*Tally.joined(self._parts)).summed()
