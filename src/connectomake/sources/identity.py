"""Cheap fingerprints of content: sizes, names and sampled pieces of what is stored; never paths or times.

A copy has the same fingerprint; an image that was compressed anew may have another, since its bytes are others. An edit in
place may leave it as it is: that is what the files named beside it are for, see `connectomake.planning.ledger`.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connectomake.atomic import canonical_json
from connectomake.errors import SourceError
from connectomake.sources.urls import split_archive
from connectomake.storage.ranges import RangedFile

_PIECES = 32
_PIECE = 1 << 15
_LISTED = 20_000
_SAMPLED = 16


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a source's content.

    Parameters
    ----------
    name
        Relative to the source, so that a copy elsewhere has the same names; "" where the source is one file.
    place
        Where it is read.
    mark
        What moves when its content is written: size, mtime and ctime in nanoseconds and inode of a local file; size and etag of
        a remote object.
    """

    name: str
    place: Path | RangedFile
    mark: tuple[int | str, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.mark[0])


class Identity(str):
    """A cheap fingerprint, which is its text, and the files whose content it stands for.

    Parameters
    ----------
    text
        The fingerprint.
    items
        The files.
    unseen
        What is not among them, for people: "" if the items are all there is.
    folder
        Of which the items are the first files, if there are more.
    """

    __slots__ = ("folder", "items", "unseen")
    items: tuple[Item, ...]
    unseen: str
    folder: Path | None

    def __new__(cls, text: str, items: Iterable[Item] = (), unseen: str = "", folder: Path | None = None) -> "Identity":
        """Make a text that knows its files."""
        found = super().__new__(cls, text)
        found.items, found.unseen, found.folder = tuple(items), unseen, folder
        return found

    def rest(self) -> Iterator[Item]:
        """Yield the files that are not among the items."""
        if self.folder is not None:
            for path in itertools.islice(walk(self.folder), len(self.items), None):
                yield item_of(path, path.relative_to(self.folder).as_posix())

    def with_files(self, paths: Iterable[Path]) -> "Identity":
        """Return the same fingerprint with further files, such as those that an HDF5 file refers to."""
        more = [item_of(path, f"+{i} {path.name}") for i, path in enumerate(paths)]
        return Identity(str(self), (*self.items, *more), self.unseen, self.folder)


def as_identity(text: str) -> Identity:
    """Return a fingerprint with its files, none if they are not known."""
    return text if isinstance(text, Identity) else Identity(text)


def item_of(path: Path, name: str = "") -> Item:
    """Return a local file as an item.

    Raises
    ------
    SourceError
        If it is not there.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be accessed ({error.strerror}); copy it again or permit reading") from error
    return Item(name, path, mark_of(found))


def mark_of(found: os.stat_result) -> tuple[int, ...]:
    """Return what moves when a local file is written; ctime does even where a program sets size and time back."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def of_file(path: Path | RangedFile, *extra: object) -> Identity:
    """Fingerprint of a file, local or remote: its size, 32 pieces of 32 KiB spread evenly over it, and `extra`."""
    digest = _start(extra)
    if isinstance(path, RangedFile):
        _add_stream(digest, path)
        unseen = "" if path.version else "its server names no version (ETag) of it"
        return Identity(digest.hexdigest(), [Item("", path, (path.seek(0, os.SEEK_END), path.version))], unseen)
    _add_file(digest, path)
    return Identity(digest.hexdigest(), [item_of(path)])


def of_files(paths: Iterable[Path], *extra: object) -> Identity:
    """Fingerprint of a stack: names and sizes of all files, pieces of 16 of them."""
    return _of_items([item_of(path, path.name) for path in paths], extra)


def of_metadata(metadata: object, *extra: object) -> Identity:
    """Fingerprint of remote data: its metadata."""
    return Identity(_start((metadata, *extra)).hexdigest(), unseen="only its metadata is compared, not its voxels")


def of_folder(folder: Path, metadata: object, *extra: object) -> Identity:
    """Fingerprint of a local container: metadata, names and sizes of the first 20,000 files, pieces of 16; or of a zip file."""
    if archive := split_archive(str(folder)):
        return of_file(Path(archive[0]), archive[1], metadata, *extra)
    files = list(itertools.islice(walk(folder), _LISTED + 1))
    items = [item_of(path, path.relative_to(folder).as_posix()) for path in files[:_LISTED]]
    if len(files) <= _LISTED:
        return _of_items(items, (metadata, *extra))
    return _of_items(items, (metadata, *extra), f"only the first {_LISTED:,} of its files are looked at", folder)


def _of_items(items: list[Item], extra: Iterable[object], unseen: str = "", folder: Path | None = None) -> Identity:
    digest = _start(extra)
    for item in items:
        digest.update(f"{item.name}\0{item.size}\0".encode())
    for item in _spread(items):
        _add_file(digest, Path(str(item.place)))
    return Identity(digest.hexdigest(), items, unseen, folder)


def _start(values: Iterable[object]) -> "hashlib._Hash":
    return hashlib.sha256(canonical_json(list(values)).encode())


def _spread(items: list[Item]) -> list[Item]:
    count = min(_SAMPLED, len(items))
    return [items[i * (len(items) - 1) // max(count - 1, 1)] for i in range(count)]


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


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, always in the same order."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield Path(root) / name
