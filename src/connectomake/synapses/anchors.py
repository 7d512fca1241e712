"""Anchors: the voxel of each synapse that is nearest to its mean place, decided exactly, so the same for any tiles."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from connectomake.geometry import Box
from connectomake.synapses.reach import whole_units
from connectomake.synapses.tally import Tally

Reader = Callable[[Box], np.ndarray]


def anchors_of(
    read: Reader,
    tiles: Iterable[Box],
    bounds: Box,
    clefts: np.ndarray,
    synapses: np.ndarray,
    sums: Tally,
    voxel_size: Sequence[float],
) -> np.ndarray:
    """Find the anchors in a second pass over the clefts.

    Parameters
    ----------
    read
        Returns the clefts of a box, (z, y, x) uint64.
    tiles
        Tiles that hold all of their voxels.
    bounds
        The box that `sums` count in.
    clefts, synapses
        (n,) uint64, the first ascending: which synapse each cleft belongs to. Other clefts are passed over.
    sums
        Voxels and places of synapses.
    voxel_size
        Nanometres, z, y, x.

    Returns
    -------
    ndarray
        (m, 3) int64, of each synapse of `sums` in its order: z, y, x, absolute. Of voxels that are equally near, the first in
        z, y, x order.
    """
    row_of = np.searchsorted(sums.keys[:, 0], synapses)
    units = whole_units(*voxel_size)
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    for tile in tiles:
        ids = read(tile)
        places = np.argwhere(np.isin(ids, clefts))
        rows = row_of[np.searchsorted(clefts, ids[tuple(places.T)])]
        places += np.array(tile.start, np.int64) - np.array(bounds.start, np.int64)
        apart = sums.counts[rows] * (2 * places + 1) - sums.sums[rows]
        for i in _nearest(apart, rows, len(sums), np.array(units, np.float64)).tolist():
            far = sum((u * d) ** 2 for u, d in zip(units, apart[i].tolist(), strict=True))
            row, found = int(rows[i]), (far, tuple(places[i].tolist()))
            best[row] = min(best.get(row, found), found)
    zyx = np.array([best[row][1] for row in range(len(sums))], np.int64).reshape(-1, 3)
    return np.asarray(zyx + np.array(bounds.start, np.int64))


def _nearest(apart: np.ndarray, rows: np.ndarray, count: int, units: np.ndarray) -> np.ndarray:
    """Return the voxels that may be nearest: those that are, but for rounding."""
    far = ((apart * units) ** 2).sum(axis=1)
    least = np.full(count, np.inf)
    np.minimum.at(least, rows, far)
    return np.flatnonzero(far <= least[rows] * (1 + 1e-12))
