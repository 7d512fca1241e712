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
    """Return how many rows an output needs so that a line of `width` voxels always fits: the table and three axes of it."""
    return RECENT + 3 * width


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
                keys[rows, 0], keys[rows, 1], counts[rows], firsts[rows] = recent[h, 0], recent[h, 1], number[h], first[h]
                rows += 1
                number[h] = 0
            if number[h] == 0:
                recent[h, 0], recent[h, 1], first[h] = g, s, index + begin
            number[h] += x - begin
        line += 1
    for h in range(RECENT):
        if number[h]:
            keys[rows, 0], keys[rows, 1], counts[rows], firsts[rows] = recent[h, 0], recent[h, 1], number[h], first[h]
            rows += 1
    return rows, line


@lazy_njit
def tally_contacts(owner, part, inner_y, inner_x, lines, origin, plane, width, line, keys, counts, firsts):  # type: ignore[no-untyped-def]
    """Count voxel faces within one owner between two of its parts, from a line (z, y) on, until the output is nearly full.

    A face belongs to the voxel on its low side; of those, only voxels of the inner box count.

    Parameters
    ----------
    owner, part
        (z, y, x) uint64, the inner box and, where there is one, one voxel more at each high side.
    inner_y, inner_x, lines
        Extent of the inner box along y and x; number of its lines (z, y).
    origin, plane, width, line, keys, counts, firsts
        As `tally_pairs`; keys are (n, 3): owner, lower part, higher part.
    """
    nz, ny, nx = owner.shape
    recent = np.zeros((RECENT, 3), np.uint64)
    number = np.zeros(RECENT, np.int64)
    first = np.zeros(RECENT, np.int64)
    rows = 0
    while line < lines and rows + 3 * inner_x + RECENT <= counts.size:
        z, y = line // inner_y, line % inner_y
        index = origin + z * plane + y * width
        for axis in range(3):
            z2, y2, dx = z + (axis == 0), y + (axis == 1), int(axis == 2)
            if z2 == nz or y2 == ny:
                continue
            for x in range(min(inner_x, nx - dx)):
                o, a, b = owner[z, y, x], part[z, y, x], part[z2, y2, x + dx]
                if o == 0 or owner[z2, y2, x + dx] != o or a == b or min(a, b) == 0:
                    continue
                low, high = min(a, b), max(a, b)
                h = ((o * _A) ^ (low * _B) ^ (high * _C)) >> _SHIFT
                if number[h] and (recent[h, 0] != o or recent[h, 1] != low or recent[h, 2] != high):
                    keys[rows, 0], keys[rows, 1], keys[rows, 2] = recent[h, 0], recent[h, 1], recent[h, 2]
                    counts[rows], firsts[rows] = number[h], first[h]
                    rows += 1
                    number[h] = 0
                if number[h] == 0:
                    recent[h, 0], recent[h, 1], recent[h, 2], first[h] = o, low, high, index + x
                number[h] += 1
                first[h] = min(first[h], index + x)
        line += 1
    for h in range(RECENT):
        if number[h]:
            keys[rows, 0], keys[rows, 1], keys[rows, 2] = recent[h, 0], recent[h, 1], recent[h, 2]
            counts[rows], firsts[rows] = number[h], first[h]
            rows += 1
    return rows, line
