"""The encoding ``compressed_segmentation`` of one storage chunk: written, and rewritten with other ids without decoding it.

Source: "Compressed segmentation format" in Neuroglancer's documentation, with sub-blocks of 8³. A sub-block has a table of its
labels, ascending, and for each voxel an index of 0, 1, 2, 4, 8 or 16 bits into it; equal tables are stored once. To label a
block anew is therefore to look up a few table entries per 512 voxels. The bytes are those of the package
compressed-segmentation, which reads them, and which takes four times as long to write them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

SIDE = 8
"""Side of a sub-block."""
_VOXELS = SIDE**3
_FEW = 16
"""Up to so many labels are found by passes over all voxels of a sub-block, which run eight voxels at a time."""
_OFFSET_BITS = 24
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_FULL, _DAMAGED = -1, -2
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def encode(volume: np.ndarray) -> bytes:
    """Encode a chunk.

    Parameters
    ----------
    volume
        (c, z, y, x) uint32 or uint64.

    Raises
    ------
    OverflowError
        If the tables of a channel take 64 MiB or more, which the format cannot address.
    """
    size = _capacity(volume.shape[1:], volume.itemsize)
    return _joined([_trimmed(_encode_channel, np.ascontiguousarray(channel), size) for channel in volume])


def relabel(data: bytes, shape: tuple[int, int, int], ids: np.ndarray) -> tuple[bytes, int]:
    """Replace the labels of an encoded chunk: `encode` of ``ids[labels]``, byte for byte.

    Parameters
    ----------
    data
        One channel of uint32 labels, encoded.
    shape
        Of the chunk, z, y, x.
    ids
        (n,) uint64: the new id of each label. Not empty.

    Returns
    -------
    data : bytes
        The chunk with uint64 ids; without meaning if a label has none.
    highest : int
        The highest label; an error of the caller's if it is n or more.

    Raises
    ------
    ValueError
        If `data` is no such chunk.
    OverflowError
        See `encode`.
    """
    words = np.frombuffer(data, "<u4") if len(data) % 4 == 0 else np.empty(0, "<u4")
    if words.size == 0 or words[0] != 1:
        raise ValueError(f"{len(data)} bytes are no compressed segmentation of one channel")
    highest = np.zeros(1, np.int64)
    made = _trimmed(_relabel_channel, words[1:], shape, ids, highest, _capacity(shape, 8))
    return _joined([made]), int(highest[0])


def decode_part(data: bytes, shape: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    """Return the voxels before `stop` of a chunk that `encode` or `relabel` gave: uint64, one channel."""
    out = np.empty(stop, np.uint64)
    _decode_channel(np.frombuffer(data, "<u4")[1:], shape, out)
    return out


def _capacity(shape: tuple[int, ...], itemsize: int) -> int:
    """Words that are enough for a channel whose sub-blocks are all different noise."""
    blocks = int(np.prod([-(-n // SIDE) for n in shape]))
    return blocks * (2 + _VOXELS // 2 + _VOXELS * (itemsize // 4))


def _trimmed(function: Callable[..., int], *inputs: Any) -> np.ndarray:
    """Call a kernel with memory for its result, whose size is the last input, and return what it filled."""
    out = np.empty(inputs[-1], np.uint32)
    length = function(*inputs[:-1], out)
    if length == _FULL:
        raise OverflowError("the labels of a storage chunk are too many for compressed_segmentation; take a smaller chunk")
    if length == _DAMAGED:
        raise ValueError("the bytes are no compressed segmentation of this shape")
    return out[:length]


def _joined(channels: list[np.ndarray]) -> bytes:
    offsets = np.cumsum([len(channels), *[len(c) for c in channels[:-1]]]).astype("<u4")
    return b"".join([offsets.tobytes(), *[c.astype("<u4", copy=False).tobytes() for c in channels]])


@njit(cache=True, nogil=True)
def _encode_channel(volume, out):  # type: ignore[no-untyped-def]
    """Encode one channel into `out`; return its length in words, or `_FULL`."""
    gy, gx = _subblocks(volume.shape[1]), _subblocks(volume.shape[2])
    blocks = _subblocks(volume.shape[0]) * gy * gx
    values, ranks = np.empty(_VOXELS, volume.dtype), np.zeros(_VOXELS, np.uint16)
    labels = np.empty(_VOXELS, np.uint64)
    slots = _new_slots(blocks)
    at = 2 * blocks
    for block in range(blocks):
        start = (block // (gy * gx) * SIDE, block // gx % gy * SIDE, block % gx * SIDE)
        whole = _take(volume, start, values)
        count = _rank(values, labels, ranks)
        if not whole:
            _clear_outside(volume.shape, start, ranks)
        at = _append(out, at, block, labels[:count], ranks, slots, volume.itemsize // 4)
        if at < 0:
            return at
    return at


@njit(cache=True, nogil=True)
def _subblocks(extent):  # type: ignore[no-untyped-def]
    return (extent + SIDE - 1) // SIDE


@njit(cache=True, nogil=True)
def _take(volume, start, values):  # type: ignore[no-untyped-def]
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
def _rank(values, labels, ranks):  # type: ignore[no-untyped-def]
    """List the labels of a sub-block in ascending order, and the rank of each voxel's; return how many they are."""
    low, high = values[0], values[0]
    for i in range(_VOXELS):
        low, high = min(low, values[i]), max(high, values[i])
    labels[0] = low
    count = 1
    if low == high:
        return count
    ranks[:] = 0
    while low != high and count < _FEW:
        above = high
        for i in range(_VOXELS):
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
    for k in range(_VOXELS):
        value = np.uint64(values[order[k]])
        if k == 0 or value != labels[count - 1]:
            labels[count] = value
            count += 1
        ranks[order[k]] = count - 1
    return count


@njit(cache=True, nogil=True)
def _clear_outside(shape, start, ranks):  # type: ignore[no-untyped-def]
    """Give rank 0 to voxels behind the end of the volume."""
    for i in range(_VOXELS):
        z, y, x = i // (SIDE * SIDE), i // SIDE % SIDE, i % SIDE
        if start[0] + z >= shape[0] or start[1] + y >= shape[1] or start[2] + x >= shape[2]:
            ranks[i] = 0


@njit(cache=True, nogil=True)
def _append(out, at, block, labels, ranks, slots, wide):  # type: ignore[no-untyped-def]
    """Append the ranks of a sub-block and, unless an equal one is there, its table; return the end, or `_FULL`."""
    bits = 0
    while (1 << bits) < labels.size:
        bits = bits * 2 if bits else 1
    values = at
    at = _pack(out, at, ranks, bits)
    table = _find(out, at, labels, slots, wide)
    if table > _OFFSET_MASK:
        return _FULL
    out[2 * block] = table | (bits << _OFFSET_BITS)
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
def _new_slots(blocks):  # type: ignore[no-untyped-def]
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
        if _entry(out, at, i, wide) != labels[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _entry(words, table, index, wide):  # type: ignore[no-untyped-def]
    """Return an entry of a table as uint64."""
    value = np.uint64(words[table + wide * index])
    if wide == 2:
        value |= np.uint64(words[table + 2 * index + 1]) << np.uint64(32)
    return value


@njit(cache=True, nogil=True)
def _relabel_channel(words, shape, ids, highest, out):  # type: ignore[no-untyped-def]
    """Rewrite one channel; return its length in words, `_FULL` or `_DAMAGED`."""
    gy, gx = _subblocks(shape[1]), _subblocks(shape[2])
    blocks = _subblocks(shape[0]) * gy * gx
    if words.size < 2 * blocks:
        return _DAMAGED
    ranks, labels = np.zeros(_VOXELS, np.uint16), np.empty(_VOXELS, np.uint64)
    slots = _new_slots(blocks)
    at = 2 * blocks
    for block in range(blocks):
        count = _unpack(words, block, ranks)
        table = np.int64(words[2 * block]) & _OFFSET_MASK
        if not 0 < count <= _VOXELS or table + count > words.size:
            return _DAMAGED
        for i in range(count):
            label = np.int64(words[table + i])
            highest[0] = max(highest[0], label)
            labels[i] = ids[min(label, ids.size - 1)]
        if not _is_ascending(labels[:count]):
            count = _rank_anew(labels, count, ranks)
            _clear_outside(shape, (block // (gy * gx) * SIDE, block // gx % gy * SIDE, block % gx * SIDE), ranks)
        at = _append(out, at, block, labels[:count], ranks, slots, 2)
        if at < 0:
            return at
    return at


@njit(cache=True, nogil=True)
def _unpack(words, block, ranks):  # type: ignore[no-untyped-def]
    """Read the rank of each voxel of a sub-block; return the highest + 1, 0 if damaged."""
    bits, values = np.int64(words[2 * block]) >> _OFFSET_BITS, np.int64(words[2 * block + 1])
    if bits == 0:
        return 1
    if bits > 16 or bits & (bits - 1) or values + _VOXELS * bits // 32 > words.size:
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
def _is_ascending(labels):  # type: ignore[no-untyped-def]
    for i in range(1, labels.size):  # noqa: SIM110  (compiled)
        if labels[i] <= labels[i - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def _rank_anew(labels, count, ranks):  # type: ignore[no-untyped-def]
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
    for i in range(_VOXELS):
        ranks[i] = new[ranks[i]]
    return kept + 1


@njit(cache=True, nogil=True)
def _decode_channel(words, shape, out):  # type: ignore[no-untyped-def]
    """Decode the voxels of `out`, which begins where the chunk does."""
    gy, gx = _subblocks(shape[1]), _subblocks(shape[2])
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row = (z // SIDE * gy + y // SIDE) * gx
            for x in range(out.shape[2]):
                head = 2 * (row + x // SIDE)
                bits = np.int64(words[head]) >> _OFFSET_BITS
                bit = bits * ((z % SIDE * SIDE + y % SIDE) * SIDE + x % SIDE)
                word = np.int64(words[np.int64(words[head + 1]) + bit // 32]) if bits else 0
                index = (word >> bit % 32) & ((1 << bits) - 1)
                out[z, y, x] = _entry(words, np.int64(words[head]) & _OFFSET_MASK, index, 2)
