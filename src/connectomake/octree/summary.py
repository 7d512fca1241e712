"""Summary of the components below a node of the octree."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from connectomake.columns import Columns
from connectomake.tables import ComponentTable


@dataclass(frozen=True, slots=True)
class BoundaryMembers(Columns):
    """Block components that touch a node's outer boundary, so that nodes outside may name them.

    Parameters
    ----------
    key
        (m,) uint64, ascending: key of the block component.
    set
        (m,) int64: row of its set in the node's open table.
    start, stop
        (m, 3) int64: its bounding box, z y x.
    """

    key: np.ndarray
    set: np.ndarray
    start: np.ndarray
    stop: np.ndarray


@dataclass(frozen=True, slots=True)
class BoundaryState:
    """The part of a node's result that its parent reads.

    Parameters
    ----------
    open
        Sets that touch the node's outer boundary, ascending by key (the smallest key among their members).
    members
        Their block components that touch it.
    pair_set, pair_key
        (p,) int64, (p,) uint64: the set in this row of `open` touches the block component of this key, outside of the
        node.
    """

    open: ComponentTable
    members: BoundaryMembers
    pair_set: np.ndarray
    pair_key: np.ndarray

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all arrays in a file."""
        members = BoundaryMembers.names("members")
        return [*ComponentTable.names("open"), *members, "pairs/set", "pairs/key"]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "BoundaryState":
        """Pick the parts out of named arrays."""
        members = BoundaryMembers.from_arrays(arrays, "members")
        return cls(ComponentTable.from_arrays(arrays, "open"), members, arrays["pairs/set"], arrays["pairs/key"])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by the names they have in a file."""
        pairs = {"pairs/set": self.pair_set, "pairs/key": self.pair_key}
        return {**self.open.arrays("open"), **self.members.arrays("members"), **pairs}


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """Result of a node on the way up.

    Parameters
    ----------
    passed
        What its parent needs.
    closed
        Whole objects that ended here and are at least `min_size` voxels, ascending by key, which is their final id.
    slots
        Per child (block at level 1, else node): for each label from 0 (at level 1) or each row of the child's open
        table (above), uint32: 0 for background and for objects below `min_size`, 1 + row of `passed.open`, or
        1 + number of open sets + row of `closed`.
    """

    passed: BoundaryState
    closed: ComponentTable
    slots: dict[int, np.ndarray]
