"""Files in buckets and on web servers, read piece by piece as if they were local."""

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from connectomake.errors import ConnectomakeError, SourceError
from connectomake.remote_http import open_http, version_of
from connectomake.trouble import of_store

PAGE = 1 << 18
PAGES = 128

Fetch = Callable[[int, int], bytes]


class RangedFile(io.RawIOBase):
    """A file of which any range of bytes can be fetched: readable, seekable, the last pages kept.

    Parameters
    ----------
    size
        Bytes.
    fetch
        Returns the bytes from start to stop, stop excluded.
    page
        Fetched at once, bytes; neighbouring pages that are missing come in one request.
    version
        What the server calls the bytes of today, such as an ETag; "" if it does not say.
    """

    def __init__(self, size: int, fetch: Fetch, page: int = PAGE, version: str = ""):
        super().__init__()
        self.version = version
        self._size, self._fetch, self._page = size, fetch, page
        self._position = 0
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as `io.IOBase.seek` does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the position on; return how many bytes were there."""
        view = memoryview(buffer).cast("B")
        data = self._range(self._position, min(self._position + len(view), self._size))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def fetch(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, past what is kept: other threads may read meanwhile."""
        return self._fetch(start, stop)

    def _range(self, start: int, stop: int) -> bytes:
        if start >= stop:
            return b""
        first, last = start // self._page, (stop - 1) // self._page
        if last - first >= PAGES // 2:
            return self._whole(start, stop)
        self._load(first, last)
        data = b"".join(self._pages[index] for index in range(first, last + 1))
        while len(self._pages) > PAGES:
            self._pages.popitem(last=False)
        return data[start - first * self._page : stop - first * self._page]

    def _whole(self, start: int, stop: int) -> bytes:
        """Fetch bytes, all of them."""
        data = self._fetch(start, stop)
        if len(data) != stop - start:
            raise OSError(f"{stop - start} bytes were asked for, {len(data)} came")
        return data

    def _load(self, first: int, last: int) -> None:
        """Fetch the missing pages from `first` to `last`, in one request."""
        for index in range(first, last + 1):
            if index in self._pages:
                self._pages.move_to_end(index)
        missing = [index for index in range(first, last + 1) if index not in self._pages]
        if not missing:
            return
        start, stop = missing[0] * self._page, min((missing[-1] + 1) * self._page, self._size)
        data = self._whole(start, stop)
        for index in range(missing[0], missing[-1] + 1):
            offset = (index - missing[0]) * self._page
            self._pages[index] = data[offset : offset + self._page]
            self._pages.move_to_end(index)


def open_url(url: str) -> RangedFile:
    """Open a file at ``s3://``, ``gs://``, ``http://`` or ``https://``.

    For s3, ``AWS_ENDPOINT_URL`` and the usual credentials of AWS count; with none at all the request is anonymous.

    Raises
    ------
    SourceError
        If it is not there or cannot be reached.
    """
    try:
        opener = _s3 if url.startswith("s3://") else open_http if url.startswith("http") else _elsewhere
        size, fetch, version = opener(url)
    except ConnectomakeError:
        raise
    except Exception as error:
        other = SourceError(f"{url} cannot be opened ({_first_line(error)}); check the name and the credentials")
        raise of_store(url, error, SourceError) or other from error
    return RangedFile(size, explained(url, fetch), version=version)


def explained(url: str, fetch: Fetch) -> Fetch:
    """Return a function that reads ranges of bytes as another does, whose errors name the object and the way out."""

    def ask(start: int, stop: int) -> bytes:
        try:
            return fetch(start, stop)
        except ConnectomakeError:
            raise
        except Exception as error:
            other = SourceError(f"{url} cannot be read ({_first_line(error)}); check that it is still there, then rerun")
            raise of_store(url, error, SourceError) or other from error

    return ask


def s3_client() -> Any:
    """Return a client of S3 by AWS' usual settings, anonymous where there are no credentials."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    signature = None if session.get_credentials() else UNSIGNED
    config = Config(
        signature_version=signature,
        connect_timeout=10,
        read_timeout=60,
        retries={"max_attempts": 6, "mode": "standard"},
        response_checksum_validation="when_required",
        request_checksum_calculation="when_required",
    )
    return session.client("s3", config=config, region_name=session.region_name or "us-east-1")


def _s3(url: str) -> tuple[int, Fetch, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    client = s3_client()
    head = client.head_object(Bucket=bucket, Key=key)
    return int(head["ContentLength"]), s3_fetch(client, bucket, key), str(head.get("ETag", ""))


def s3_fetch(client: Any, bucket: str, key: str) -> Fetch:
    """Return a function that reads a range of bytes of an object; an answer that breaks off is asked for again."""
    from botocore.exceptions import HTTPClientError, ResponseStreamingError

    def fetch(start: int, stop: int) -> bytes:
        for left in (2, 1, 0):
            try:
                answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
                return bytes(answer["Body"].read())
            except (HTTPClientError, ResponseStreamingError):
                if not left:
                    raise
        raise AssertionError  # not reached

    return fetch


def _elsewhere(url: str) -> tuple[int, Fetch, str]:
    """Google's buckets, through cloud-files."""
    from cloudfiles import CloudFiles

    folder, _, name = url.rpartition("/")
    files = CloudFiles(folder, progress=False)
    size = files.size(name)
    if size is None:
        raise SourceError(f"{url} does not exist; correct source.path")

    def fetch(start: int, stop: int) -> bytes:
        return bytes(files.get({"path": name, "start": start, "end": stop}, raw=True))

    return int(size), fetch, version_of(files.head(name) or {})


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:300] or type(error).__name__
