"""Objects of any bucket that cloud-files knows: ``gs://``, without credentials where the bucket is public."""

from pathlib import Path
from typing import Any

from connectomake.storage.http import version_of
from connectomake.storage.ranges import Fetch
from connectomake.storage.stores import Store


class CloudStore(Store):
    """The objects in a bucket below a prefix.

    Parameters
    ----------
    url
        Such as ``gs://BUCKET/PREFIX``.
    """

    def __init__(self, url: str) -> None:
        from cloudfiles import CloudFiles

        self.url = url
        self._files = CloudFiles(url, progress=False)

    def mtime(self, path: str) -> float | None:
        """Return when an object was written; None if it is not there."""
        head: Any = self._files.head(path)
        return None if head is None else float(head["Last-Modified"].timestamp())

    def size(self, path: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""
        found = self._files.size(path)
        return None if found is None else int(found)

    def version(self, path: str) -> str:
        """Return what the store says of the bytes of today; see `version_of`."""
        return version_of(self._files.head(path) or {})

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of an object."""
        length = self._files.size(path)
        return bytes(self._files[path, max(length - size, 0) : length])

    def fetch(self, path: str) -> Fetch:
        """Return a function that reads a range of bytes of an object."""
        return lambda start, stop: bytes(self._files.get({"path": path, "start": start, "end": stop}, raw=True))

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
