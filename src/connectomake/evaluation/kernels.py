"""Compiled loops that tally labels voxel by voxel.

Neighbouring voxels mostly have the same labels, and a plane has few, so each loop adds up in a small table of recent keys and
writes a row only when a key is pushed out of it: few rows, in memory that does not depend on the labels. The same key may have
several rows; the caller adds them up.
"""

import numpy as np

from connectomake.compiled import lazy_njit

RECENT = 1 << 12
_SHIFT = np.uint64(64 - 12)
_A, _B, _C = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)


def rows_wanted(width: int) -> int:
    """Return how many rows an output needs so that a line of `width` voxels and what is in the table always fit."""
    return RECENT + width


@lazy_njit
def tally_pairs(gt, seg, origin, plane, width, line, keys, counts, firsts):  # type: ignore[no-untyped-def]
    """Count voxels per pair (gt, seg) with gt not 0, from a line (z, y) on, until the output is nearly full.

    Parameters
    ----------
    gt, seg
        (z, y, x) uint64.
    origin, plane, width
        Raster index of the first voxel; voxels in a plane and in a line of the box that the index counts in.
    line
        Line to begin with, z * number of lines in a plane + y.
    keys, counts, firsts
        Output: (n, 2) uint64; (n,) int64; (n,) int64, the smallest raster index.

    Returns
    -------
    rows, line
        Rows written, line to go on with.
    """
    nz, ny, nx = gt.shape
    recent = np.zeros((RECENT, 2), np.uint64)
    number = np.zeros(RECENT, np.int64)
    first = np.zeros(RECENT, np.int64)
    rows = 0
    while line < nz * ny and rows + nx + RECENT <= counts.size:
        z, y = line // ny, line % ny
        index = origin + z * plane + y * width
        x = 0
        while x < nx:
            g, s, begin = gt[z, y, x], seg[z, y, x], x
            x += 1
            while x < nx and gt[z, y, x] == g and seg[z, y, x] == s:
                x += 1
            if g == 0:
                continue
            h = ((g * _A) ^ (s * _B)) >> _SHIFT
            if number[h] and (recent[h, 0] != g or recent[h, 1] != s):
                keys[rows], counts[rows], firsts[rows] = recent[h], number[h], first[h]
                rows += 1
                number[h] = 0
            if number[h] == 0:
                recent[h, 0], recent[h, 1], first[h] = g, s, index + begin
            number[h] += x - begin
        line += 1
    for h in range(RECENT):
        if number[h]:
            keys[rows], counts[rows], firsts[rows] = recent[h], number[h], first[h]
            rows += 1
    return rows, line


@lazy_njit
def tally_contacts(gt, gt2, seg, seg2, dz, dy, dx, origin, plane, width, line, keys, counts, firsts):  # type: ignore[no-untyped-def]
    """Count voxel faces between two parts of one whole, from a line (z, y) on, until the output is nearly full.

    Parameters
    ----------
    gt, gt2, seg, seg2
        (z, y, x) uint64: both labels of voxels, and of those among which are their neighbours across one face on the high side.
    dz, dy, dx
        Where the neighbour of voxel 0, 0, 0 stands in its array.
    origin, plane, width, line, counts, firsts
        As `tally_pairs`; the place is that of the voxel on the low side.
    keys
        (n, 4): 0, true object, lower segment, higher segment; or 1, segment, lower true object, higher true object.
    """
    nz, ny, nx = gt.shape[0] - dz, gt.shape[1] - dy, gt.shape[2] - dx
    recent = np.zeros((RECENT, 4), np.uint64)
    number = np.zeros(RECENT, np.int64)
    first = np.zeros(RECENT, np.int64)
    rows = 0
    while line < nz * ny and rows + nx + RECENT <= counts.size:
        z, y = line // ny, line % ny
        index = origin + z * plane + y * width
        for x in range(nx):
            g, s = gt[z, y, x], seg[z, y, x]
            h, t = gt2[z + dz, y + dy, x + dx], seg2[z + dz, y + dy, x + dx]
            if (g == h) == (s == t) or min(g, h) == 0 or min(s, t) == 0:
                continue
            if g == h:
                kind, whole, low, high = np.uint64(0), g, min(s, t), max(s, t)
            else:
                kind, whole, low, high = np.uint64(1), s, min(g, h), max(g, h)
            at = ((whole * _A) ^ (low * _B) ^ ((high + kind) * _C)) >> _SHIFT
            same = recent[at, 0] == kind and recent[at, 1] == whole and recent[at, 2] == low and recent[at, 3] == high
            if number[at] and not same:
                keys[rows], counts[rows], firsts[rows] = recent[at], number[at], first[at]
                rows += 1
                number[at] = 0
            if number[at] == 0:
                recent[at, 0], recent[at, 1], recent[at, 2], recent[at, 3] = kind, whole, low, high
                first[at] = index + x
            number[at] += 1
        line += 1
    for at in range(RECENT):
        if number[at]:
            keys[rows], counts[rows], firsts[rows] = recent[at], number[at], first[at]
            rows += 1
    return rows, line
