"""Specification of a run's skeletons: the cell lattice, the voxels a cell reads, the radius a path covers, objects per file."""

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import Box, CellLattice, Vec, volume_of
from connectomake.layers.id_shards import IdSharding

STEPS = 16
MOST_VOXELS = 1 << 27
DIRECTIONS = [d for d in itertools.product((-1, 0, 1), repeat=3) if d != (0, 0, 0)]
"""Offsets to the 26 neighbours in raster order: direction d is the opposite of 25 - d; the first 13 lead to earlier voxels."""


@dataclass(frozen=True)
class SkeletonSpec:
    """The skeletons of a segmentation.

    A cell is traced with the first plane of the next cells, so that both sides of a border see it and choose the same voxels
    there; for radii it also reads a halo::

        voxels             0   1   2   3   4   5   6   7   8 ...
        cells of 4         |-------0-------|-------1-------|
        cell 0 traces      0   1   2   3   4
        cell 1 traces                      4   5   6   7   8

    Parameters
    ----------
    roi
        Region of interest, in voxels.
    cell
        Shape of a cell, in voxels.
    voxel_size
        Nanometres, z, y, x.
    scale, const
        A path covers what lies within ``scale * radius + const`` (nm) of it; branches shorter than that are left out.
    halo
        Distance around a cell, in nm, in which the border of an object is sought: smaller radii are exact.
    min_voxels
        Objects with fewer voxels get no skeleton.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    roi: Box
    cell: Vec
    voxel_size: tuple[float, float, float]
    scale: float = 1.5
    const: float = 300.0
    halo: float = 250.0
    min_voxels: int = 0

    def __post_init__(self) -> None:
        if min(self.cell) < 1 or volume_of(self.cell) > MOST_VOXELS:
            raise ConfigError(
                f"skeletons.cell must have at least 1 voxel per axis and at most 512 x 512 x 512 voxels, got {list(self.cell)}"
            )
        if not min(self.voxel_size) > 0:
            raise ConfigError(f"skeletons need a voxel size above 0 nm per axis, got {list(self.voxel_size)}")
        if not (self.scale >= 0 and self.const >= 0 and self.halo >= 0):
            values = f"{self.scale}, {self.const} and {self.halo}"
            raise ConfigError(f"skeletons.scale, const and halo must not be negative, got {values}")

    @functools.cached_property
    def lattice(self) -> CellLattice:
        """The cells of the region of interest."""
        return CellLattice(self.roi, self.cell)

    @functools.cached_property
    def sharding(self) -> IdSharding:
        """How objects are spread over shards; follows from the region alone."""
        return IdSharding.for_voxels(self.roi.volume)

    @functools.cached_property
    def halo_voxels(self) -> Vec:
        """The halo in voxels, rounded up."""
        z, y, x = (math.ceil(self.halo / side) for side in self.voxel_size)
        return (z, y, x)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Lengths of the steps in `DIRECTIONS`, (26,) float64 in nm."""
        found: np.ndarray = np.sqrt(((np.array(DIRECTIONS) * np.array(self.voxel_size)) ** 2).sum(axis=1))
        return found

    @functools.cached_property
    def steps(self) -> np.ndarray:
        """The same as integers, (26,) int64: 16 along the shortest side of a voxel."""
        return np.maximum(np.rint(STEPS * self.lengths / min(self.voxel_size)), 1).astype(np.int64)

    @functools.cached_property
    def strides(self) -> np.ndarray:
        """Distances of raster indices in the region along z, y and x, (3,) int64."""
        return np.array([self.roi.shape[1] * self.roi.shape[2], self.roi.shape[2], 1], np.int64)

    @functools.cached_property
    def key_steps(self) -> np.ndarray:
        """Distances of raster indices in the region to the 26 neighbours, (26,) int64."""
        found: np.ndarray = np.array(DIRECTIONS, np.int64) @ self.strides
        return found

    @property
    def largest(self) -> Vec:
        """Position of a cell that is not cut off and has cells beside it on all sides, as far as there is one."""
        z, y, x = (max(min(1, n - 2), 0) for n in self.lattice.shape)
        return (z, y, x)

    def reach(self, position: Vec) -> Box:
        """Return the voxels that a cell traces: its own and the first plane of the next cells."""
        return self.lattice.box(position).grow(0, 1).intersect(self.roi)

    def around(self, position: Vec) -> Box:
        """Return the voxels that a cell reads: those it traces, and the halo."""
        return self.reach(position).grow(self.halo_voxels, self.halo_voxels).intersect(self.roi)

    def positions(self, box: Box) -> Iterator[Vec]:
        """Yield the positions of the cells that begin in a box of blocks, in raster order."""
        yield from self.lattice.positions_in(box)

    def needed(self, box: Box) -> Box:
        """Return the voxels that the cells which begin in a box of blocks read; empty if none begins there."""
        places = list(self.positions(box))
        if not places:
            return Box(box.start, box.start)
        return self.around(places[0]).union(self.around(places[-1]))
