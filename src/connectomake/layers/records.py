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
from typing import Any

from connectomake.atomic import canonical_json
from connectomake.errors import LayerError

MAGIC = b"cmkRecrd"
PARQUET_KEY = b"connectomake"
_TAIL = struct.Struct("<II8s")
_GUESS = 4096


def encode_record(record: dict[str, Any]) -> bytes:
    """Return the bytes to put at the end of a file."""
    text = canonical_json(record).encode()
    return text + _TAIL.pack(zlib.crc32(text), len(text), MAGIC)


def append_record(path: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Append a record to a file that is still being made."""
    with Path(path).open("ab") as stream:
        stream.write(encode_record(record))


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the record at the end of a file.

    Raises
    ------
    LayerError
        If the file is missing or does not end in a whole record.
    """
    if Path(path).suffix == ".parquet":
        return _read_parquet_record(path)
    try:
        with Path(path).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - _GUESS, 0))
            tail = stream.read()
            if len(tail) >= _TAIL.size:
                length = _TAIL.unpack(tail[-_TAIL.size :])[1]
                if length + _TAIL.size > len(tail):
                    stream.seek(max(size - length - _TAIL.size, 0))
                    tail = stream.read()
    except FileNotFoundError as error:
        raise LayerError(f"{path} is missing; run snakemake to make it") from error
    return decode_record(tail, path)


def _read_parquet_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Parquet has its own place for such notes, and must end in its footer."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
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
