"""The encoding ``compressed_segmentation`` of one storage chunk: written, and rewritten with other ids without decoding it.

Source: "Compressed segmentation format" in Neuroglancer's documentation, with sub-blocks of 8³. A sub-block has a table of its
labels, ascending, and for each voxel an index of 0, 1, 2, 4, 8 or 16 bits into it; equal tables are stored once. To label a
block anew is therefore to look up a few table entries per 512 voxels. The bytes are those of the package
compressed-segmentation, which reads them, and which takes four times as long to write them.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from connectomake.compiled import njit
from connectomake.layers.segmentation_blocks import (
    FULL,
    OFFSET_BITS,
    OFFSET_MASK,
    SIDE,
    VOXELS,
    append,
    clear_outside,
    entry,
    is_ascending,
    is_sound,
    new_slots,
    rank,
    rank_anew,
    subblocks,
    take,
    unpack,
)

_DAMAGED = -2
"""Instead of a length: the words are no channel of this shape."""


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
        raise ValueError(f"{len(data)} bytes are not a compressed segmentation of one channel")
    highest = np.zeros(1, np.int64)
    made = _trimmed(_relabel_channel, words[1:], shape, ids, highest, _capacity(shape, 8))
    return _joined([made]), int(highest[0])


def decode_part(data: bytes, shape: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    """Return the voxels before `stop` of a chunk that `encode` or `relabel` gave: uint64, one channel.

    Raises
    ------
    ValueError
        If `data` is no such chunk.
    """
    check(data, (1, *shape), 8)
    out = np.empty(stop, np.uint64)
    _decode_channel(np.frombuffer(data, "<u4")[1:], shape, out)
    return out


def check(data: bytes | bytearray, shape: tuple[int, int, int, int], itemsize: int) -> None:
    """Check that no decoder leaves the bytes of a chunk: whatever they hold, every offset and index stays within its channel.

    Parameters
    ----------
    data
        The chunk.
    shape
        Of the chunk, c, z, y, x.
    itemsize
        Bytes of a label, 4 or 8.

    Raises
    ------
    ValueError
        If it would.
    """
    words = np.frombuffer(data, "<u4") if len(data) % 4 == 0 else np.empty(0, "<u4")
    bounds = [*words[: shape[0]].tolist(), len(words)]
    if bounds[0] != shape[0] or bounds != sorted(bounds):
        raise ValueError(f"{len(data)} bytes are not a compressed segmentation of {shape[0]} channels")
    for start, stop in itertools.pairwise(bounds):
        if not is_sound(words[start:stop], shape[1:], itemsize // 4):
            raise ValueError(f"{len(data)} bytes are not a compressed segmentation of shape {shape}")


def most_bytes(shape: tuple[int, int, int, int], itemsize: int) -> int:
    """Return how many bytes a chunk of shape c, z, y, x takes at most."""
    return 4 * shape[0] * (1 + _capacity(shape[1:], itemsize))


def _capacity(shape: tuple[int, ...], itemsize: int) -> int:
    """Words that are enough for a channel whose sub-blocks are all different noise."""
    blocks = int(np.prod([-(-n // SIDE) for n in shape]))
    return blocks * (2 + VOXELS // 2 + VOXELS * (itemsize // 4))


def _trimmed(function: Callable[..., int], *inputs: Any) -> np.ndarray:
    """Call a kernel with memory for its result, whose size is the last input, and return what it filled."""
    out = np.empty(inputs[-1], np.uint32)
    length = function(*inputs[:-1], out)
    if length == FULL:
        raise OverflowError("the labels of a storage chunk are too many for compressed_segmentation; take a smaller chunk")
    if length == _DAMAGED:
        raise ValueError("the bytes are not a compressed segmentation of this shape")
    return out[:length]


def _joined(channels: list[np.ndarray]) -> bytes:
    offsets = np.cumsum([len(channels), *[len(c) for c in channels[:-1]]]).astype("<u4")
    return b"".join([offsets.tobytes(), *[c.astype("<u4", copy=False).tobytes() for c in channels]])


@njit(cache=True, nogil=True)
def _encode_channel(volume, out):  # type: ignore[no-untyped-def]
    """Encode one channel into `out`; return its length in words, or `FULL`."""
    gy, gx = subblocks(volume.shape[1]), subblocks(volume.shape[2])
    blocks = subblocks(volume.shape[0]) * gy * gx
    values, ranks = np.empty(VOXELS, volume.dtype), np.zeros(VOXELS, np.uint16)
    labels = np.empty(VOXELS, np.uint64)
    slots = new_slots(blocks)
    at = 2 * blocks
    for block in range(blocks):
        start = (block // (gy * gx) * SIDE, block // gx % gy * SIDE, block % gx * SIDE)
        whole = take(volume, start, values)
        count = rank(values, labels, ranks)
        if not whole:
            clear_outside(volume.shape, start, ranks)
        at = append(out, at, block, labels[:count], ranks, slots, volume.itemsize // 4)
        if at < 0:
            return at
    return at


@njit(cache=True, nogil=True)
def _relabel_channel(words, shape, ids, highest, out):  # type: ignore[no-untyped-def]
    """Rewrite one channel; return its length in words, `FULL` or `_DAMAGED`."""
    gy, gx = subblocks(shape[1]), subblocks(shape[2])
    blocks = subblocks(shape[0]) * gy * gx
    if words.size < 2 * blocks:
        return _DAMAGED
    ranks, labels = np.zeros(VOXELS, np.uint16), np.empty(VOXELS, np.uint64)
    slots = new_slots(blocks)
    at = 2 * blocks
    for block in range(blocks):
        count = unpack(words, block, ranks)
        table = np.int64(words[2 * block]) & OFFSET_MASK
        if not 0 < count <= VOXELS or table + count > words.size:
            return _DAMAGED
        for i in range(count):
            label = np.int64(words[table + i])
            highest[0] = max(highest[0], label)
            labels[i] = ids[min(label, ids.size - 1)]
        if not is_ascending(labels[:count]):
            count = rank_anew(labels, count, ranks)
            clear_outside(shape, (block // (gy * gx) * SIDE, block // gx % gy * SIDE, block % gx * SIDE), ranks)
        at = append(out, at, block, labels[:count], ranks, slots, 2)
        if at < 0:
            return at
    return at


@njit(cache=True, nogil=True)
def _decode_channel(words, shape, out):  # type: ignore[no-untyped-def]
    """Decode the voxels of `out`, which begins where the chunk does."""
    gy, gx = subblocks(shape[1]), subblocks(shape[2])
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row = (z // SIDE * gy + y // SIDE) * gx
            for x in range(out.shape[2]):
                head = 2 * (row + x // SIDE)
                bits = np.int64(words[head]) >> OFFSET_BITS
                bit = bits * ((z % SIDE * SIDE + y % SIDE) * SIDE + x % SIDE)
                word = np.int64(words[np.int64(words[head + 1]) + bit // 32]) if bits else 0
                index = (word >> bit % 32) & ((1 << bits) - 1)
                out[z, y, x] = entry(words, np.int64(words[head]) & OFFSET_MASK, index, 2)
