"""The interface of a segmentation method to the workflow."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from connectomake.geometry import Box, Vec
from connectomake.planning.plan import Plan

if TYPE_CHECKING:
    from connectomake.components import BlockLabels
    from connectomake.octree import EdgeRule

Read = Callable[[Box], np.ndarray]
"""Returns the voxels (c, z, y, x) of a box."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of one block.

    Parameters
    ----------
    result
        Labels, table and faces, by which the block is joined with its neighbours.
    labels
        (z, y, x) uint32: what is written; those of `result`, or what is left of them.
    more
        Further datasets of the block's file by name, such as a region graph.
    """

    result: "BlockLabels"
    labels: np.ndarray
    more: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Labelling(ABC):
    """How the blocks of a plan are labelled by one method.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    version: ClassVar[int] = 1
    """Raised by hand when labels, tables or faces change for the same input."""
    process_mb: ClassVar[int] = 220
    """Memory of a job's process before it reads anything, with some to spare."""
    around: ClassVar[tuple[Vec, ...]] = ()
    """The neighbours, as offsets in blocks, whose voxels a block reads besides its own."""

    @property
    def read_around(self) -> tuple[Vec, ...]:
        """The same, and those below where affinities to voxels that another channel excludes count as 0.

        Across edges and corners, too: the planes above the block are read with what lies below them.
        """
        section = self.plan.config["segmentation"]
        if not (self.plan.method.affinities and self.plan.method.chosen(section)):
            return self.around
        steps = product((-1, 0, 1), repeat=3)
        return tuple((z, y, x) for z, y, x in steps if (z, y, x) != (0, 0, 0) and (z, y, x).count(1) <= 1)

    @abstractmethod
    def label(self, box: Box, read: Read) -> Labelled:
        """Label a block.

        Parameters
        ----------
        box
            Where it lies.
        read
            Reads the values of the block and of those `around` it.
        """

    @abstractmethod
    def rule(self) -> "EdgeRule":
        """Return which voxels of neighbouring blocks belong together."""

    @abstractmethod
    def bytes_per_voxel(self, itemsize: int, channels: int) -> float:
        """Return the memory per voxel of the block beside the process, measured, given bytes and channels of what is read."""

    def least_bytes_per_voxel(self, attempt: int) -> float:
        """Return the memory per voxel that a job asks for at least, at its attempt."""
        return 0.0
