"""Compiled loops over voxels: faces between objects, and what lies within reach of an object.

As neighbouring voxels mostly have the same ids, faces are added up in a small table of recent pairs; a row is written only when
a pair is pushed out of it. The same pair may have several rows; the caller adds them up.
"""

import numpy as np

from connectomake.compiled import lazy_njit

RECENT = 1 << 12
_SHIFT = np.uint64(64 - 12)
_A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


def rows_wanted(width: int) -> int:
    """Return how many rows an output needs so that a line of `width` voxels and what is in the table always fit."""
    return RECENT + 3 * width


@lazy_njit
def tally_faces(ids, halo, place, whole, line, keys, faces, sums, firsts):  # type: ignore[no-untyped-def]
    """Count faces between voxels and lower neighbours of another id, from a line (z, y) on, until the output is nearly full.

    Parameters
    ----------
    ids
        (z, y, x) uint64: a tile, with the plane before it along some axes; 0 is no object.
    halo
        (3,) int64: 1 along axes with a plane before the tile, else 0. Voxels of that plane are only neighbours.
    place, whole
        (3,) int64: first voxel of the tile (without the planes) in the box, and the shape of the box.
    line
        Line of the tile to begin with, z * lines in a plane + y.
    keys, faces, sums, firsts
        Output: (n, 2) uint64, the smaller id first; (n, 3) int64, faces along z, y, x; (n, 3) int64, twice the places of their
        middles; (n,) int64, the smallest 3 * raster index of the upper voxel + axis.

    Returns
    -------
    rows, line
        Rows written, line to go on with.
    """
    nz, ny, nx = ids.shape[0] - halo[0], ids.shape[1] - halo[1], ids.shape[2] - halo[2]
    recent, used = np.zeros((RECENT, 2), np.uint64), np.zeros(RECENT, np.bool_)
    number, total, first = np.zeros((RECENT, 3), np.int64), np.zeros((RECENT, 3), np.int64), np.zeros(RECENT, np.int64)
    rows = 0
    while line < nz * ny and rows + 3 * nx + RECENT <= firsts.size:
        z, y = line // ny, line % ny
        index = ((place[0] + z) * whole[1] + place[1] + y) * whole[2] + place[2]
        for x in range(nx):
            i, j, k = z + halo[0], y + halo[1], x + halo[2]
            a = ids[i, j, k]
            if a == 0:
                continue
            for axis in range(3):
                p, q, r = i - (axis == 0), j - (axis == 1), k - (axis == 2)
                if p < 0 or q < 0 or r < 0:
                    continue
                b = ids[p, q, r]
                if b == a or b == 0:  # noqa: PLR1714
                    continue
                low, high = min(a, b), max(a, b)
                at = ((low * _A) ^ (high * _B)) >> _SHIFT
                if used[at] and (recent[at, 0] != low or recent[at, 1] != high):
                    keys[rows], faces[rows], sums[rows], firsts[rows] = recent[at], number[at], total[at], first[at]
                    rows += 1
                    used[at] = False
                if not used[at]:
                    recent[at, 0], recent[at, 1], first[at], used[at] = low, high, 3 * (index + x) + axis, True
                    number[at], total[at] = 0, 0
                number[at, axis] += 1
                total[at, 0] += 2 * (place[0] + z) + (axis != 0)
                total[at, 1] += 2 * (place[1] + y) + (axis != 1)
                total[at, 2] += 2 * (place[2] + x) + (axis != 2)
        line += 1
    for at in range(RECENT):
        if used[at]:
            keys[rows], faces[rows], sums[rows], firsts[rows] = recent[at], number[at], total[at], first[at]
            rows += 1
    return rows, line


@lazy_njit
def runs_of(ids, number, low, high):  # type: ignore[no-untyped-def]
    """Return where an object has voxels, line by line.

    Parameters
    ----------
    ids, number
        (z, y, x) integers, and which of them is the object.
    low, high
        (3,) int64: the box that is looked at.

    Returns
    -------
    offsets, starts, stops
        Runs of line i of the box, z * lines in a plane + y, are those from offsets[i] to offsets[i + 1]; first voxel and end of
        each along x in `ids`.
    """
    ny = high[1] - low[1]
    offsets = np.zeros((high[0] - low[0]) * ny + 1, np.int64)
    for filled in range(2):
        starts, stops = np.empty(offsets[-1] * filled, np.int64), np.empty(offsets[-1] * filled, np.int64)
        count = 0
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                inside = False
                for x in range(low[2], high[2]):
                    if (ids[z, y, x] == number) != inside:
                        if filled:
                            (stops if inside else starts)[count - inside] = x
                        count += not inside
                        inside = not inside
                if inside and filled:
                    stops[count - 1] = high[2]
                offsets[(z - low[0]) * ny + y - low[1] + 1] = count
    return offsets, starts, stops


@lazy_njit
def dilate(offsets, starts, stops, low, high, first, widths, out):  # type: ignore[no-untyped-def]
    """Mark the voxels within reach of an object.

    Parameters
    ----------
    offsets, starts, stops, low, high
        The object: see `runs_of`.
    first, out
        (3,) int64, and (z, y, x) bool, which is written: the box that is marked.
    widths
        See `Ball`.
    """
    hz, hy, nx = widths.shape[0] // 2, widths.shape[1] // 2, out.shape[2]
    change = np.zeros(nx + 1, np.int64)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            change[:] = 0
            for sz in range(max(first[0] + z - hz, low[0]), min(first[0] + z + hz + 1, high[0])):
                for sy in range(max(first[1] + y - hy, low[1]), min(first[1] + y + hy + 1, high[1])):
                    width = widths[sz - first[0] - z + hz, sy - first[1] - y + hy]
                    line = (sz - low[0]) * (high[1] - low[1]) + sy - low[1]
                    for run in range(offsets[line], offsets[line + 1]):
                        a, b = max(starts[run] - width - first[2], 0), min(stops[run] + width - first[2], nx)
                        if width >= 0 and a < b:
                            change[a] += 1
                            change[b] -= 1
            depth = 0
            for x in range(nx):
                depth += change[x]
                out[z, y, x] = depth > 0
