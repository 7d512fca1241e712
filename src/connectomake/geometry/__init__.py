"""Boxes, block grids, Morton ids, octree and lattices: pure arithmetic, no I/O. Everything is z, y, x."""

from connectomake.geometry.box import Box, Vec, as_vec, volume_of
from connectomake.geometry.cells import CellLattice
from connectomake.geometry.grid import BlockGrid, lower_offsets, upper_offsets
from connectomake.geometry.octree import Octree
from connectomake.geometry.sparse import SparseGrid, sparse, spread

__all__ = [
    "BlockGrid", "Box", "CellLattice", "Octree", "SparseGrid", "Vec", "as_vec", "lower_offsets", "sparse", "spread",
    "upper_offsets", "volume_of",
]  # fmt: skip
