"""Where a run's files lie, when it is not the worker's own disk: a bucket, or another folder.

Keys are those of Snakemake's default storage: prefix, a slash, the path in the run's folder.
"""

import contextlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectomake.atomic import atomic_path
from connectomake.errors import StorageError


class Store(ABC):
    """Files under a prefix. An upload is whole or not there.

    Parameters
    ----------
    url
        The prefix, without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        self.url = url

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


class S3Store(Store):
    """A bucket of Amazon S3 or of a server that speaks S3."""

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        import boto3
        from botocore.config import Config

        super().__init__(url)
        self._bucket, _, self._prefix = url.removeprefix("s3://").partition("/")
        # Checksums in trailers are an Amazon extra that other servers store as data.
        config = Config(
            request_checksum_calculation="when_required", response_checksum_validation="when_required",
            retries={"max_attempts": 8, "mode": "standard"},
        )  # fmt: skip
        region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"
        self._client = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def mtime(self, path: str) -> float | None:
        """Return when an object was written; None if it is not there."""
        try:
            return float(self._client.head_object(Bucket=self._bucket, Key=self._key(path))["LastModified"].timestamp())
        except self._client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of an object."""
        found = self._client.get_object(Bucket=self._bucket, Key=self._key(path), Range=f"bytes=-{size}")
        return bytes(found["Body"].read())

    def download(self, path: str, place: Path) -> None:
        """Copy an object to a local place."""
        self._client.download_file(self._bucket, self._key(path), str(place))

    def upload(self, place: Path, path: str) -> None:
        """Copy a local file to the bucket."""
        self._client.upload_file(str(place), self._bucket, self._key(path))


class CloudStore(Store):
    """Any other bucket that cloud-files knows: ``gs://``."""

    def __init__(self, url: str) -> None:
        from cloudfiles import CloudFiles

        super().__init__(url)
        self._files = CloudFiles(url, progress=False)

    def mtime(self, path: str) -> float | None:
        """Return when an object was written; None if it is not there."""
        head: Any = self._files.head(path)
        return None if head is None else float(head["Last-Modified"].timestamp())

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of an object."""
        length = self._files.size(path)
        return bytes(self._files[path, max(length - size, 0) : length])

    def download(self, path: str, place: Path) -> None:
        """Copy an object to a local place."""
        data = self._files.get(path, raw=True)
        if data is None:
            raise FileNotFoundError(2, "No such file or directory", f"{self.url}/{path}")
        place.write_bytes(data)

    def upload(self, place: Path, path: str) -> None:
        """Copy a local file to the bucket."""
        with place.open("rb") as stream:
            self._files.put(path, stream, raw=True)


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
    scheme, _, place = url.rstrip("/").partition("://")
    if scheme == "s3" and place:
        return S3Store(url.rstrip("/"), endpoint)
    if scheme == "gs" and place:
        return CloudStore(url.rstrip("/"))
    if scheme == "file" and place.startswith("/"):
        return FolderStore(url.rstrip("/"))
    raise StorageError(f"{url!r} is no storage; take s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER")


@contextlib.contextmanager
def explained(store: Store) -> Iterator[None]:
    """Turn what a store's libraries raise into a StorageError."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        name = error.filename or store.url
        raise StorageError(f"{name}: {error.strerror or error}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("boto", "s3transfer", "google", "cloudfiles", "tenacity")):
            raise
        raise StorageError(f"the storage {store.url} cannot be used: {' '.join(str(error).split())}") from error
