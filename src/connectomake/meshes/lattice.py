"""Specification of a run's meshes: the cell lattice, its coarser levels, the grid of stored vertices, the simplification."""

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import Box, CellLattice, Vec, as_vec
from connectomake.layers.id_shards import IdSharding

MOST_LODS = 8
LOCKED = 7  # of a vertex: all its coordinates stay when a mesh is simplified, see `collapse`


@dataclass(frozen=True)
class MeshSpec:
    """The meshes of a segmentation.

    Marching cubes lie between the centres of voxels, so the cubes of a cell with its high halo reach from the centre of its
    first voxel to that of the next cell's. The lattice of mesh fragments is therefore the cell lattice half a voxel up, with
    one more cell below the region's start for the half voxel of surface there (``p`` is padding)::

        voxels          p | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | p
        cells               |0              |1
        fragments     -1| 0               | 1               |

    Level of detail 0 has one fragment per object and cell. A *parent*, one level up, stands for 2 x 2 x 2 fragments. Places are
    counted from `margin` cells below the region, so that parents begin at the region's start too.

    Parameters
    ----------
    roi
        Region of interest, in voxels.
    cell
        Shape of a cell, in voxels; a block is a multiple of it.
    voxel_size
        Nanometres, z, y, x.
    bits
        Vertex coordinates are stored as integers of this many bits per cell, 10 or 16.
    factor
        Simplify a fragment to no fewer than its triangles over this.
    max_error
        Bound of how far simplification may move the surface at level 0, in nm, twice as far at each further level; None or 0
        does not simplify.
    lods
        Number of levels of detail.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    roi: Box
    cell: Vec
    voxel_size: tuple[float, float, float]
    bits: int = 16
    factor: float = 100.0
    max_error: float | None = None
    lods: int = 1

    def __post_init__(self) -> None:
        if self.bits not in {10, 16}:
            raise ConfigError(f"meshes.bits must be 10 or 16, as Neuroglancer requires, got {self.bits}")
        if not 1 <= self.lods <= MOST_LODS:
            raise ConfigError(f"meshes.lods must be 1 to {MOST_LODS}, got {self.lods}")
        if min(self.cell) < 1 or max(self.cell) << self.lods > self.top:
            raise ConfigError(
                f"meshes.cell must lie between 1 and {self.top >> self.lods} voxels per axis, for a vertex is stored in "
                f"{self.bits} bits at each of {self.lods} levels, got {list(self.cell)}"
            )
        if not min(self.voxel_size) > 0:
            raise ConfigError(f"meshes need a voxel size above 0 nm per axis, got {list(self.voxel_size)}")
        if not self.factor >= 1 or (self.max_error is not None and not self.max_error >= 0):
            raise ConfigError(
                f"meshes.simplify needs factor >= 1 and max_error >= 0 nm, got {self.factor} and {self.max_error}"
            )

    @classmethod
    def from_config(cls, section: dict[str, Any], roi: Box, voxel_size: tuple[float, float, float]) -> "MeshSpec":
        """Make it from a checked `meshes` section; by default the surface may move by the longest side of a voxel."""
        simplify = section["simplify"]
        error = max(voxel_size) if simplify["max_error"] is None else simplify["max_error"]
        bits, lods, factor = int(section["quantization_bits"]), int(section["lods"]), float(simplify["factor"])
        return cls(roi, as_vec(section["cell"]), voxel_size, bits=bits, factor=factor, max_error=float(error), lods=lods)

    @property
    def top(self) -> int:
        """Greatest stored coordinate of a vertex: the cell's high plane."""
        return (1 << self.bits) - 1

    @functools.cached_property
    def step(self) -> np.ndarray:
        """Distance between neighbouring stored coordinates at level 0, (3,) float64 in nm."""
        return np.array([c * v / self.top for c, v in zip(self.cell, self.voxel_size, strict=True)])

    def error(self, lod: int) -> float:
        """Return how far a level's surface may lie from that of the voxels, in nm, beside rounding to the grid."""
        return float(self.max_error or 0) * (1 << lod)

    @property
    def scales(self) -> list[float]:
        """Resolution of each level of detail: its error, or twice a voxel at each level, in voxels of the mean side."""
        side = math.prod(self.voxel_size) ** (1 / 3)
        return [(1 << lod) * (self.max_error or side) / side for lod in range(self.lods)]

    @property
    def margin(self) -> int:
        """Cells between the origin of the fragment lattice and the region's start: one parent of the coarsest level."""
        return 1 << (self.lods - 1)

    @functools.cached_property
    def lattice(self) -> CellLattice:
        """The cells of the region of interest."""
        return CellLattice(self.roi, self.cell)

    @functools.cached_property
    def sharding(self) -> IdSharding:
        """How objects are spread over shards; follows from the region alone."""
        return IdSharding.for_voxels(self.roi.volume)

    @property
    def origin(self) -> tuple[float, float, float]:
        """Where the fragment lattice begins, in voxels as Neuroglancer draws them (voxel i from i to i + 1)."""
        z, y, x = (s + 0.5 - self.margin * c for s, c in zip(self.roi.start, self.cell, strict=True))
        return (z, y, x)

    def start(self, position: Vec) -> Vec:
        """Return the first voxel of the cell at a lattice position, which may be -1 along an axis."""
        z, y, x = (r + p * c for r, p, c in zip(self.roi.start, position, self.cell, strict=True))
        return (z, y, x)

    def reach(self, position: Vec) -> Box:
        """Return the voxels that the fragment at a position needs: cell and high halo, with one voxel around the region."""
        start = self.start(position)
        stop = tuple(s + c + 1 for s, c in zip(start, self.cell, strict=True))
        return Box(start, stop).intersect(self.roi.grow(1))  # type: ignore[arg-type]

    def positions(self, block: Box) -> Iterator[Vec]:
        """Yield the positions of the fragments that a block makes, in raster order.

        Blocks at the start of the region also make the fragments below it.
        """
        low, high = self.cells_of(block)
        yield from itertools.product(*(range(a, b) for a, b in zip(low, high, strict=True)))

    def cells_of(self, block: Box) -> tuple[Vec, Vec]:
        """Return the first position and the one after the last of the fragments that a block or a box of blocks makes."""
        ends = []
        for a, e, r, c, name in zip(block.start, block.stop, self.roi.start, self.cell, "zyx", strict=True):
            if (a - r) % c:
                raise ConfigError(f"meshes.cell {c} does not divide the block along {name}: {block}; make the block a multiple")
            first = (a - r) // c
            ends.append((first if first else -1, -(-(e - r) // c)))
        (z0, z1), (y0, y1), (x0, x1) = ends
        return (z0, y0, x0), (z1, y1, x1)
