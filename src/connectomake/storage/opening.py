"""One file in a bucket or on a web server, opened as if it were local."""

from connectomake.errors import ConnectomakeError, SourceError
from connectomake.keys import key
from connectomake.storage.address import Address
from connectomake.storage.client import s3_client
from connectomake.storage.cloud import CloudStore
from connectomake.storage.http import open_http
from connectomake.storage.ranges import Fetch, RangedFile, explained
from connectomake.storage.refusals import first_line, of_store
from connectomake.storage.s3 import S3Store


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
        other = SourceError(f"{url} cannot be opened ({first_line(error)}); check the name and the credentials")
        raise of_store(url, error, SourceError) or other from error
    return RangedFile(size, explained(url, fetch), version=version)


def _s3(url: str) -> tuple[int, Fetch, str]:
    address = Address.of(url)
    store = S3Store(address.bucket, "", None, s3_client(public=True))
    found = store.ask(address.path)
    return found.size, store.fetch(address.path), found.etag


def _elsewhere(url: str) -> tuple[int, Fetch, str]:
    """Google's buckets, through cloud-files."""
    folder, _, name = url.rpartition("/")
    store = CloudStore(folder)
    size = store.size(name)
    if size is None:
        raise SourceError(f"{url} does not exist; correct {key('path')}")
    return size, store.fetch(name), store.version(name)
