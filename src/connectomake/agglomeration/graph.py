"""The region graph: which supervoxels touch, and what their voxel edges sum up to, in integers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from connectomake.agglomeration.means import scale_of
from connectomake.columns import Columns
from connectomake.errors import RunError
from connectomake.geometry import Box


@dataclass(frozen=True, slots=True)
class Edges(Columns):
    """One row per pair of regions that touch, or of voxels of them.

    Parameters
    ----------
    u, v
        (m,) uint64: the two regions, u < v.
    total
        (m,) uint64: sum of the affinities of all voxel edges between them: uint8 as they are, floats in units of 2^-24.
    count
        (m,) uint64: number of voxel edges.
    index
        (m,) uint64: smallest index of a voxel edge: 3 × raster index (z, y, x in the region of interest) of its upper voxel +
        channel.
    best
        (m,) uint32: strongest affinity of a voxel edge: uint8 as it is, of float32 the bits, which are in the same order.
    best_index
        (m,) uint64: smallest index of a voxel edge of that affinity.
    """

    u: np.ndarray
    v: np.ndarray
    total: np.ndarray
    count: np.ndarray
    index: np.ndarray
    best: np.ndarray
    best_index: np.ndarray

    @classmethod
    def empty(cls) -> "Edges":
        """Return the table without rows."""
        column = np.zeros(0, np.uint64)
        return cls(column, column, column, column, column, np.zeros(0, np.uint32), column)

    @classmethod
    def concat(cls, parts: Iterable["Edges"]) -> "Edges":
        """Return the rows of all parts, in order."""
        return cls(*cls.joined([cls.empty(), *parts]))

    def between(self, u: np.ndarray, v: np.ndarray) -> "Edges":
        """Return the same edges between other regions, u < v, rows of one pair joined, those within one region left out."""
        low, high = np.minimum(u, v).astype(np.uint64), np.maximum(u, v).astype(np.uint64)
        rows = np.flatnonzero(low != high)
        rows = rows[_order(low[rows], high[rows])]
        low, high = low[rows], high[rows]
        new = np.ones(len(rows), bool)
        new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
        starts = np.flatnonzero(new)
        if not len(starts):
            return Edges.empty()
        total, count, index, best, at = (getattr(self, n)[rows] for n in ("total", "count", "index", "best", "best_index"))
        strongest = np.maximum.reduceat(best, starts)
        weaker = best != strongest[np.cumsum(new) - 1]
        at = np.where(weaker, np.iinfo(np.uint64).max, at)
        return Edges(
            low[starts], high[starts], np.add.reduceat(total, starts), np.add.reduceat(count, starts),
            np.minimum.reduceat(index, starts), strongest, np.minimum.reduceat(at, starts),
        )  # fmt: skip


def _order(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the order by low, then high; small numbers are sorted as one."""
    if len(high) and int(high.max()) < 1 << 32:
        return np.argsort(low << np.uint64(32) | high, kind="stable")
    return np.lexsort((high, low))


def region_graph(labels: np.ndarray, affinity: np.ndarray, box: Box | None = None, roi: Box | None = None) -> Edges:
    """Sum up the voxel edges between the regions of a block, or of a whole volume.

    Parameters
    ----------
    labels
        (z, y, x) uint32, 0 is background.
    affinity
        (3, z, y, x) float32 or uint8, channels z, y, x: the edges to the lower neighbours.
    box, roi
        Where the block and the region of interest lie; default: the array is all there is.

    Returns
    -------
    Edges
        Between labels, sorted by u, v. Edges across the block's faces are not in it.

    Raises
    ------
    RunError
        If shapes or dtypes do not fit.
    """
    from connectomake.agglomeration import contacts

    if affinity.shape != (3, *labels.shape) or labels.dtype != np.uint32:
        raise RunError(
            f"a region graph needs uint32 labels (z, y, x) and affinities (3, z, y, x), got {labels.dtype} {labels.shape} and "
            f"{affinity.shape}"
        )
    z, y, x = labels.shape
    here = Box.of_shape((z, y, x)) if box is None else box
    whole = here if roi is None else roi
    z, y, x = (a - b for a, b in zip(here.start, whole.start, strict=True))
    stride_y, stride_z = whole.shape[2], whole.shape[2] * whole.shape[1]
    values = np.ascontiguousarray(affinity)
    first = z * stride_z + y * stride_y + x
    rows = contacts.sweep(
        np.ascontiguousarray(labels), values, bits_of(values), *scale_of(values.dtype), first, stride_z, stride_y
    )
    rows = rows[np.argsort(rows[:, 0])]
    pair, total, count, index, best, at = (np.ascontiguousarray(column) for column in rows.T)
    u, v = pair >> np.uint64(32), pair & np.uint64(0xFFFFFFFF)
    return Edges(u, v, total, count, index, best.astype(np.uint32), at)


def bits_of(values: np.ndarray) -> np.ndarray:
    """Return the same memory as unsigned integers: uint8 as they are, float32 as uint32."""
    return values if values.dtype == np.uint8 else values.view(np.uint32)


def strengths(values: np.ndarray) -> np.ndarray:
    """Return affinities as `Edges.best` has them, uint32; what is below 0 counts as 0."""
    return np.where(values > 0, bits_of(np.ascontiguousarray(values)), 0).astype(np.uint32)


def edge_rows(u: np.ndarray, v: np.ndarray, values: np.ndarray, index: np.ndarray) -> Edges:
    """Make a row of each voxel edge, its affinity given; see `Edges.between` for joining them."""
    scale, most = scale_of(values.dtype)
    total = np.floor(np.clip(values.astype(np.float64), 0, most) * scale + 0.5).astype(np.uint64)
    return Edges(u, v, total, np.ones(len(u), np.uint64), index, strengths(values), index)
