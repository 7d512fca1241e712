"""The record at the end of a file: which stage made it, with which settings.

Readers of shards, HDF5 and the like follow offsets and never look behind the last one, so a few bytes of JSON at the end
travel with the data through any copy, and can be read without opening the format.

A record also says which file of its run it stands in, so that a sibling under another name is found out.

Layout: JSON, then ``<u4`` CRC-32 of it, ``<u4`` length of it, and eight bytes of magic.
"""

import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from connectomake.atomic import canonical_json, final_path
from connectomake.bounded_text import read_json
from connectomake.errors import LayerError
from connectomake.layers.parquet_seal import check_all, check_footer
from connectomake.os_errors import storage_error

MAGIC = b"cmkRecrd"
PARQUET_KEY = b"connectomake"
PARQUET_CHECKSUMS_KEY = b"connectomake-crc32"
WITHIN, FILE = "within", "file"
"""In a record to be written: the run's folder. In a written one: the file's path below that folder."""
_SIBLING = "{} is a copy of {} under another name; delete it and rerun"
_TAIL = struct.Struct("<II8s")
_GUESS = 4096
_ELSEWHERE = (".parquet", ".html")
_COMMENT, _END_OF_COMMENT = b"<!--cmkRecrd ", b"-->\n"
_PIECE = 1 << 20


def place_in(outdir: str, path: str | os.PathLike[str]) -> str | None:
    """Return the path of a file below the run's folder, wherever that was copied to; None if it is not below it.

    Examples
    --------
    >>> place_in("results/demo", "/scratch/results/demo/merge/1/0.up.h5")
    'merge/1/0.up.h5'
    """
    return f"/{Path(path).as_posix()}".rpartition(f"/{outdir}/")[2] if f"/{outdir}/" in f"/{Path(path).as_posix()}" else None


def named(record: Mapping[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a record that says which file of its run it stands in, if it knows the run's folder.

    Parameters
    ----------
    record
        What to note; the run's folder under `WITHIN`.
    path
        The file, by its final name.
    """
    noted = {key: value for key, value in record.items() if key != WITHIN}
    place = place_in(record[WITHIN], path) if WITHIN in record else None
    return noted if place is None else noted | {FILE: place}


def check_place(record: Mapping[str, Any], path: str | os.PathLike[str], outdir: str | None = None) -> None:
    """Check that a file is the one that its name says, and not a sibling; records of old files do not tell.

    Parameters
    ----------
    record
        Of the file.
    path
        Where it lies.
    outdir
        The run's folder. By default layers may have been renamed: only the file's own folder and name are compared, of files
        that have siblings.

    Raises
    ------
    LayerError
        If it is another file.
    """
    noted = record.get(FILE)
    if not isinstance(noted, str):
        return
    if outdir is None:
        below = noted.split("/")[1:]
        other = len(below) > 1 and list(Path(path).absolute().parts[-len(below) :]) != below
    else:
        other = place_in(outdir, path) not in (noted, None)
    if other:
        raise LayerError(_SIBLING.format(path, noted))


def check_shard(record: Mapping[str, Any], path: str | os.PathLike[str], wanted: str) -> None:
    """Check that a shard is that of the block for which it is read, whatever it is called: ``SCALE/ID.shard``.

    Raises
    ------
    LayerError
        If it is that of another block.
    """
    noted = record.get(FILE, "")
    if noted.count("/") == 2 and noted.partition("/")[2] != wanted:
        raise LayerError(_SIBLING.format(path, noted))


def encode_record(record: dict[str, Any]) -> bytes:
    """Return the bytes to put at the end of a file."""
    text = canonical_json(record).encode()
    return text + _TAIL.pack(zlib.crc32(text), len(text), MAGIC)


def append_record(path: str | os.PathLike[str], record: dict[str, Any], covered: int = 0) -> None:
    """Append a record to a file that is still being made.

    Parameters
    ----------
    path
        The file, by its temporary name or its own.
    record
        What to note; see `named`.
    covered
        So many bytes at the start have no checksum of their own: theirs is noted as ``content``; see `check_content`.
    """
    with Path(path).open("rb+") as stream:
        noted = {"content": [covered, _crc(stream, covered)]} if covered else {}
        stream.seek(0, os.SEEK_END)
        stream.write(encode_record(named(record, final_path(path)) | noted))


def check_content(path: str | os.PathLike[str]) -> None:
    """Read the bytes of a file whose checksum is in its record, if any, and compare.

    Raises
    ------
    LayerError
        If they differ.
    """
    if Path(path).suffix == ".parquet":
        check_all(path)
        return
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
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8), checksum_head(name, array.dtype, array.shape))


def checksum_head(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Return the CRC-32 that the one of an array starts from: that of its name, dtype and shape."""
    return zlib.crc32(f"{name}\0{dtype.str}\0{shape}".encode())


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the record at the end of a file.

    Raises
    ------
    LayerError
        If the file is missing or does not end in a whole record.
    """
    try:
        if os.fspath(path).endswith(_ELSEWHERE):
            with Path(path).open("rb") as stream:
                return read_record_of(stream, path)
        return decode_record(_read_end(path), path)
    except FileNotFoundError as error:
        raise LayerError(f"{path} is missing; run snakemake to make it") from error


def _read_end(path: str | os.PathLike[str]) -> bytes:
    """Return the end of a file with the whole record, in four calls of the system: the head reads that of every file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _GUESS, max(size - _GUESS, 0))
        length = _TAIL.unpack(tail[-_TAIL.size :])[1] + _TAIL.size if len(tail) >= _TAIL.size else 0
        return tail if length <= len(tail) else os.pread(descriptor, length, max(size - length, 0))
    finally:
        os.close(descriptor)


def read_record_of(stream: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the record at the end of an open file, local or remote; `path` is named in errors and tells its kind.

    Raises
    ------
    LayerError
        If it does not end in a whole record.
    """
    suffix = Path(path).suffix
    if suffix == ".parquet":
        return _read_parquet_record(stream, path)
    if suffix == ".html":
        return _read_comment(stream, path)
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
        check_footer(stream)
        stream.seek(0)
        metadata = pq.read_metadata(stream).metadata or {}
        return _as_record(metadata[PARQUET_KEY])
    except Exception as error:  # a damaged footer makes Arrow raise whatever it trips over
        text = f"{path} is missing, damaged or not made by connectomake; delete it and rerun"
        raise storage_error(path, error) or LayerError(text) from error


def _read_comment(stream: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Pages of HTML end in a comment."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - _GUESS, 0))
    _, found, text = stream.read().rpartition(_COMMENT)
    try:
        checksum, _, record = text.removesuffix(_END_OF_COMMENT).partition(b" ")
        if not found or not text.endswith(_END_OF_COMMENT) or int(checksum) != zlib.crc32(record):
            raise ValueError
        return _as_record(record)
    except ValueError as error:
        raise LayerError(f"{path} is truncated or was not made by connectomake (no record at its end); rerun") from error


def comment_of(record: dict[str, Any]) -> str:
    """Return a record as the comment to put at the end of a page of HTML, which must be ASCII."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("--", r"-\u002d")
    return f"{_COMMENT.decode()}{zlib.crc32(text.encode())} {text}{_END_OF_COMMENT.decode()}"


def _as_record(text: bytes) -> dict[str, Any]:
    record = read_json(text)
    if not isinstance(record, dict):
        raise ValueError("a record is a JSON object")  # noqa: TRY004  (of bytes that are read)
    return record


def decode_record(tail: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Decode the record from the last bytes of a file; `path` is named in errors."""
    if len(tail) < _TAIL.size or tail[-8:] != MAGIC:
        raise LayerError(f"{path} is truncated or was not made by connectomake (no record at its end); delete it and rerun")
    checksum, length, _ = _TAIL.unpack(tail[-_TAIL.size :])
    text = tail[-_TAIL.size - length : -_TAIL.size]
    if len(text) != length or zlib.crc32(text) != checksum:
        raise LayerError(f"the record at the end of {path} is corrupted; delete the file and rerun")
    try:
        return _as_record(text)
    except ValueError as error:
        raise LayerError(f"the record at the end of {path} is corrupted; delete the file and rerun") from error
