"""The input of agglomeration per block: tables, ids, the graph within the block, and the planes on its faces."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from connectomake.agglomeration.graph import Edges, edge_rows, region_graph
from connectomake.errors import RunError
from connectomake.geometry import BlockGrid, Box, Vec
from connectomake.layers import read_tables
from connectomake.tables import ComponentTable

_KEPT = 96
_FAR = np.uint64(1 << 32)


class GraphBlocks(Protocol):
    """Blocks, by id, in memory or in files."""

    def table(self, block: int) -> ComponentTable:
        """Return the table of a block's components."""

    def ids(self, block: int) -> np.ndarray:
        """Return the supervoxel (uint64) of each label of a block, from label 0."""

    def edges(self, block: int) -> Edges:
        """Return the graph within a block, between labels."""

    def plane(self, block: int, name: str) -> np.ndarray:
        """Return a face plane of labels, ``z0`` … ``x1``, or of affinities across a low face, ``edge_z`` … ``edge_x``."""


@dataclass(frozen=True, slots=True)
class MemoryGraph:
    """Blocks held in memory: the arrays of each block's file, and its ids."""

    arrays: Mapping[int, Mapping[str, np.ndarray]]
    look_up: Mapping[int, np.ndarray]

    def table(self, block: int) -> ComponentTable:
        """Return the table of a block's components."""
        return ComponentTable.from_arrays(self.arrays[block], "table")

    def ids(self, block: int) -> np.ndarray:
        """Return the supervoxel of each label."""
        return self.look_up[block]

    def edges(self, block: int) -> Edges:
        """Return the graph within a block."""
        return Edges.from_arrays(self.arrays[block], "edges")

    def plane(self, block: int, name: str) -> np.ndarray:
        """Return a face plane."""
        return self.arrays[block][f"faces/{name}"]


class FileGraph:
    """Blocks in files; some planes and ids are kept.

    Parameters
    ----------
    paths
        The file beside the components shard, per block.
    ids
        Returns the supervoxel of each label of a block.
    """

    def __init__(self, paths: Mapping[int, str | os.PathLike[str]], ids: Callable[[int], np.ndarray]) -> None:
        self._paths = dict(paths)
        self.ids = functools.lru_cache(_KEPT)(ids)
        self.plane = functools.lru_cache(_KEPT)(self._plane)

    def table(self, block: int) -> ComponentTable:
        """Return the table of a block's components."""
        return ComponentTable.from_arrays(read_tables(self._paths[block], ComponentTable.names("table")), "table")

    def edges(self, block: int) -> Edges:
        """Return the graph within a block."""
        return Edges.from_arrays(read_tables(self._paths[block], Edges.names("edges")), "edges")

    def _plane(self, block: int, name: str) -> np.ndarray:
        return read_tables(self._paths[block], [f"faces/{name}"])[f"faces/{name}"]


def graph_tables(labels: np.ndarray, affinity: np.ndarray, box: Box, roi: Box) -> dict[str, np.ndarray]:
    """Return what a block's file holds for agglomeration: ``edges/*`` and ``faces/edge_z``, ``edge_y``, ``edge_x``.

    Parameters
    ----------
    labels
        (z, y, x) uint32: the block's basins.
    affinity
        (3, z, y, x) float32 or uint8.
    box, roi
        Where the block and the region of interest lie.
    """
    planes = {"edge_z": affinity[0, 0], "edge_y": affinity[1, :, 0], "edge_x": affinity[2, :, :, 0]}
    faces = {f"faces/{name}": np.ascontiguousarray(plane) for name, plane in planes.items()}
    return {**region_graph(labels, affinity, box, roi).arrays("edges"), **faces}


def block_edges(blocks: GraphBlocks, block: int) -> Edges:
    """Return the graph within a block, between supervoxels."""
    edges, ids = blocks.edges(block), blocks.ids(block)
    u, v = (ids[labels.astype(np.int64)] for labels in (edges.u, edges.v))
    return edges.between(u, v)


def face_edges(grid: BlockGrid, blocks: GraphBlocks, near: int, far: int, offset: Vec) -> Edges:
    """Return the edges between supervoxels across the common face of a block and its lower neighbour.

    Raises
    ------
    RunError
        If the faces do not fit each other.
    """
    axis = next(i for i, step in enumerate(offset) if step)
    name = "zyx"[axis]
    a, b, values = blocks.plane(near, f"{name}0"), blocks.plane(far, f"{name}1"), blocks.plane(near, f"edge_{name}")
    if not a.shape == b.shape == values.shape:
        raise RunError(
            f"the faces of blocks {grid.name(near)} and {grid.name(far)} have shapes {a.shape}, {values.shape} and {b.shape}; "
            "delete their files and rerun"
        )
    both = (a > 0) & (b > 0)
    index = _face_index(grid, near, axis)[both] * np.uint64(3) + np.uint64(axis)
    rows = edge_rows(a[both].astype(np.uint64), b[both].astype(np.uint64) + _FAR, values[both], index)
    pairs = rows.between(rows.u, rows.v)
    u = blocks.ids(near)[pairs.u.astype(np.int64)]
    v = blocks.ids(far)[(pairs.v - _FAR).astype(np.int64)]
    return pairs.between(u, v)


def _face_index(grid: BlockGrid, block: int, axis: int) -> np.ndarray:
    """Return the raster indices in the region of interest of the voxels on a block's low face."""
    box, roi = grid.box(block), grid.roi
    ranges = [np.arange(a - r, b - r, dtype=np.uint64) for a, b, r in zip(box.start, box.stop, roi.start, strict=True)]
    ranges[axis] = ranges[axis][:1]
    z, y, x = (r.reshape([-1 if i == k else 1 for i in range(3)]) for k, r in enumerate(ranges))
    index = (z * np.uint64(roi.shape[1]) + y) * np.uint64(roi.shape[2]) + x
    return np.asarray(index.squeeze(axis))
