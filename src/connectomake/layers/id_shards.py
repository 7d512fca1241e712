"""Shards of values by object id, such as meshes and skeletons: which shard an object belongs to, and the index of a shard.

Source: Neuroglancer's sharded format with ``murmurhash3_x86_128`` over the id as 8 little-endian bytes; the hash is Austin
Appleby's MurmurHash3 (public domain), written here for arrays of one 8-byte key each.
"""

import math
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from connectomake.layers.shard_file import INDEX_ROW, compress, decompress

_C1, _C2, _C3 = np.uint32(0x239B961B), np.uint32(0xAB0E9789), np.uint32(0x38B34AE5)
_VOXELS_PER_MINISHARD_BITS = 24
_MAX_MINISHARD_BITS = 8
_ENTRY = 16
_GZIP_LEVEL = 6


def _rotate(values: np.ndarray, by: int) -> np.ndarray:
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))


def _mix(values: np.ndarray) -> np.ndarray:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        values = (values ^ (values >> np.uint32(shift))) * np.uint32(factor)
    return values ^ (values >> np.uint32(16))  # type: ignore[no-any-return]


def murmurhash3_x86_128(keys: np.ndarray) -> np.ndarray:
    """Return the low 64 bits of MurmurHash3_x86_128 (seed 0) of each key.

    Parameters
    ----------
    keys : (n,) uint64
        Hashed as 8 little-endian bytes.

    Returns
    -------
    (n,) uint64
    """
    ids = np.asarray(keys, np.uint64)
    low, high = (ids & np.uint64(0xFFFFFFFF)).astype(np.uint32), (ids >> np.uint64(32)).astype(np.uint32)
    h1 = _rotate(low * _C1, 15) * _C2
    h2 = _rotate(high * _C2, 16) * _C3
    h1, h2 = h1 ^ np.uint32(8), h2 ^ np.uint32(8)
    rest = np.full_like(h1, 8)
    h1 = h1 + h2 + rest + rest
    h1, h2, rest = _mix(h1), _mix(h2 + h1), _mix(rest + h1)
    h1 = h1 + h2 + rest + rest
    return h1.astype(np.uint64) | ((h2 + h1).astype(np.uint64) << np.uint64(32))


@dataclass(frozen=True, slots=True)
class IdSharding:
    """Numbers of bits of an id's hash that name its minishard and its shard.

    Examples
    --------
    >>> sharding = IdSharding.for_voxels(2**34)   # four shards of 256 minishards
    >>> sharding.shard_bits, sharding.minishard_bits, sharding.name(3)
    (2, 8, '3.shard')
    """

    shard_bits: int
    minishard_bits: int

    @classmethod
    def for_voxels(cls, voxels: int) -> "IdSharding":
        """Choose for a region of so many voxels: 2^24 to a minishard, 2^32 to a shard, whatever the blocks."""
        bits = max(math.ceil(math.log2(max(voxels, 1))) - _VOXELS_PER_MINISHARD_BITS, 0)
        minishard_bits = min(bits, _MAX_MINISHARD_BITS)
        return cls(bits - minishard_bits, minishard_bits)

    @property
    def count(self) -> int:
        """Number of shards."""
        return 1 << self.shard_bits

    @property
    def index_bytes(self) -> int:
        """Number of bytes at the start of a shard that say where the index of each minishard lies."""
        return _ENTRY << self.minishard_bits

    def shards(self, ids: np.ndarray) -> np.ndarray:
        """Return the shard number of each id, (n,) int64."""
        bits = murmurhash3_x86_128(ids) >> np.uint64(self.minishard_bits)
        return (bits & np.uint64(self.count - 1)).astype(np.int64)

    def minishards(self, ids: np.ndarray) -> np.ndarray:
        """Return the minishard number of each id within its shard, (n,) int64."""
        return (murmurhash3_x86_128(ids) & np.uint64((1 << self.minishard_bits) - 1)).astype(np.int64)

    def hex(self, number: int) -> str:
        """Return a shard's number as it stands in file names."""
        return f"{number:0{max(-(-self.shard_bits // 4), 1)}x}"

    def name(self, number: int) -> str:
        """Return the file name of a shard."""
        return f"{self.hex(number)}.shard"

    def info(self, data_encoding: str = "raw") -> dict[str, Any]:
        """Return the sharding specification as the ``info`` of the values has it."""
        return {
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "murmurhash3_x86_128",
            "preshift_bits": 0,
            "minishard_bits": self.minishard_bits,
            "shard_bits": self.shard_bits,
            "minishard_index_encoding": "gzip",
            "data_encoding": data_encoding,
        }


def write_index(stream: BinaryIO, sharding: IdSharding, ids: np.ndarray, places: np.ndarray) -> None:
    """Write the minishard indices at the end of a shard and the shard index at its start.

    Parameters
    ----------
    stream
        The shard, behind its last value.
    sharding
        Its minishards.
    ids : (n,) uint64
        Ascending ids of its objects.
    places : (n, 2) int64
        First byte in the file and number of bytes of each object's value; values lie in the order of the ids.
    """
    base = sharding.index_bytes
    numbers = sharding.minishards(ids)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange((1 << sharding.minishard_bits) + 1))
    entries = np.zeros((len(bounds) - 1, 2), "<u8")
    for minishard in range(len(entries)):
        rows = order[bounds[minishard] : bounds[minishard + 1]]
        entries[minishard, 0] = stream.tell() - base
        if len(rows):
            stream.write(compress(_minishard_index(ids[rows], places[rows], base), _GZIP_LEVEL))
        entries[minishard, 1] = stream.tell() - base
    stream.seek(0)
    stream.write(entries.tobytes())


def _minishard_index(ids: np.ndarray, places: np.ndarray, base: int) -> bytes:
    starts, sizes = places.T
    ends = np.concatenate([[base], (starts + sizes)[:-1]])
    table = np.stack([np.diff(ids, prepend=np.uint64(0)), (starts - ends).astype(np.uint64), sizes.astype(np.uint64)])
    return table.astype("<u8").tobytes()


def find_value(stream: BinaryIO, sharding: IdSharding, object_id: int) -> tuple[int, int] | None:
    """Return where in a shard an object's value begins, and its bytes; None if the shard has none.

    Raises
    ------
    ValueError
        If the index is damaged.
    """
    number = int(sharding.minishards(np.array([object_id], np.uint64))[0])
    ids, places = read_minishard(stream, sharding, number)
    place = int(np.searchsorted(ids, object_id))
    if place == len(ids) or int(ids[place]) != object_id:
        return None
    offset, size = places[place].tolist()
    return offset, size


def read_minishard(stream: BinaryIO, sharding: IdSharding, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the index of a minishard.

    Returns
    -------
    ids : (n,) uint64
        Ascending.
    places : (n, 2) int64
        First byte and number of bytes of each value, all within the file, one after the other.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    base, end = sharding.index_bytes, stream.seek(0, os.SEEK_END)
    stream.seek(_ENTRY * number)
    start, stop = np.frombuffer(stream.read(_ENTRY), "<u8", 2).tolist()
    if not start <= stop <= end - base:
        raise ValueError("the index of the shard points out of it")
    if start == stop:
        return np.zeros(0, np.uint64), np.zeros((0, 2), np.int64)
    stream.seek(base + start)
    table = np.frombuffer(decompress(stream.read(stop - start), INDEX_ROW * end), "<u8").reshape(3, -1)
    ids, gaps, sizes = np.cumsum(table[0]), table[1], table[2]
    if (table[1:] > end).any() or (ids[1:] <= ids[:-1]).any():
        raise ValueError("the index of a minishard points out of the shard")
    starts = base + np.cumsum(gaps).astype(np.int64) + np.cumsum(sizes).astype(np.int64) - sizes.astype(np.int64)
    if starts[-1] + int(sizes[-1]) > end:
        raise ValueError("the index of a minishard points out of the shard")
    return ids, np.stack([starts, sizes.astype(np.int64)], axis=1)
