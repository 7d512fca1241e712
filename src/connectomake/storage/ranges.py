"""Files in buckets and on web servers, read piece by piece as if they were local."""

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from connectomake.errors import ConnectomakeError, SourceError
from connectomake.storage.refusals import first_line, of_store

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


def explained(url: str, fetch: Fetch) -> Fetch:
    """Return a function that reads ranges of bytes as another does, whose errors name the object and the way out."""

    def ask(start: int, stop: int) -> bytes:
        try:
            return fetch(start, stop)
        except ConnectomakeError:
            raise
        except Exception as error:
            other = SourceError(f"{url} cannot be read ({first_line(error)}); check that it is still there, then rerun")
            raise of_store(url, error, SourceError) or other from error

    return ask
