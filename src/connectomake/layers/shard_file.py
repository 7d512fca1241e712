"""Files of the sharded format, value by value, whatever the values are: the index is written last.

Source: the format ``neuroglancer_uint64_sharded_v1`` in Neuroglancer's documentation.
"""

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import deflate
import numpy as np

ENTRY = struct.Struct("<QQ")
INDEX_ROW = 24
"""Bytes for each value in the index of a minishard: id, gap before it, size."""
_SMALLEST = 18
"""Bytes of head and foot of a gzip stream."""
DENSEST = 1032
"""Bytes that one byte of a deflate stream can stand for at best."""
_SAMPLED = 1 << 16
_SAMPLE = 1 << 12
_WORTH = 0.8


def compress(data: bytes, level: int) -> bytes:
    """Compress to a gzip stream without a time stamp, so that equal data gives equal bytes; twice as fast as zlib does."""
    return bytes(deflate.gzip_compress(data, level))


def level_worth(data: bytes, level: int) -> int:
    """Return the level at which to compress voxels: 0 where it would save less than a fifth, for noise is slow to unpack.

    A sixteenth of the data, evenly spread, is tried at level 1, so the choice depends on the data alone.

    Examples
    --------
    >>> level_worth(bytes(1 << 18), 1)
    1
    >>> level_worth(np.random.default_rng(0).bytes(1 << 18), 1)
    0
    """
    if level == 0:
        return 0
    sample = b"".join(data[start : start + _SAMPLE] for start in range(0, len(data), _SAMPLED))
    return level if len(compress(sample, 1)) <= _WORTH * len(sample) else 0


class SizeError(ValueError):
    """A compressed value is of a size that it cannot have."""


def decompress(data: bytes, most: int | None = None) -> bytearray:
    """Undo `compress`; twice as fast as zlib does.

    Parameters
    ----------
    data
        Of at least one byte before it was compressed.
    most
        Refuse more bytes than these; default what so many can hold at best, so that a few never take the whole memory.

    Raises
    ------
    ValueError
        If the stream is cut off or its checksum does not fit.
    SizeError
        If it claims a size that it cannot have. libdeflate believes the last four bytes, and returns nothing, unchecked, where
        they are 0.
    """
    size = int.from_bytes(data[-4:], "little") if len(data) >= _SMALLEST else 0
    bound = DENSEST * len(data)
    if not 0 < size <= (bound if most is None else min(most, bound)):
        raise SizeError(f"{len(data)} compressed bytes claim to be {size}")
    try:
        return deflate.gzip_decompress(data)
    except deflate.DeflateError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a value lies in a shard file: the chunk (or object) id, first byte and number of bytes."""

    key: int
    offset: int
    size: int


class ShardFile:
    """Append values to a file of the sharded format; the index is written by `finish`.

    Values may come in any order; the format wants them ascending within a minishard, so a file written out of order is put
    in order at the end, by one copy.
    """

    def __init__(self, path: Path, preshift_bits: int, minishard_bits: int, level: int = 1) -> None:
        self._path = path
        self._preshift = preshift_bits
        self._minishards = 1 << minishard_bits
        self._level = level
        self._pieces: list[Piece] = []
        self._stream: BinaryIO = path.open("wb")
        self._stream.write(bytes(ENTRY.size * self._minishards))

    def append(self, key: int, value: bytes) -> None:
        """Append one value, already encoded."""
        self._pieces.append(Piece(key, self._stream.tell(), len(value)))
        self._stream.write(value)

    def finish(self) -> None:
        """Write the minishard indices and the shard index, and close the file."""
        pieces = sorted(self._pieces, key=lambda p: p.key)
        if pieces != self._pieces:
            pieces = self._rewrite(pieces)
        base = ENTRY.size * self._minishards
        entries = []
        groups = itertools.groupby(sorted(pieces, key=self._minishard), key=self._minishard)
        indices = {number: self._minishard_index(list(group)) for number, group in groups}
        for number in range(self._minishards):
            start = self._stream.tell() - base
            self._stream.write(indices.get(number, b""))
            entries.append(ENTRY.pack(start, self._stream.tell() - base))
        self._stream.seek(0)
        self._stream.write(b"".join(entries))
        self._stream.close()

    def close(self) -> None:
        """Close the file unfinished."""
        self._stream.close()

    def _minishard(self, piece: Piece) -> int:
        return (piece.key >> self._preshift) & (self._minishards - 1)

    def _minishard_index(self, pieces: list[Piece]) -> bytes:
        table = np.zeros((3, len(pieces)), np.uint64)
        end = ENTRY.size * self._minishards
        key = 0
        for i, piece in enumerate(pieces):
            table[:, i] = (piece.key - key, piece.offset - end, piece.size)
            key, end = piece.key, piece.offset + piece.size
        return compress(table.astype("<u8").tobytes(), self._level)

    def _rewrite(self, pieces: list[Piece]) -> list[Piece]:
        self._stream.close()
        unordered = self._path.with_name(self._path.name + ".unordered.part")
        self._path.rename(unordered)
        try:
            with unordered.open("rb") as source:
                self._stream = self._path.open("wb")
                self._stream.write(bytes(ENTRY.size * self._minishards))
                moved = []
                for piece in pieces:
                    source.seek(piece.offset)
                    moved.append(Piece(piece.key, self._stream.tell(), piece.size))
                    self._stream.write(source.read(piece.size))
        finally:
            unordered.unlink()
        return moved
