"""Sparse contingency tables: the voxels that true objects and segments have in common, in integers, so that sums are exact."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from connectomake.columns import Columns


@dataclass(frozen=True, slots=True)
class Contingency(Columns):
    """Rows of labels with a count and the first place, ascending by labels, each combination once.

    Parameters
    ----------
    keys
        (n, k) uint64: the labels.
    count
        (n,) int64: how often.
    first
        (n,) int64: smallest raster index (z, y, x in the evaluated box) where.
    """

    keys: np.ndarray
    count: np.ndarray
    first: np.ndarray

    @classmethod
    def empty(cls, labels: int) -> "Contingency":
        """Return the tally without rows, of so many labels."""
        return cls(np.zeros((0, labels), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def summed(cls, parts: Iterable["Contingency"], labels: int) -> "Contingency":
        """Return all rows of the parts, those with equal labels as one: counts add up, the smallest place stays."""
        given = [cls.empty(labels), *parts]
        keys, count, first = cls.joined(given)
        if not len(count):
            return given[0]
        order = np.lexsort(keys.T[::-1])
        keys = keys[order]
        new = np.ones(len(keys), bool)
        new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        starts = np.flatnonzero(new)
        return cls(keys[starts], np.add.reduceat(count[order], starts), np.minimum.reduceat(first[order], starts))


@dataclass(frozen=True, slots=True)
class Overlap:
    """All that is counted of a ground truth and a segmentation.

    Parameters
    ----------
    pairs
        Voxels per (true object, segment); voxels with ground truth 0 are left out, segment 0 is kept.
    splits
        Voxel faces per (true object, segment, segment): where an object is cut between two segments; 0 is no segment here.
    mergers
        Voxel faces per (segment, true object, true object): where a segment joins two objects.
    supervoxels
        Voxels per (true object, supervoxel), from which the pairs at any threshold follow; empty where there are none.
    """

    pairs: Contingency
    splits: Contingency
    mergers: Contingency
    supervoxels: Contingency = field(default_factory=lambda: Contingency.empty(2))

    LABELS: ClassVar[Mapping[str, int]] = {"pairs": 2, "splits": 3, "mergers": 3, "supervoxels": 2}

    @classmethod
    def summed(cls, parts: Iterable["Overlap"]) -> "Overlap":
        """Return the sum of all parts."""
        given = list(parts)
        return cls(*(Contingency.summed((getattr(p, name) for p in given), n) for name, n in cls.LABELS.items()))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Overlap":
        """Pick the tallies out of named arrays."""
        return cls(*(Contingency.from_arrays(arrays, name) for name in cls.LABELS))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all columns by the names they have in a file."""
        return {k: v for name in self.LABELS for k, v in getattr(self, name).arrays(name).items()}

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in self.LABELS)

    def without(self, objects: Iterable[int]) -> "Overlap":
        """Return the overlap with some true objects taken for unlabelled."""
        gone = np.array(sorted(objects), np.uint64)
        if not len(gone):
            return self
        of_objects = ((self.pairs, [0]), (self.splits, [0]), (self.mergers, [1, 2]), (self.supervoxels, [0]))
        return Overlap(*(t.take(np.flatnonzero(~np.isin(t.keys[:, c], gone).any(axis=1))) for t, c in of_objects))
