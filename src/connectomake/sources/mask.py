"""A mask: which voxels of an image belong to what is segmented."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry import Box, Vec
from connectomake.sources.source import Source

Reader = Callable[[Box], np.ndarray]
Inside = NDArray[np.bool_]


@dataclass(frozen=True)
class Mask:
    """A volume of larger or equal voxels that says which voxels of an image are inside.

    Parameters
    ----------
    source
        The volume, of one channel: not 0 is inside. Beyond its bounds it is 0.
    factors
        Voxels of the image along a voxel of the mask, z, y, x: mask voxel m covers those from ``m * factor`` on.
    inverse
        Whether not 0 is outside, and 0 inside.
    """

    source: Source
    factors: Vec
    inverse: bool = False

    def inside(self, box: Box) -> Inside:
        """Return whether voxels are inside, (z, y, x), for a box in voxels of the image.

        Raises
        ------
        SourceError
            If the mask cannot be read.
        """
        coarse = self.coarse(box)
        steps = (
            np.arange(a, b) // f - first for a, b, f, first in zip(box.start, box.stop, self.factors, coarse.start, strict=True)
        )
        return self.voxels(coarse)[np.ix_(*steps)]

    def coarse(self, box: Box) -> Box:
        """Return the voxels of the mask that a box of the image meets."""
        z, y, x = (a // f for a, f in zip(box.start, self.factors, strict=True))
        c, b, a = (-(-n // f) for n, f in zip(box.stop, self.factors, strict=True))
        return Box((z, y, x), (c, b, a))

    def voxels(self, coarse: Box) -> Inside:
        """Return whether voxels of the mask are inside, (z, y, x).

        Raises
        ------
        SourceError
            If the mask cannot be read.
        """
        found = np.zeros(coarse.shape, bool)
        common = coarse.intersect(self.source.bounds)
        if not common.empty:
            found[common.slices(coarse.start)] = self.source.read(common)[0] != 0
        return found != self.inverse  # type: ignore[no-any-return]

    def meeting(self, block: Box) -> Callable[[Box], bool]:
        """Return what tells whether a voxel of a part of a block is inside; parts of the same planes read the mask once."""

        @functools.lru_cache(1)
        def planes(start: int, stop: int) -> tuple[Box, Inside]:
            (_, y, x), (_, b, a) = block.start, block.stop
            coarse = self.coarse(Box((start, y, x), (stop, b, a)))
            return coarse, self.voxels(coarse)

        def meets(part: Box) -> bool:
            whole, inside = planes(part.start[0], part.stop[0])
            return bool(inside[self.coarse(part).slices(whole.start)].any())

        return meets


def masked(read: Reader, mask: Mask, channels: int, dtype: str, edges: Sequence[int] = ()) -> Reader:
    """Return a reader (c, z, y, x) that gives 0 outside a mask, and reads nothing where all is outside.

    Parameters
    ----------
    read
        Reads a box.
    mask
        The mask.
    channels, dtype
        Of what it reads.
    edges
        Channels that are affinities to the lower neighbour in z, y and x: they are 0 also where that one is outside.
    """

    def reader(box: Box) -> np.ndarray:
        inside = mask.inside(box.grow((1, 1, 1), (0, 0, 0)))
        if not inside[1:, 1:, 1:].any():
            return np.zeros((channels, *box.shape), dtype)
        return zeroed(read(box), inside, edges)

    return reader


def zeroed(values: np.ndarray, inside: Inside, edges: Sequence[int]) -> np.ndarray:
    """Return voxels (c, z, y, x) with 0 outside, and on edges to what is outside.

    Parameters
    ----------
    values
        Of a box.
    inside
        (z + 1, y + 1, x + 1): of the box and the voxels below it.
    edges
        Channels that are affinities to the lower neighbour in z, y and x.
    """
    left = np.where(inside[1:, 1:, 1:], values, np.zeros((), values.dtype))
    for channel, lower in zip(edges, (inside[:-1, 1:, 1:], inside[1:, :-1, 1:], inside[1:, 1:, :-1]), strict=False):
        left[channel][~lower] = 0
    return left
