"""Voxels on the boundary between basins: those without a strong edge.

A basin takes in the voxels of the membrane around it up to where the next one begins, and where that is, is uncertain: no
edge of such a voxel is strong. A segmentation may leave them out at the end, after all basins are joined over them.
"""

from dataclasses import dataclass

import numpy as np

from connectomake.components import flood
from connectomake.components.block import BlockLabels, table_at
from connectomake.components.watershed import HighPlanes, bound_of
from connectomake.geometry import Box
from connectomake.tables import ComponentTable


@dataclass(frozen=True, slots=True)
class Interior:
    """A block's basins without the voxels of their boundary.

    Parameters
    ----------
    labels
        (z, y, x) uint32: the block's labels, 0 on the boundary.
    table
        Row i is label i + 1: what is left of it, `voxels` 0 if nothing is; then the rest of its row has no meaning.
    """

    labels: np.ndarray
    table: ComponentTable


def interior_of_block(
    result: BlockLabels, affinity: np.ndarray, high: HighPlanes, t_boundary: float, box: Box, roi: Box
) -> Interior:
    """Leave out a block's voxels on the boundary.

    Parameters
    ----------
    result
        The block's basins.
    affinity, high, box, roi
        As `watershed_block` had them.
    t_boundary
        A voxel whose strongest edge is below this is left out; see `strongest_edges`.

    Raises
    ------
    ConfigError
        If the dtype is neither uint8 nor float32.
    """
    kept = strongest_edges(affinity, high, box, roi) >= bound_of(t_boundary, affinity.dtype)
    labels = np.where(kept, result.labels, np.uint32(0))
    count = len(result.table)
    m = flood.relabel(labels, np.arange(count + 1, dtype=np.uint32), count)
    return Interior(labels, table_at((m[:, 0], m[:, 1:4], m[:, 4:7], m[:, 7:10], m[:, 10:13]), box, roi))


def strongest_edges(affinity: np.ndarray, high: HighPlanes, box: Box, roi: Box) -> np.ndarray:
    """Return the strongest of the six edges of every voxel of a block, (z, y, x) of the affinities' dtype.

    Parameters
    ----------
    affinity, high, box, roi
        As for `watershed_block`: edges across the faces of the region of interest do not count.
    """
    best = np.zeros(affinity.shape[1:], affinity.dtype)
    for axis, plane in enumerate(high):
        edges, of_voxel = np.moveaxis(affinity[axis], axis, 0), np.moveaxis(best, axis, 0)
        first = int(box.start[axis] == roi.start[axis])
        np.maximum(of_voxel[first:], edges[first:], out=of_voxel[first:])
        np.maximum(of_voxel[:-1], edges[1:], out=of_voxel[:-1])
        if plane is not None:
            np.maximum(of_voxel[-1], plane, out=of_voxel[-1])
    return best


def interior(affinity: np.ndarray, t_boundary: float) -> np.ndarray:
    """Tell which voxels of a whole volume in memory are not on the boundary.

    Parameters
    ----------
    affinity
        (3, z, y, x) float32 or uint8, channels z, y, x.
    t_boundary
        See `interior_of_block`.

    Returns
    -------
    (z, y, x) bool

    Raises
    ------
    ConfigError
        If the dtype is another.

    Examples
    --------
    >>> affinity = np.zeros((3, 1, 1, 4), np.uint8)
    >>> affinity[2, 0, 0] = [0, 200, 10, 200]  # edges 0-1, 1-2, 2-3
    >>> interior(affinity, 0.2)
    array([[[ True,  True,  True,  True]]])
    >>> affinity[2, 0, 0] = [0, 200, 10, 10]
    >>> interior(affinity, 0.2)
    array([[[ True,  True, False, False]]])
    """
    _, z, y, x = affinity.shape
    box = Box.of_shape((z, y, x))
    return np.asarray(strongest_edges(affinity, (None, None, None), box, box) >= bound_of(t_boundary, affinity.dtype))
