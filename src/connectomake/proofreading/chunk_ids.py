"""Ids of PyChunkedGraph's supervoxels: which chunk, and a number within it, in 64 bits.

::

    layer (8 bits) | chunk x | chunk y | chunk z (as many bits each) | number within the chunk, from 1
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Box, Vec

LAYER_BITS, LAYER = 8, 1


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks over a region, counted from its first voxel.

    Parameters
    ----------
    roi
        The region.
    shape
        Of a chunk, z, y, x.
    bits
        For the place of a chunk along each axis.
    """

    roi: Box
    shape: Vec
    bits: int = 10

    def __post_init__(self) -> None:
        """Check that all chunks have a number.

        Raises
        ------
        ConfigError
            If there are more chunks along an axis than the bits count.
        """
        if min(self.shape) < 1 or not 1 <= self.bits <= 18:
            raise ConfigError(
                f"--chunk must be three numbers from 1 on and --spatial-bits 1 to 18, got {self.shape}, {self.bits}"
            )
        if max(self.counts) > 1 << self.bits:
            raise ConfigError(
                f"chunks of {list(self.shape)} make {max(self.counts)} of them along an axis, more than {self.bits} bits "
                "count; take a larger --chunk or more --spatial-bits"
            )

    @property
    def counts(self) -> Vec:
        """Number of chunks along each axis."""
        z, y, x = (-(-n // c) for n, c in zip(self.roi.shape, self.shape, strict=True))
        return (z, y, x)

    def places(self) -> Iterator[Vec]:
        """Yield the places of all chunks, z, y, x, from 0."""
        yield from itertools.product(*map(range, self.counts))

    def box(self, place: Vec) -> Box:
        """Return the voxels of a chunk; at the region's end it is cut off."""
        z, y, x = (s + p * c for s, p, c in zip(self.roi.start, place, self.shape, strict=True))
        return Box.of_shape(self.shape, (z, y, x)).intersect(self.roi)

    def first(self, place: Vec) -> int:
        """Return the id of a chunk: its supervoxels are numbered up from it."""
        z, y, x = place
        spatial = (x << 2 * self.bits | y << self.bits | z) << self.number_bits
        return LAYER << 64 - LAYER_BITS | spatial

    @property
    def number_bits(self) -> int:
        """Bits for the number within a chunk."""
        return 64 - LAYER_BITS - 3 * self.bits

    def ids(self, place: Vec, numbers: np.ndarray) -> np.ndarray:
        """Return the ids (uint64) of numbers within a chunk; 0 stays 0.

        Raises
        ------
        RunError
            If a chunk holds more supervoxels than can be numbered.
        """
        most = int(numbers.max(initial=0))
        if most >= 1 << self.number_bits:
            raise RunError(
                f"a chunk of {list(self.shape)} holds {most} supervoxels, more than {self.number_bits} bits count; take a "
                "smaller --chunk or fewer --spatial-bits"
            )
        return np.where(numbers > 0, numbers.astype(np.uint64) + np.uint64(self.first(place)), np.uint64(0))
