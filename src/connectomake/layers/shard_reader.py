"""Shards are read whole or in part, mapped into memory; see `shard_writer`.

Source: the format ``neuroglancer_uint64_sharded_v1`` in Neuroglancer's documentation. Every chunk is a gzip stream, also at
level 0, for its checksum: a flipped bit is found when the chunk is read.
"""

import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from connectomake.errors import LayerError
from connectomake.forking import last_file
from connectomake.geometry import Box, Vec
from connectomake.layers import precomputed
from connectomake.layers.records import check_shard, decode_record
from connectomake.layers.shard_file import ENTRY, INDEX_ROW, SizeError, decompress
from connectomake.layers.spec import LayerSpec

_UNFIT = "is corrupted or was written with other blocks or chunks"


class ShardReader:
    """Read a block's shard, whole or in part.

    Parameters
    ----------
    path
        The shard's file.
    spec
        The layer.
    block_id
        The block.

    Raises
    ------
    LayerError
        If the file is missing, truncated or not a shard of this layer.
    """

    def __init__(self, path: str | os.PathLike[str], spec: LayerSpec, block_id: int) -> None:
        self._path = Path(path)
        self._spec = spec
        self._box = spec.grid.box(block_id)
        last_file.reading(self._path)
        self._data = _map_file(self._path)
        self.record = decode_record(self._data[-(1 << 16) :], self._path)
        check_shard(self.record, self._path, spec.shard_name(block_id))
        self._places = dict(self._index())

    def read(self, box: Box | None = None) -> np.ndarray:
        """Read the voxels of `box` (default: the whole block), shape (c, z, y, x), C-contiguous.

        Raises
        ------
        LayerError
            If a chunk is missing or damaged, or the box leaves the block.
        """
        wanted = self._box if box is None else box
        if not self._box.contains(wanted):
            raise LayerError(f"{wanted} is not in the block {self._box} of {self._path}")
        out = np.empty((self._spec.channels, *wanted.shape), np.dtype(self._spec.dtype))  # costs nothing until it is written to
        for position in self._spec.chunks.positions_meeting(wanted):
            part = self._spec.chunks.box_at(position)
            common = part.intersect(wanted)
            chunk = self._chunk(position, part)
            if part == wanted:
                return chunk
            out[(slice(None), *common.slices(wanted.start))] = chunk[(slice(None), *common.slices(part.start))]
        return out

    def read_encoded(self, position: Vec) -> bytes:
        """Return one storage chunk as it is encoded; its bytes are checked, not what they mean.

        Parameters
        ----------
        position
            Of the chunk, in the grid of chunks.

        Raises
        ------
        LayerError
            If the chunk is missing or damaged.
        """
        return bytes(self._stored(position))

    def _stored(self, position: Vec) -> bytearray:
        key = self._spec.chunks.id_at(position)
        if key not in self._places:
            raise self._unfit(position, "is missing in")
        start, stop = self._places[key]
        last_file.reading(self._path)
        part, spec = self._spec.chunks.box_at(position), self._spec
        try:
            most = precomputed.most_bytes(spec.encoding, spec.numpy_dtype, (spec.channels, *part.shape))
            return decompress(self._data[start:stop], most)
        except SizeError as error:
            raise self._unfit(position, "in") from error
        except ValueError as error:
            raise LayerError(f"storage chunk {part} in {self._path} is corrupted; delete the file and rerun") from error

    def _chunk(self, position: Vec, part: Box) -> np.ndarray:
        data = self._stored(position)
        try:
            shape = (self._spec.channels, *part.shape)
            return precomputed.decode_chunk(data, self._spec.encoding, self._spec.numpy_dtype, shape)
        except (OSError, ValueError) as error:
            raise self._unfit(position, "in") from error

    def relabel(self, position: Vec, ids: np.ndarray) -> tuple[bytes, int]:
        """Return one encoded storage chunk with other labels; see `segmentation_codec.relabel`.

        Raises
        ------
        LayerError
            If the chunk is missing or damaged.
        """
        from connectomake.layers import segmentation_codec  # here, for it loads numba

        data = self.read_encoded(position)
        try:
            return segmentation_codec.relabel(data, self._spec.chunks.box_at(position).shape, ids)
        except ValueError as error:
            raise self._unfit(position, "in") from error

    def _unfit(self, position: Vec, how: str) -> LayerError:
        part = self._spec.chunks.box_at(position)
        return LayerError(f"storage chunk {part} {how} {self._path}, which {_UNFIT}; delete the file and rerun")

    def _unfit_index(self) -> LayerError:
        return LayerError(f"the index of {self._path} {_UNFIT}; delete the file and rerun")

    def _index(self) -> Iterator[tuple[int, tuple[int, int]]]:
        base = ENTRY.size << self._spec.minishard_bits
        if base > len(self._data):
            raise self._unfit_index()
        for number in range(1 << self._spec.minishard_bits):
            start, stop = ENTRY.unpack_from(self._data, number * ENTRY.size)
            if start == stop:
                continue
            if not start < stop <= len(self._data) - base:
                raise self._unfit_index()
            yield from self._minishard(base, base + start, base + stop)

    def _minishard(self, base: int, start: int, stop: int) -> Iterator[tuple[int, tuple[int, int]]]:
        most = INDEX_ROW << self._spec.preshift_bits
        try:
            table = np.frombuffer(decompress(self._data[start:stop], most), "<u8").reshape(3, -1)
        except ValueError as error:
            raise self._unfit_index() from error
        key, end = 0, base
        for step, gap, size in table.T.tolist():
            key, begin = key + step, end + gap
            end = begin + size
            if end > len(self._data):
                raise self._unfit_index()
            yield key, (begin, end)


def _map_file(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise LayerError(f"{path} is missing; run snakemake to make it") from error
    except ValueError as error:
        raise LayerError(f"{path} is empty; delete it and rerun") from error


def read_block(path: str | os.PathLike[str], spec: LayerSpec, block_id: int) -> np.ndarray:
    """Read a whole block from its shard; see `ShardReader`.

    Parameters
    ----------
    path
        The shard's file or URL.
    spec
        The layer.
    block_id
        The block.

    Returns
    -------
    (c, z, y, x)
        Of the layer's dtype.

    Raises
    ------
    LayerError
        If the shard is missing or damaged.
    """
    return ShardReader(path, spec, block_id).read()


def read_box(shards: str | os.PathLike[str] | Mapping[int, str], spec: LayerSpec, box: Box) -> np.ndarray:
    """Read the voxels of `box` from a layer's shards, shape (c, z, y, x).

    Parameters
    ----------
    shards
        The layer's folder, or the shard of each block that may be needed.
    spec
        The layer.
    box
        What to read.

    Raises
    ------
    LayerError
        If the box leaves the layer, or a shard is missing or damaged.
    """
    if not spec.roi.contains(box):
        raise LayerError(f"{box} is not in layer {spec.name}, which holds {spec.roi}")
    out = np.empty((spec.channels, *box.shape), np.dtype(spec.dtype))
    for block_id in spec.grid.ids_meeting(box):
        common = spec.grid.box(block_id).intersect(box)
        path = shards[block_id] if isinstance(shards, Mapping) else Path(shards) / spec.shard_name(block_id)
        part = ShardReader(path, spec, block_id).read(common)
        out[(slice(None), *common.slices(box.start))] = part
    return out
