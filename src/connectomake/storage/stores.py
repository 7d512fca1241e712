"""Where a run's files lie, when it is not the worker's own disk: a bucket, or another folder.

Keys are those of Snakemake's default storage: prefix, a slash, the path in the run's folder.
"""

import os
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from connectomake.atomic import atomic_path
from connectomake.errors import StorageError


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its etag, its size in bytes, the second it was last written."""

    etag: str
    size: int
    time: float


class Store(ABC):
    """Files under a prefix. An upload is whole or not there.

    Attributes
    ----------
    url
        The prefix, without a slash at its end.
    """

    url: str

    @abstractmethod
    def mtime(self, path: str) -> float | None:
        """Return when a file was written, in seconds of the epoch; None if it is not there."""

    @abstractmethod
    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of a file, at most so many."""

    @abstractmethod
    def download(self, path: str, place: Path) -> None:
        """Copy a file to a local place."""

    @abstractmethod
    def upload(self, place: Path, path: str) -> None:
        """Copy a local file to the store."""


class FolderStore(Store):
    """A folder, say of a shared disk."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _place(self, path: str) -> Path:
        return Path(self.url.removeprefix("file://"), path)

    def mtime(self, path: str) -> float | None:
        """Return when a file was written; None if it is not there."""
        try:
            return self._place(path).stat().st_mtime
        except FileNotFoundError:
            return None

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of a file."""
        with self._place(path).open("rb") as stream:
            stream.seek(max(stream.seek(0, os.SEEK_END) - size, 0))
            return stream.read()

    def download(self, path: str, place: Path) -> None:
        """Copy a file to a local place."""
        shutil.copyfile(self._place(path), place)

    def upload(self, place: Path, path: str) -> None:
        """Copy a local file to the store."""
        with atomic_path(self._place(path)) as temporary:
            shutil.copyfile(place, temporary)


def open_store(url: str, endpoint: str | None = None) -> Store:
    """Open a store.

    Parameters
    ----------
    url
        ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``file:///FOLDER``.
    endpoint
        Of a server that speaks S3; default Amazon's, or ``AWS_ENDPOINT_URL``.

    Raises
    ------
    StorageError
        If the address is none of these.
    """
    url = url.rstrip("/")
    scheme, _, place = url.partition("://")
    if scheme == "s3" and place:
        from connectomake.storage.s3 import S3Store

        return S3Store.open(url, endpoint)
    if scheme == "gs" and place:
        from connectomake.storage.cloud import CloudStore

        return CloudStore(url)
    if scheme == "file" and place.startswith("/"):
        return FolderStore(url)
    raise StorageError(f"{url!r} is not a storage; use s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER")
