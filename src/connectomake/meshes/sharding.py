"""Which mesh shard an object belongs to.

Source: Neuroglancer's sharded format with ``murmurhash3_x86_128`` over the id as 8 little-endian bytes; the hash is Austin
Appleby's MurmurHash3 (public domain), written here for arrays of one 8-byte key each.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_C1, _C2, _C3 = np.uint32(0x239B961B), np.uint32(0xAB0E9789), np.uint32(0x38B34AE5)
_VOXELS_PER_MINISHARD_BITS = 24
_MAX_MINISHARD_BITS = 8


def _rotate(values: np.ndarray, by: int) -> np.ndarray:
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))


def _mix(values: np.ndarray) -> np.ndarray:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        values = (values ^ (values >> np.uint32(shift))) * np.uint32(factor)
    return values ^ (values >> np.uint32(16))


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
class MeshSharding:
    """Numbers of bits of an id's hash that name its minishard and its shard.

    Examples
    --------
    >>> sharding = MeshSharding.for_voxels(2**34)   # four shards of 256 minishards
    >>> sharding.shard_bits, sharding.minishard_bits, sharding.name(3)
    (2, 8, '3.shard')
    """

    shard_bits: int
    minishard_bits: int

    @classmethod
    def for_voxels(cls, voxels: int) -> "MeshSharding":
        """Choose for a region of so many voxels: 2^24 to a minishard, 2^32 to a shard, whatever the blocks."""
        bits = max(math.ceil(math.log2(max(voxels, 1))) - _VOXELS_PER_MINISHARD_BITS, 0)
        minishard_bits = min(bits, _MAX_MINISHARD_BITS)
        return cls(bits - minishard_bits, minishard_bits)

    @property
    def count(self) -> int:
        """Number of shards."""
        return 1 << self.shard_bits

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

    def info(self) -> dict[str, Any]:
        """Return the sharding specification as the mesh ``info`` has it."""
        return {
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "murmurhash3_x86_128",
            "preshift_bits": 0,
            "minishard_bits": self.minishard_bits,
            "shard_bits": self.shard_bits,
            "minishard_index_encoding": "gzip",
            "data_encoding": "raw",
        }
