"""Duplicates: clefts of the same two cells that lie close to each other are one synapse."""

from collections.abc import Sequence

import numpy as np

from connectomake.synapses.reach import whole_units
from connectomake.synapses.tally import Tally
from connectomake.union_find import unite

_SURE = 1e-9


def joined_ids(clefts: Tally, partners: np.ndarray, within: float, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the synapse that each cleft belongs to, by the smallest id of its clefts.

    Parameters
    ----------
    clefts
        See `Clefts`; n of them.
    partners
        (n, 2) uint64: the two cells of each; clefts with fewer, 0, stay as they are.
    within
        How far apart, in nm, the mean places of two clefts of the same cells may be; so may those of further ones in a chain.
    voxel_size
        Nanometres, z, y, x.

    Returns
    -------
    ndarray
        (n,) uint64.
    """
    pairs = np.sort(partners, axis=1)
    rows = np.flatnonzero(pairs[:, 0])
    rows = rows[np.lexsort((rows, pairs[rows, 1], pairs[rows, 0]))]
    new = (pairs[rows[1:]] != pairs[rows[:-1]]).any(axis=1)
    groups = [group for group in np.split(rows, np.flatnonzero(new) + 1) if len(group) > 1]
    links = [np.zeros((0, 2), np.int64), *(_close(clefts, group, within, voxel_size) for group in groups)]
    return np.asarray(clefts.keys[unite(len(clefts), np.concatenate(links)), 0])


def _close(clefts: Tally, rows: np.ndarray, within: float, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the pairs (m, 2) of rows whose mean places lie within a distance, exactly where rounding might decide."""
    from scipy.spatial import cKDTree

    middles = clefts.take(rows).middles((0, 0, 0), voxel_size)
    wide = within * (1 + _SURE) + _SURE * (1 + float(np.abs(middles).max()))
    found = cKDTree(middles).query_pairs(wide, output_type="ndarray")
    far = np.linalg.norm(middles[found[:, 0]] - middles[found[:, 1]], axis=1)
    sure = far < 2 * within - wide
    for i in np.flatnonzero(~sure).tolist():
        a, b = rows[found[i]].tolist()
        sure[i] = _exactly(clefts, a, b, within, voxel_size)
    return np.asarray(rows[found[sure]], np.int64).reshape(-1, 2)


def _exactly(clefts: Tally, a: int, b: int, within: float, voxel_size: Sequence[float]) -> bool:
    w, *units = whole_units(within, *voxel_size)
    m, n = int(clefts.counts[a, 0]), int(clefts.counts[b, 0])
    apart = [u * (int(p) * n - int(q) * m) for u, p, q in zip(units, clefts.sums[a], clefts.sums[b], strict=True)]
    far: int = sum(d * d for d in apart)
    return far <= (2 * m * n * w) ** 2
