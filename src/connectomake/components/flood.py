"""The watershed's kernel: votes, kept edges and the union-find over them, in one sweep over the rows of a block.

Directions are numbered in the order in which ties are broken: 0, 1, 2 are z-, y-, x-, the edges that a voxel's own channels
hold; 3, 4, 5 are z+, y+, x+, held by its higher neighbours; 6 stands for no vote, where no edge reaches the lower threshold.

A provisional label is made where a voxel has no kept edge to a lower neighbour, so labels are made in raster order and a
basin's smallest label is that of its first voxel.
"""

import numpy as np

from connectomake.compiled import njit
from connectomake.union_find import union

NO_VOTE = 6


@njit(cache=True, nogil=True)
def flood(affinity, high_z, high_y, high_x, low, high, t_low, t_high, labels, low_kept, high_kept):  # type: ignore[no-untyped-def]
    """Label the basins of a block with provisional labels.

    Parameters
    ----------
    affinity
        (3, z, y, x) uint8 or float32.
    high_z, high_y, high_x
        (y, x), (z, x), (z, y) of the same dtype: the edges across the high faces.
    low, high
        (3,) bool: whether there are voxels across the low and the high face of each axis.
    t_low, t_high
        Scalars that values are compared with; `t_low` is above 0.
    labels
        (z, y, x) uint32, to be filled.
    low_kept, high_kept
        Three planes uint8 each, to be filled: whether this block's own voxels keep the edges across its faces.

    Returns
    -------
    parents
        (labels + 1,) uint32: a smaller label of the same basin, or the label itself.
    nan
        Whether a value is NaN.
    """
    _, nz, ny, nx = affinity.shape
    parents = np.empty(nx + 2, np.uint32)
    parents[0] = 0
    count = 0
    nan = False
    votes = np.full((2, ny, nx), NO_VOTE, np.uint8)
    bits = np.empty(nx, np.uint8)
    none, row_x = np.zeros(nx, affinity.dtype), np.zeros(nx + 1, affinity.dtype)
    for z in range(nz):
        here, below = votes[z % 2], votes[(z + 1) % 2]
        for y in range(ny):
            az = affinity[0, z, y] if z > 0 or low[0] else none
            ay = affinity[1, z, y] if y > 0 or low[1] else none
            row_x[:nx] = affinity[2, z, y]
            row_x[nx] = high_x[z, y] if high[2] else 0
            nan |= _has_nan(affinity[0, z, y]) or _has_nan(affinity[1, z, y]) or _has_nan(row_x)
            if not low[2]:
                row_x[0] = 0
            bz = affinity[0, z + 1, y] if z + 1 < nz else (high_z[y] if high[0] else none)
            by = affinity[1, z, y + 1] if y + 1 < ny else (high_y[z] if high[1] else none)
            vote = here[y]
            _votes(az, ay, row_x, bz, by, t_low, vote)
            _faces(az, ay, row_x, vote, t_high, z, y, low, low_kept, high_kept)
            _bits(az, ay, row_x, vote, below[y], here[max(y - 1, 0)], t_high, z > 0, y > 0, bits)
            if count + nx + 1 > parents.size:
                larger = np.empty(2 * parents.size + nx, np.uint32)
                larger[: parents.size] = parents
                parents = larger
            count = _label_row(labels, parents, count, z, y, vote, bits)
    return parents[: count + 1], nan


@njit(cache=True, nogil=True)
def _has_nan(row):  # type: ignore[no-untyped-def]
    found = False
    for x in range(row.size):
        found |= row[x] != row[x]
    return found


@njit(cache=True, nogil=True)
def _votes(az, ay, ax, bz, by, t_low, vote):  # type: ignore[no-untyped-def]
    """Write each voxel's strongest edge; `ax` is one longer than the row."""
    for x in range(vote.size):
        best = az[x]
        found = np.uint8(0)
        found = np.uint8(1) if ay[x] > best else found
        best = max(ay[x], best)
        found = np.uint8(2) if ax[x] > best else found
        best = max(ax[x], best)
        found = np.uint8(3) if bz[x] > best else found
        best = max(bz[x], best)
        found = np.uint8(4) if by[x] > best else found
        best = max(by[x], best)
        found = np.uint8(5) if ax[x + 1] > best else found
        best = max(ax[x + 1], best)
        vote[x] = found if best >= t_low else np.uint8(NO_VOTE)


@njit(cache=True, nogil=True)
def _bits(az, ay, ax, vote, below, before, t_high, has_z, has_y, bits):  # type: ignore[no-untyped-def]
    """Write which edges to the lower neighbours within the block are kept: 1 for z, 2 for y, 4 for x."""
    for x in range(vote.size):
        kept = np.uint8(0)
        if has_z and (vote[x] == 0 or below[x] == 3 or az[x] >= t_high):
            kept |= np.uint8(1)
        if has_y and (vote[x] == 1 or before[x] == 4 or ay[x] >= t_high):
            kept |= np.uint8(2)
        bits[x] = kept
    for x in range(1, vote.size):
        if vote[x] == 2 or vote[x - 1] == 5 or ax[x] >= t_high:
            bits[x] |= np.uint8(4)


@njit(cache=True, nogil=True)
def _faces(az, ay, ax, vote, t_high, z, y, low, low_kept, high_kept):  # type: ignore[no-untyped-def]
    """Note what the row's voxels on the block's faces keep across them."""
    nx = vote.size
    if z == 0 and low[0]:
        for x in range(nx):
            low_kept[0][y, x] = vote[x] == 0 or az[x] >= t_high
    if y == 0 and low[1]:
        for x in range(nx):
            low_kept[1][z, x] = vote[x] == 1 or ay[x] >= t_high
    if low[2]:
        low_kept[2][z, y] = vote[0] == 2 or ax[0] >= t_high
    if z == high_kept[1].shape[0] - 1:
        for x in range(nx):
            high_kept[0][y, x] = vote[x] == 3
    if y == high_kept[0].shape[0] - 1:
        for x in range(nx):
            high_kept[1][z, x] = vote[x] == 4
    high_kept[2][z, y] = vote[nx - 1] == 5


@njit(cache=True, nogil=True)
def _label_row(labels, parents, count, z, y, vote, bits):  # type: ignore[no-untyped-def]
    """Label a row and join it with the rows before it; return the number of labels made so far."""
    row, before, below = labels[z, y], labels[z, max(y - 1, 0)], labels[max(z - 1, 0), y]
    left = np.uint32(0)
    for x in range(vote.size):
        if vote[x] == NO_VOTE:
            row[x] = 0
            left = np.uint32(0)
            continue
        kept = bits[x]
        if kept & 4:
            label = left
            if kept & 2 and before[x] != label:
                union(parents, before[x], label)
            if kept & 1 and below[x] != label:
                union(parents, below[x], label)
        elif kept & 2:
            label = before[x]
            if kept & 1 and below[x] != label:
                union(parents, below[x], label)
        elif kept & 1:
            label = below[x]
        else:
            count += 1
            label = np.uint32(count)
            parents[count] = label
        row[x] = label
        left = label
    return count


@njit(cache=True, nogil=True)
def relabel(labels, final, count):  # type: ignore[no-untyped-def]
    """Replace provisional labels by final ones in place, and measure every basin.

    Returns
    -------
    (count, 13) int64
        Voxels; first voxel; box's start; its stop; coordinate sums, in z, y, x of the block. One row per basin, so that a
        run of voxels touches one or two cache lines.
    """
    nz, ny, nx = labels.shape
    found = np.zeros((count, 13), np.int64)
    for z in range(nz):
        for y in range(ny):
            row = labels[z, y]
            a = 0
            while a < nx:
                before = row[a]
                label = final[before]
                b = a
                while b < nx and row[b] == before:
                    row[b] = label
                    b += 1
                if label > 0:
                    _measure(found[label - 1], z, y, a, b)
                a = b
    return found


@njit(cache=True, nogil=True)
def _measure(m, z, y, a, b):  # type: ignore[no-untyped-def]
    """Add the voxels a … b - 1 of a row to a basin's measures."""
    if m[0] == 0:
        m[1], m[2], m[3] = z, y, a
        m[4], m[5], m[6] = z, y, a
        m[8], m[9] = y + 1, b
    m[7] = z + 1
    m[5], m[8] = min(m[5], y), max(m[8], y + 1)
    m[6], m[9] = min(m[6], a), max(m[9], b)
    length = b - a
    m[0] += length
    m[10] += z * length
    m[11] += y * length
    m[12] += (a + b - 1) * length // 2
