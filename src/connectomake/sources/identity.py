"""Cheap fingerprints of content: sizes, names and sampled pieces of what is stored; never paths or times.

A copy has the same fingerprint; an image that was compressed anew may have another, since its bytes are others.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from connectomake.atomic import canonical_json
from connectomake.errors import SourceError
from connectomake.remote import RangedFile

_PIECES = 32
_PIECE = 1 << 15
_LISTED = 20_000
_SAMPLED = 16


def of_file(path: Path | RangedFile, *extra: object) -> str:
    """Fingerprint of a file, local or remote: its size, 32 pieces of 32 KiB spread evenly over it, and `extra`."""
    digest = _start(extra)
    if isinstance(path, RangedFile):
        _add_stream(digest, path)
    else:
        _add_file(digest, path)
    return digest.hexdigest()


def of_files(paths: Iterable[Path], *extra: object) -> str:
    """Fingerprint of a stack: names and sizes of all files, pieces of 16 of them."""
    files = list(paths)
    digest = _start(extra)
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
    for path in _spread(files):
        _add_file(digest, path)
    return digest.hexdigest()


def of_metadata(metadata: object, *extra: object) -> str:
    """Fingerprint of remote data: its metadata."""
    return _start((metadata, *extra)).hexdigest()


def of_folder(folder: Path, metadata: object, *extra: object) -> str:
    """Fingerprint of a local container: metadata, names and sizes of the first 20,000 files, pieces of 16."""
    files = list(_walk(folder))
    digest = _start((metadata, *extra))
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
    for path in _spread(files):
        _add_file(digest, path)
    return digest.hexdigest()


def _start(values: Iterable[object]) -> "hashlib._Hash":
    return hashlib.sha256(canonical_json(list(values)).encode())


def _spread(files: list[Path]) -> list[Path]:
    count = min(_SAMPLED, len(files))
    return [files[i * (len(files) - 1) // max(count - 1, 1)] for i in range(count)]


def _add_file(digest: "hashlib._Hash", path: Path) -> None:
    try:
        with path.open("rb") as stream:
            _add_stream(digest, stream)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); copy it again or permit reading") from error


def _add_stream(digest: "hashlib._Hash", stream: BinaryIO | RangedFile) -> None:
    size = stream.seek(0, os.SEEK_END)
    digest.update(f"{size}\0".encode())
    last = max(size - _PIECE, 0)
    for offset in sorted({i * last // (_PIECES - 1) for i in range(_PIECES)}):
        stream.seek(offset)
        digest.update(stream.read(_PIECE) or b"")


def _walk(folder: Path) -> Iterator[Path]:
    count = 0
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if count == _LISTED:
                return
            count += 1
            yield Path(root) / name
