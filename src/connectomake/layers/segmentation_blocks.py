"""Sub-blocks of the encoding ``compressed_segmentation``: their labels, tables and packed indices; see `segmentation_codec`.

Compiled. `words` and `out` are a channel in 32-bit words: two for each sub-block, then indices and tables as they come.
"""

import numpy as np

from connectomake.compiled import njit

SIDE = 8
"""Side of a sub-block."""
VOXELS = SIDE**3
_FEW = 16
"""Up to so many labels are found by passes over all voxels of a sub-block, which run eight voxels at a time."""
OFFSET_BITS = 24
OFFSET_MASK = (1 << OFFSET_BITS) - 1
FULL = -1
"""Instead of a length: the tables are too long for the format."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def subblocks(extent):  # type: ignore[no-untyped-def]
    """Return how many sub-blocks cover so many voxels."""
    return (extent + SIDE - 1) // SIDE


@njit(cache=True, nogil=True)
def take(volume, start, values):  # type: ignore[no-untyped-def]
    """Copy the voxels of a sub-block, the first voxel's value where the volume has ended; tell whether it is whole."""
    z0, y0, x0 = start
    rest = (min(volume.shape[0] - z0, SIDE), min(volume.shape[1] - y0, SIDE), min(volume.shape[2] - x0, SIDE))
    if rest == (SIDE, SIDE, SIDE):
        for z in range(SIDE):
            for y in range(SIDE):
                row = volume[z0 + z, y0 + y, x0 : x0 + SIDE]
                for x in range(SIDE):
                    values[(z * SIDE + y) * SIDE + x] = row[x]
        return True
    values[:] = volume[z0, y0, x0]
    for z in range(rest[0]):
        for y in range(rest[1]):
            for x in range(rest[2]):
                values[(z * SIDE + y) * SIDE + x] = volume[z0 + z, y0 + y, x0 + x]
    return False


@njit(cache=True, nogil=True)
def rank(values, labels, ranks):  # type: ignore[no-untyped-def]
    """List the labels of a sub-block in ascending order, and the rank of each voxel's; return how many they are."""
    low, high = values[0], values[0]
    for i in range(VOXELS):
        low, high = min(low, values[i]), max(high, values[i])
    labels[0] = low
    count = 1
    if low == high:
        return count
    ranks[:] = 0
    while low != high and count < _FEW:
        above = high
        for i in range(VOXELS):
            larger = values[i] > low
            ranks[i] += larger
            above = min(above, values[i] if larger else high)
        low = above
        labels[count] = low
        count += 1
    return count if low == high else _rank_many(values, labels, ranks)


@njit(cache=True, nogil=True)
def _rank_many(values, labels, ranks):  # type: ignore[no-untyped-def]
    """Do the same by sorting."""
    order = np.argsort(values)
    count = 0
    for k in range(VOXELS):
        value = np.uint64(values[order[k]])
        if k == 0 or value != labels[count - 1]:
            labels[count] = value
            count += 1
        ranks[order[k]] = count - 1
    return count


@njit(cache=True, nogil=True)
def clear_outside(shape, start, ranks):  # type: ignore[no-untyped-def]
    """Give rank 0 to voxels behind the end of the volume."""
    for i in range(VOXELS):
        z, y, x = i // (SIDE * SIDE), i // SIDE % SIDE, i % SIDE
        if start[0] + z >= shape[0] or start[1] + y >= shape[1] or start[2] + x >= shape[2]:
            ranks[i] = 0


@njit(cache=True, nogil=True)
def append(out, at, block, labels, ranks, slots, wide):  # type: ignore[no-untyped-def]
    """Append the ranks of a sub-block and, unless an equal one is there, its table; return the end, or `FULL`."""
    bits = 0
    while (1 << bits) < labels.size:
        bits = bits * 2 if bits else 1
    values = at
    at = _pack(out, at, ranks, bits)
    table = _find(out, at, labels, slots, wide)
    if table > OFFSET_MASK:
        return FULL
    out[2 * block] = table | (bits << OFFSET_BITS)
    out[2 * block + 1] = values
    if table != at:
        return at
    for i in range(labels.size):
        out[at + wide * i] = labels[i] & np.uint64(0xFFFFFFFF)
        if wide == 2:
            out[at + 2 * i + 1] = labels[i] >> np.uint64(32)
    return at + wide * labels.size


@njit(cache=True, nogil=True)
def _pack(out, at, ranks, bits):  # type: ignore[no-untyped-def]
    """Write each rank with so many bits, lowest bits first, four at a time; return the end."""
    if bits == 0:
        return at
    fours = ranks.view(np.uint64)
    near, far, pairs, all_four = _folds(bits)
    step, done = 4 * bits, 0
    word = np.uint64(0)
    for i in range(fours.size):
        four = (fours[i] | fours[i] >> near) & pairs
        four = (four | four >> far) & all_four
        word |= four << np.uint64(done)
        done += step
        while done >= 32:
            out[at] = word & np.uint64(0xFFFFFFFF)
            at += 1
            word >>= np.uint64(32)
            done -= 32
    return at


@njit(cache=True, nogil=True)
def _folds(bits):  # type: ignore[no-untyped-def]
    """Return the two shifts and masks that move four numbers of so many bits between 16-bit fields and no gaps."""
    near = np.uint64(16 - bits)
    one = (np.uint64(1) << np.uint64(2 * bits)) - np.uint64(1)
    all_four = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 4 * bits)
    return near, near + near, one | one << np.uint64(32), all_four


@njit(cache=True, nogil=True)
def new_slots(blocks):  # type: ignore[no-untyped-def]
    """Make an empty hash table of tables: rows of first word (-1 if free) and number of labels; twice as many as needed."""
    size = 1
    while size < 2 * blocks:
        size *= 2
    return np.full((size, 2), -1, np.int64)


@njit(cache=True, nogil=True)
def _find(out, at, labels, slots, wide):  # type: ignore[no-untyped-def]
    """Return where a table equal to this one lies in `out`; `at`, and note it, if there is none."""
    key = np.uint64(labels.size)
    for i in range(labels.size):
        key = (key ^ labels[i]) * _SPREAD
        key ^= key >> np.uint64(29)
    mask = slots.shape[0] - 1
    slot = np.int64(key & np.uint64(mask))
    while slots[slot, 0] >= 0:
        if slots[slot, 1] == labels.size and _is_equal(out, slots[slot, 0], labels, wide):
            return slots[slot, 0]
        slot = (slot + 1) & mask
    slots[slot, 0], slots[slot, 1] = at, labels.size
    return np.int64(at)


@njit(cache=True, nogil=True)
def _is_equal(out, at, labels, wide):  # type: ignore[no-untyped-def]
    for i in range(labels.size):  # noqa: SIM110  (compiled)
        if entry(out, at, i, wide) != labels[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def entry(words, table, index, wide):  # type: ignore[no-untyped-def]
    """Return an entry of a table as uint64."""
    value = np.uint64(words[table + wide * index])
    if wide == 2:
        value |= np.uint64(words[table + 2 * index + 1]) << np.uint64(32)
    return value


@njit(cache=True, nogil=True)
def unpack(words, block, ranks):  # type: ignore[no-untyped-def]
    """Read the rank of each voxel of a sub-block; return the highest + 1, 0 if damaged."""
    bits, values = np.int64(words[2 * block]) >> OFFSET_BITS, np.int64(words[2 * block + 1])
    if bits == 0:
        return 1
    if bits > 16 or bits & (bits - 1) or values + VOXELS * bits // 32 > words.size:
        return 0
    fours = ranks.view(np.uint64)
    near, far, pairs, all_four = _folds(bits)
    single = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    single |= single << np.uint64(16)
    single |= single << np.uint64(32)
    for i in range(fours.size):
        place = 4 * bits * i
        four = np.uint64(words[values + place // 32]) >> np.uint64(place % 32)
        if bits == 16:
            four |= np.uint64(words[values + place // 32 + 1]) << np.uint64(32)
        four &= all_four
        four = (four | four << far) & pairs
        fours[i] = (four | four << near) & single
    return np.int64(ranks.max()) + 1


@njit(cache=True, nogil=True)
def is_sound(words, shape, wide):  # type: ignore[no-untyped-def]
    """Whether heads, indices and tables of all sub-blocks lie within the words of a channel."""
    blocks = subblocks(shape[0]) * subblocks(shape[1]) * subblocks(shape[2])
    if words.size < 2 * blocks:
        return False
    ranks = np.zeros(VOXELS, np.uint16)
    for block in range(blocks):
        bits, table = np.int64(words[2 * block]) >> OFFSET_BITS, np.int64(words[2 * block]) & OFFSET_MASK
        if bits > 16 or bits & (bits - 1):
            return False
        near_end = table + wide * (1 << bits) > words.size  # only there the highest index must be known
        if near_end or np.int64(words[2 * block + 1]) + VOXELS * bits // 32 > words.size:
            count = unpack(words, block, ranks)
            if count == 0 or table + wide * count > words.size:
                return False
    return True


@njit(cache=True, nogil=True)
def is_ascending(labels):  # type: ignore[no-untyped-def]
    """Whether each label is greater than the one before."""
    for i in range(1, labels.size):  # noqa: SIM110  (compiled)
        if labels[i] <= labels[i - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def rank_anew(labels, count, ranks):  # type: ignore[no-untyped-def]
    """Sort labels in place, leaving out repeated ones, and change the ranks accordingly; return how many are left."""
    order = np.arange(count)
    for i in range(1, count):
        label, k = labels[i], i
        while k > 0 and labels[k - 1] > label:
            labels[k], order[k] = labels[k - 1], order[k - 1]
            k -= 1
        labels[k], order[k] = label, i
    new, kept = np.empty(count, np.uint16), 0
    for i in range(count):
        kept += i > 0 and labels[i] != labels[kept]
        labels[kept] = labels[i]
        new[order[i]] = kept
    for i in range(VOXELS):
        ranks[i] = new[ranks[i]]
    return kept + 1
