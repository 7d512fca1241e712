"""Restriction of the foreground by channels other than the segmented one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry import Box
from connectomake.sources.mask import Inside, Reader, zeroed


@dataclass(frozen=True)
class Foreground:
    """Conditions on other channels at a voxel of the foreground.

    Parameters
    ----------
    largest
        The channel that must be the largest of all; of equal ones the lowest channel is. None compares none.
    excluding
        A channel that must not be above a bound in its own dtype, and the bound; None if there is none.
    """

    largest: int | None = None
    excluding: tuple[int, np.generic] | None = None

    def kept(self, values: NDArray[np.generic]) -> Inside:
        """Return where voxels (c, z, y, x) may be foreground, (z, y, x)."""
        kept = np.ones(values.shape[1:], bool)
        if self.excluding is not None:
            channel, bound = self.excluding
            kept &= ~(values[channel] > bound)
        if self.largest is not None:
            own = values[self.largest]
            for channel, other in enumerate(values):
                if channel != self.largest:
                    kept &= own > other if channel < self.largest else own >= other
        return kept


def foreground(read: Reader, kept: Callable[[NDArray[np.generic]], Inside], roi: Box, edges: Sequence[int] = ()) -> Reader:
    """Return a reader (c, z, y, x) that gives 0 where voxels are left out.

    Parameters
    ----------
    read
        Reads a box within `roi`.
    kept
        Returns where voxels (c, z, y, x) are not left out, (z, y, x).
    roi
        Region of interest; beyond it nothing is left out.
    edges
        Channels that are affinities to the lower neighbour in z, y and x: they are 0 also where that one is left out,
        which is read, too.
    """

    def reader(box: Box) -> np.ndarray:
        grown = box.grow((1, 1, 1), (0, 0, 0))
        there = (grown if edges else box).intersect(roi)
        values = read(there)
        inside = np.ones(grown.shape, bool)
        inside[there.slices(grown.start)] = kept(values)
        return zeroed(values[(slice(None), *box.slices(there.start))], inside, edges)

    return reader
