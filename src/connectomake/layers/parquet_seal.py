"""Checksums of all bytes of a Parquet file, between its data and its footer, where readers of Parquet never look.

Readers find the footer from the file's end, and all else by offsets that the footer names, so bytes between both do no harm.
Arrow checks neither of both by itself: a flipped bit in the footer may be anything from harmless to another table.

Layout of the seal: eight bytes of magic, ``<u4`` CRC-32 of all before them, ``<u4`` CRC-32 of the footer.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from connectomake.errors import LayerError

MAGIC = b"PAR1"
_SEAL = struct.Struct("<8sII")
_SEAL_MAGIC = b"cmkSeal1"
_END = struct.Struct("<I4s")
_PIECE = 1 << 20


def seal(path: str | os.PathLike[str]) -> None:
    """Put the checksums into a Parquet file that has just been written."""
    with Path(path).open("rb+") as stream:
        start, size = _footer(stream)
        stream.seek(start)
        footer = stream.read(size - start)
        data = _crc(stream, start)
        stream.seek(start)
        stream.write(_SEAL.pack(_SEAL_MAGIC, data, zlib.crc32(footer)) + footer)


def check_footer(stream: BinaryIO) -> int | None:
    """Compare the footer of an open file with its checksum.

    Returns
    -------
    int or None
        The CRC-32 of all before the seal; None for a file that was written before there were seals.

    Raises
    ------
    ValueError
        If the file does not end in a footer, or in a damaged one.
    """
    start, size = _footer(stream)
    stream.seek(max(start - _SEAL.size, 0))
    found = stream.read(_SEAL.size)
    footer = stream.read(size - start)
    if len(found) < _SEAL.size or not found.startswith(_SEAL_MAGIC):
        return None
    _, data, expected = _SEAL.unpack(found)
    if zlib.crc32(footer) != expected:
        raise ValueError("the footer is damaged")
    return int(data)


def check_all(path: str | os.PathLike[str]) -> None:
    """Compare all bytes of a file with its checksums, if it has any.

    Raises
    ------
    LayerError
        If they differ.
    """
    with Path(path).open("rb") as stream:
        try:
            expected = check_footer(stream)
            whole = expected is None or _crc(stream, _footer(stream)[0] - _SEAL.size) == expected
        except ValueError:
            whole = False
    if not whole:
        raise LayerError(f"{path} is corrupted; delete it and rerun")


def _footer(stream: BinaryIO) -> tuple[int, int]:
    """Return where the footer starts, and the size of the file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - _END.size, 0))
    end = stream.read(_END.size)
    if len(end) < _END.size or not end.endswith(MAGIC):
        raise ValueError("the footer is missing")
    start = size - _END.size - _END.unpack(end)[0]
    if start < len(MAGIC):
        raise ValueError("the footer is damaged")
    return start, size


def _crc(stream: BinaryIO, length: int) -> int:
    """Return the CRC-32 of the first bytes of a file."""
    stream.seek(0)
    found = 0
    while length > 0 and (piece := stream.read(min(length, _PIECE))):
        found = zlib.crc32(piece, found)
        length -= len(piece)
    return found
