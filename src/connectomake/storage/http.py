"""Files on web servers, in ranges of bytes; whole where the server sends no ranges."""

import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, Any

from connectomake.credentials import revealed
from connectomake.errors import SourceError
from connectomake.keys import key
from connectomake.storage.patience import WEB, WEB_BACKOFF_S

WHOLE = 4 << 30
_PIECE = 1 << 20
_SECONDS = (WEB.connect_s, WEB.read_s)


def open_http(url: str) -> tuple[int, Callable[[int, int], bytes], str]:
    """Return the size of a file on a web server, what reads a range of its bytes, and what the server says of its version.

    A server that sends no ranges sends the whole file, which is kept in a temporary one, if it has at most `WHOLE` bytes.

    Raises
    ------
    SourceError
        If it is not there, may not be read, or is too large to be fetched whole.
    """
    session = _session()
    with session.get(revealed(url), headers={"Range": "bytes=0-0"}, stream=True, timeout=_SECONDS) as answer:
        _check(answer, url)
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status_code == 206 and total:
            return int(total[1]), _ranges(session, url), version_of(answer.headers)
        file, size = _kept(answer, url)
        version = version_of(answer.headers)

    def fetch(start: int, stop: int) -> bytes:
        file.seek(start)
        return file.read(stop - start)

    return size, fetch, version


def version_of(headers: Mapping[str, Any]) -> str:
    """Return what a server says of the bytes of a file: its ETag or checksum, else when they were last written."""
    head = {str(key).lower(): str(value) for key, value in headers.items() if value}
    return next((head[key] for key in ("etag", "content-md5", "last-modified") if key in head), "")


def _session() -> Any:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    retries = Retry(
        total=WEB.retries, backoff_factor=WEB_BACKOFF_S, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    session.headers["Accept-Encoding"] = "identity"
    return session


def _check(answer: Any, url: str) -> None:
    status = answer.status_code
    if status in (404, 410):
        raise SourceError(f"{url} does not exist (HTTP {status}); correct {key('path')}")
    if status in (401, 403):
        raise SourceError(f"{url} may not be read (HTTP {status}); check your credentials, or whether the address has expired")
    if status not in (200, 206):
        raise SourceError(f"{url} cannot be read: the server answers HTTP {status} {answer.reason}; try again, or copy it")


def _ranges(session: Any, url: str) -> Callable[[int, int], bytes]:
    def fetch(start: int, stop: int) -> bytes:
        answer = session.get(revealed(url), headers={"Range": f"bytes={start}-{stop - 1}"}, timeout=_SECONDS)
        _check(answer, url)
        if answer.status_code != 206:
            raise SourceError(f"{url}: the server sent ranges first and then the whole file; try again, or copy it")
        return bytes(answer.content)

    return fetch


def _kept(answer: Any, url: str) -> tuple[IO[bytes], int]:
    """Fetch a whole file into a temporary one that goes when it is closed."""
    way = "copy it to a disk or a bucket"
    said = int(answer.headers.get("Content-Length", 0))
    if said > WHOLE:
        raise SourceError(
            f"{url}: the server does not support range requests, and the file has {said:,} bytes, more than {WHOLE:,}; {way}"
        )
    print(f"{url}: the server does not support range requests, so the whole file is fetched ({said:,} bytes)", file=sys.stderr)  # noqa: T201
    file, size = tempfile.TemporaryFile(), 0  # noqa: SIM115
    for piece in answer.iter_content(_PIECE):
        size += file.write(piece)
        if size > WHOLE:
            raise SourceError(
                f"{url}: the server does not support range requests, and the file has more than {WHOLE:,} bytes; {way}"
            )
    if said and size != said:
        raise SourceError(f"{url}: the connection was interrupted after {size:,} of {said:,} bytes; try again")
    return file, size
