"""The record at the end of a file: which stage made it, with which settings.

Readers of shards, HDF5 and the like follow offsets and never look behind the last one, so a few bytes of JSON at the end
travel with the data through any copy, and can be read without opening the format.

Layout: JSON, then ``<u4`` CRC-32 of it, ``<u4`` length of it, and eight bytes of magic.
"""

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from connectomake.atomic import canonical_json
from connectomake.errors import LayerError

MAGIC = b"cmkRecrd"
PARQUET_KEY = b"connectomake"
PARQUET_CHECKSUMS_KEY = b"connectomake-crc32"
_TAIL = struct.Struct("<II8s")
_GUESS = 4096
_PIECE = 1 << 20


def encode_record(record: dict[str, Any]) -> bytes:
    """Return the bytes to put at the end of a file."""
    text = canonical_json(record).encode()
    return text + _TAIL.pack(zlib.crc32(text), len(text), MAGIC)


def append_record(path: str | os.PathLike[str], record: dict[str, Any], covered: int = 0) -> None:
    """Append a record to a file that is still being made.

    Parameters
    ----------
    path
        The file.
    record
        What to note.
    covered
        So many bytes at the start have no checksum of their own: theirs is noted as ``content``; see `check_content`.
    """
    with Path(path).open("rb+") as stream:
        noted = {"content": [covered, _crc(stream, covered)]} if covered else {}
        stream.seek(0, os.SEEK_END)
        stream.write(encode_record(record | noted))


def check_content(path: str | os.PathLike[str]) -> None:
    """Read the bytes of a file whose checksum is in its record, if any, and compare.

    Raises
    ------
    LayerError
        If they differ.
    """
    covered, expected = read_record(path).get("content", (0, 0))
    with Path(path).open("rb") as stream:
        if _crc(stream, covered) != expected:
            raise LayerError(f"{path} is corrupted; delete it and rerun")


def _crc(stream: BinaryIO, length: int) -> int:
    """Return the CRC-32 of the first bytes of a file."""
    found = 0
    while length > 0 and (piece := stream.read(min(length, _PIECE))):
        found = zlib.crc32(piece, found)
        length -= len(piece)
    return found


def checksum_of(name: str, array: np.ndarray) -> int:
    """Return the CRC-32 of an array with its name, dtype and shape."""
    head = f"{name}\0{array.dtype.str}\0{array.shape}".encode()
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8), zlib.crc32(head))


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the record at the end of a file.

    Raises
    ------
    LayerError
        If the file is missing or does not end in a whole record.
    """
    try:
        with Path(path).open("rb") as stream:
            return read_record_of(stream, path)
    except FileNotFoundError as error:
        raise LayerError(f"{path} is missing; run snakemake to make it") from error


def read_record_of(stream: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the record at the end of an open file, local or remote; `path` is named in errors and tells its kind.

    Raises
    ------
    LayerError
        If it does not end in a whole record.
    """
    if Path(path).suffix == ".parquet":
        return _read_parquet_record(stream, path)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - _GUESS, 0))
    tail = stream.read()
    if len(tail) >= _TAIL.size:
        length = _TAIL.unpack(tail[-_TAIL.size :])[1]
        if length + _TAIL.size > len(tail):
            stream.seek(max(size - length - _TAIL.size, 0))
            tail = stream.read()
    return decode_record(tail, path)


def _read_parquet_record(stream: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Parquet has its own place for such notes, and must end in its footer."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(stream).metadata or {}
        record: dict[str, Any] = json.loads(metadata[PARQUET_KEY])
    except (OSError, ValueError, KeyError) as error:
        raise LayerError(f"{path} is missing, damaged or not made by connectomake; delete it and rerun") from error
    return record


def decode_record(tail: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Decode the record from the last bytes of a file; `path` is named in errors."""
    if len(tail) < _TAIL.size or tail[-8:] != MAGIC:
        raise LayerError(f"{path} is truncated or was not made by connectomake (no record at its end); delete it and rerun")
    checksum, length, _ = _TAIL.unpack(tail[-_TAIL.size :])
    text = tail[-_TAIL.size - length : -_TAIL.size]
    if len(text) != length or zlib.crc32(text) != checksum:
        raise LayerError(f"the record at the end of {path} is corrupted; delete the file and rerun")
    record: dict[str, Any] = json.loads(text)
    return record
