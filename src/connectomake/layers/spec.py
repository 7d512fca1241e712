"""Description of a layer: dtype, channels, region, block, storage chunk, encoding."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import BlockGrid, Box, Vec
from connectomake.geometry.morton import axis_bits
from connectomake.layers import precomputed

CHUNKS_PER_MINISHARD_BITS = 9


def chunk_levels(block: Vec, chunk: Vec) -> int:
    """Return k such that the block is 2^k storage chunks along every axis.

    Raises
    ------
    ConfigError
        If there is no such k: with different k per axis a block would not be one shard.
    """
    factors = [b / c for b, c in zip(block, chunk, strict=True)]
    k = max(round(factors[0]), 1).bit_length() - 1
    if any(f != 2**k for f in factors):
        half = [b // 2 for b in block] if all(b % 2 == 0 for b in block) else list(block)
        raise ConfigError(
            f"block {list(block)} is not 2^k storage chunks of {list(chunk)} with one k for all axes; "
            f"take chunk = block / 2^k, for example {half}, or leave `chunk` out"
        )
    return k


@dataclass(frozen=True)
class LayerSpec:
    """One scale of a layer whose shards are its blocks.

    Parameters
    ----------
    name
        Name of the layer, which is that of its folder.
    dtype
        NumPy name of the voxel type.
    channels
        Number of channels.
    roi
        Region of interest; becomes size and voxel offset.
    block, chunk
        Shapes of the block and of the storage chunk; ``block = chunk * 2^k``.
    voxel_size
        Nanometres, z, y, x.
    kind
        ``image`` or ``segmentation``.
    encoding
        ``raw`` or ``compressed_segmentation``.
    gzip
        Level 0 (stored, with a checksum) to 9; noisy raw chunks are stored at any level, see `shard_file.level_worth`.

    Raises
    ------
    ConfigError
        If the block is not 2^k storage chunks.
    """

    name: str
    dtype: str
    channels: int
    roi: Box
    block: Vec
    chunk: Vec
    voxel_size: tuple[float, float, float]
    kind: str = "image"
    encoding: str = "raw"
    gzip: int = 1

    def __post_init__(self) -> None:
        chunk_levels(self.block, self.chunk)

    @functools.cached_property
    def grid(self) -> BlockGrid:
        """The blocks, which are the shards."""
        return BlockGrid(self.roi, self.block)

    @functools.cached_property
    def chunks(self) -> BlockGrid:
        """The storage chunks, whose ids are the keys within the shards."""
        return BlockGrid(self.roi, self.chunk)

    @functools.cached_property
    def _low_bits(self) -> int:
        k = chunk_levels(self.block, self.chunk)
        return sum(min(k, axis_bits(n)) for n in self.chunks.shape)

    @property
    def preshift_bits(self) -> int:
        """Bits of the chunk id that count the chunks within a minishard."""
        return min(self._low_bits, CHUNKS_PER_MINISHARD_BITS)

    @property
    def minishard_bits(self) -> int:
        """Bits of the chunk id that name the minishard within a shard."""
        return self._low_bits - self.preshift_bits

    @property
    def numpy_dtype(self) -> np.dtype:
        """Voxel type, little-endian as in precomputed."""
        return np.dtype(self.dtype).newbyteorder("<")

    @functools.cached_property
    def scale_key(self) -> str:
        """Folder of the scale."""
        return precomputed.scale_key(self.voxel_size)

    def shard_name(self, block_id: int) -> str:
        """Return the path of a block's shard within the layer."""
        return f"{self.scale_key}/{self.grid.name(block_id)}.shard"

    def slabs(self, block_id: int) -> Iterator[Box]:
        """Yield the slabs of a block, one storage chunk high, from low z: what streaming through a block works on."""
        block = self.grid.box(block_id)
        for z in range(block.start[0], block.stop[0], self.chunk[0]):
            yield Box((z, *block.start[1:]), (min(z + self.chunk[0], block.stop[0]), *block.stop[1:]))

    def info(self) -> dict[str, Any]:
        """Return the layer's ``info`` as precomputed has it."""
        return precomputed.volume_info(self)
