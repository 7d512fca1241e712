"""Shards are written chunk by chunk, with the index last.

Source: the format ``neuroglancer_uint64_sharded_v1`` in Neuroglancer's documentation. Every chunk is a gzip stream, also at
level 0, for its checksum: a flipped bit is found when the chunk is read.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import LayerError
from connectomake.geometry import Box, Vec
from connectomake.layers import precomputed
from connectomake.layers.records import append_record
from connectomake.layers.shard_file import ShardFile, compress, level_worth
from connectomake.layers.spec import LayerSpec


class ShardWriter:
    """Atomically write one block as one shard, chunk by chunk.

    Use as a context manager; when the body raises, nothing is left.

    Parameters
    ----------
    path
        The shard's file.
    spec
        The layer.
    block_id
        The block.
    record
        What to note at the end of the file: stage, fingerprint, software.
    threads
        That compress storage chunks; the file does not depend on it.
    """

    def __init__(
        self, path: str | os.PathLike[str], spec: LayerSpec, block_id: int, record: dict[str, Any], threads: int = 1
    ) -> None:
        self._spec = spec
        self._threads = threads
        self._box = spec.grid.box(block_id)
        self._record = record
        self._missing = {spec.chunks.id_at(p) for p in spec.chunks.positions_meeting(self._box)}
        self._final = Path(path)

    def __enter__(self) -> "ShardWriter":
        self._context = atomic_path(self._final)
        self._temporary = self._context.__enter__()
        self._file = ShardFile(self._temporary, self._spec.preshift_bits, self._spec.minishard_bits)
        return self

    def note(self, **fields: Any) -> None:
        """Add fields to the record."""
        self._record = self._record | fields

    def write(self, box: Box, array: np.ndarray) -> None:
        """Write the voxels of `box`, which begins at a storage chunk and ends at one or at the block's end.

        Parameters
        ----------
        box
            Where the voxels lie, in the block.
        array
            Shape (c, z, y, x) or (z, y, x), of the layer's dtype.

        Raises
        ------
        LayerError
            If the box, shape or dtype does not fit, or a chunk is written twice.
        """
        volume = array[None] if array.ndim == 3 else array
        self._check(box, volume)
        positions = sorted(self._spec.chunks.positions_meeting(box), key=self._spec.chunks.id_at)
        parts = [self._spec.chunks.box_at(position) for position in positions]
        for part in parts:
            if not box.contains(part):
                raise LayerError(f"storage chunk {part} of {self._final} is cut by the box {box}")
        chunks = (volume[(slice(None), *part.slices(box.start))] for part in parts)
        for position, data in zip(positions, self._packed(chunks), strict=True):
            self._append(position, data)

    def _packed(self, chunks: Iterable[np.ndarray]) -> Iterator[bytes]:
        """Yield chunks as they are stored, in order."""
        if self._threads == 1:
            yield from map(self._pack, chunks)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(self._pack, chunks)

    def _pack(self, chunk: np.ndarray) -> bytes:
        return self._compressed(precomputed.encode_chunk(chunk, self._spec.encoding))

    def _compressed(self, data: bytes) -> bytes:
        level = self._spec.gzip
        return compress(data, level_worth(data, level) if self._spec.encoding == "raw" else level)

    def write_encoded(self, position: Vec, data: bytes) -> None:
        """Write one storage chunk that is encoded already, as the layer's encoding wants it.

        Parameters
        ----------
        position
            Of the chunk, in the grid of chunks.
        data
            The encoded chunk.

        Raises
        ------
        LayerError
            If the chunk is not in the block, or written twice.
        """
        self._append(position, self._compressed(data))

    def write_blank(self) -> None:
        """Write a block of zeros; of each shape of storage chunk one is encoded."""
        chunks, packed = self._spec.chunks, dict[Vec, bytes]()
        for position in sorted(chunks.positions_meeting(self._box), key=chunks.id_at):
            shape = chunks.box_at(position).shape
            if shape not in packed:
                packed[shape] = self._pack(np.zeros((self._spec.channels, *shape), self._spec.dtype))
            self._append(position, packed[shape])

    def _append(self, position: Vec, data: bytes) -> None:
        key = self._spec.chunks.id_at(position)
        if key not in self._missing:
            raise LayerError(f"storage chunk {position} of {self._final} is not in its block or written twice")
        self._missing.discard(key)
        self._file.append(key, data)

    def _check(self, box: Box, volume: np.ndarray) -> None:
        wanted = (self._spec.channels, *box.shape)
        if volume.shape != wanted or volume.dtype != np.dtype(self._spec.dtype):
            raise LayerError(
                f"layer {self._spec.name} expects {wanted} {self._spec.dtype} at {box}, got {volume.shape} {volume.dtype}"
            )
        if not self._box.contains(box):
            raise LayerError(f"the box {box} is not in the block {self._box} of {self._final}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._drop()
            self._context.__exit__(kind, error, trace)
            return
        try:
            self._finish()
        except BaseException as failure:
            self._drop()
            self._context.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._context.__exit__(None, None, None)

    def _drop(self) -> None:
        """Close the file, whose last bytes may find no room either."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _finish(self) -> None:
        if self._missing:
            raise LayerError(f"{len(self._missing)} storage chunks of {self._final} were not written")
        self._file.finish()
        append_record(self._temporary, self._record)


def write_block(
    path: str | os.PathLike[str], spec: LayerSpec, block_id: int, array: np.ndarray, record: dict[str, Any] | None = None
) -> None:
    """Atomically write a whole block as its shard; see `ShardWriter`.

    Parameters
    ----------
    path
        The shard's file.
    spec
        The layer.
    block_id
        The block.
    array
        (c, z, y, x) or (z, y, x), of the layer's dtype.
    record
        What to note at the end of the file: stage, fingerprint, software.

    Raises
    ------
    LayerError
        If shape or dtype does not fit the layer.
    """
    with ShardWriter(path, spec, block_id, record or {}) as writer:
        writer.write(spec.grid.box(block_id), array)
