"""The kernel of the region graph: one sweep over the labels of a block, contacts summed in a hash table.

A row of the table is one cache line: pair, sum, count, smallest edge index, strongest value, smallest index of those.
"""

import numpy as np

from connectomake.compiled import njit

COLUMNS = 6
_START = 1 << 12
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def sweep(labels, values, bits, scale, most, first, stride_z, stride_y):  # type: ignore[no-untyped-def]
    """Sum the contacts of different labels within a block.

    Parameters
    ----------
    labels
        (z, y, x) uint32, 0 is background.
    values
        (3, z, y, x) uint8 or float32: channel d is the edge to the lower neighbour on axis d.
    bits
        The same memory as unsigned integers, which are in the order of the values where these are positive.
    scale, most
        float64: values are summed as floor(value × scale + 0.5), after they are cut to 0 … `most`.
    first, stride_z, stride_y
        int64: raster index in the region of interest of the block's first voxel, and steps of it per z and y.

    Returns
    -------
    (pairs, 6) uint64
        In no certain order: smaller label << 32 | larger label, sum, count, smallest edge index
        (3 × raster index of the upper voxel + channel), bits of the strongest value, smallest edge index of that value.
    """
    nz, ny, nx = labels.shape
    table = np.zeros((_START, COLUMNS), np.uint64)
    used = 0
    last = np.zeros(3, np.int64)
    for z in range(nz):
        for y in range(ny):
            row = labels[z, y]
            below, before = labels[max(z - 1, 0), y], labels[z, max(y - 1, 0)]
            if 2 * (used + 3 * nx) > table.shape[0]:
                table = _larger(table, 2 * (used + 3 * nx))
                last[:] = 0
            base = 3 * (first + z * stride_z + y * stride_y)
            for x in range(nx):
                a = row[x]
                if a == 0:
                    continue
                b = below[x]
                if _touch(a, b) and z > 0:
                    used += _add(table, last, 0, a, b, values[0, z, y, x], bits[0, z, y, x], scale, most, base + 3 * x)
                b = before[x]
                if _touch(a, b) and y > 0:
                    used += _add(table, last, 1, a, b, values[1, z, y, x], bits[1, z, y, x], scale, most, base + 3 * x + 1)
                b = row[max(x - 1, 0)]
                if _touch(a, b):
                    used += _add(table, last, 2, a, b, values[2, z, y, x], bits[2, z, y, x], scale, most, base + 3 * x + 2)
    return table[table[:, 2] > 0]


@njit(cache=True, nogil=True, inline="always")
def _touch(a, b):  # type: ignore[no-untyped-def]
    return (b != a) & (b != 0)


@njit(cache=True, nogil=True, inline="always")
def _add(table, last, channel, a, b, value, bits, scale, most, index):  # type: ignore[no-untyped-def]
    """Add one contact; return 1 if its pair is new. Contacts often come in rows of one pair, so its place is remembered."""
    key = (np.uint64(min(a, b)) << _HALF) | np.uint64(max(a, b))
    place = last[channel]
    new = 0
    if table[place, 0] != key:
        place = _place(table, key)
        new = 1 if table[place, 0] == 0 else 0
        last[channel] = place
    row = table[place]
    at = np.uint64(index)
    strength = np.uint64(bits) if value > 0 else np.uint64(0)
    if new:
        row[0], row[3], row[4], row[5] = key, at, strength, at
    row[1] += np.uint64(np.int64(np.floor(min(max(np.float64(value), 0.0), most) * scale + 0.5)))
    row[2] += _ONE
    row[3] = min(row[3], at)
    if strength > row[4] or (strength == row[4] and at < row[5]):
        row[4], row[5] = strength, at
    return new


@njit(cache=True, nogil=True, inline="always")
def _place(table, key):  # type: ignore[no-untyped-def]
    """Return where a pair stands or belongs: open addressing, a power of two of rows."""
    mask = table.shape[0] - 1
    place = np.int64(((key ^ (key >> _HALF)) * _MIX) >> _HALF) & mask
    while table[place, 0] != key and table[place, 0] != 0:
        place = (place + 1) & mask
    return place


@njit(cache=True, nogil=True)
def _larger(table, wanted):  # type: ignore[no-untyped-def]
    rows = table.shape[0]
    while rows < wanted:
        rows *= 2
    larger = np.zeros((rows, COLUMNS), np.uint64)
    for i in range(table.shape[0]):
        if table[i, 0] != 0:
            larger[_place(larger, table[i, 0])] = table[i]
    return larger
