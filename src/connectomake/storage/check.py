"""Whether a bucket lets us list, put, get and delete, and if not, what is missing: one sentence, within a minute."""

import uuid
from collections.abc import Callable
from typing import Any, Protocol

from connectomake.errors import ConfigError, RunError
from connectomake.storage.address import Address, key_below
from connectomake.storage.google import GoogleStore
from connectomake.storage.patience import BRIEF
from connectomake.storage.s3 import S3Store

_PAYLOAD = b"connectomake check"


class Bucket(Protocol):
    """The four things that a run does with a bucket."""

    prefix: str

    def first(self) -> None:
        """List one object below the prefix."""

    def put(self, path: str, data: bytes) -> None:
        """Write an object."""

    def get(self, path: str) -> bytes:
        """Read an object."""

    def delete(self, path: str) -> None:
        """Delete an object."""

    def explain(self, error: Exception, action: str) -> Exception | None:
        """Return our error for one of the store's, None for one that is not the store's."""


def check_bucket(url: str, endpoint: str | None = None) -> str:
    """List, put, get and delete below a URL.

    Parameters
    ----------
    url
        ``s3://bucket/prefix`` or ``gs://bucket/prefix``.
    endpoint
        Address of an S3-compatible store; None: that of ``AWS_ENDPOINT_URL``, or Amazon's.

    Returns
    -------
    str
        What was done, for people.

    Raises
    ------
    ConfigError
        If the URL, the bucket or the endpoint is wrong.
    RunError
        If the store does not let us: no or expired credentials, a missing right.
    """
    address = Address.of(url)
    if address.scheme not in ("s3", "gs", "gcs") or not address.bucket:
        raise ConfigError(f"storage {url!r} names no bucket; write s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    exercise(S3Store.open(url, endpoint, BRIEF) if address.scheme == "s3" else GoogleStore.open(url, BRIEF))
    where = f" at {endpoint}" if endpoint else ""
    return f"{url}{where} can be listed, written, read and deleted from"


def exercise(store: Bucket) -> None:
    """Do all four things once; the object that is written is deleted again."""
    path = f".connectomake-check-{uuid.uuid4().hex}"
    _try(store, "list", store.first)
    _try(store, "put", lambda: store.put(path, _PAYLOAD))
    try:
        if _try(store, "get", lambda: store.get(path)) != _PAYLOAD:
            key = key_below(store.prefix, path)
            raise RunError(f"the object {key} came back changed; check any proxy between here and the store")
    finally:
        _try(store, "delete", lambda: store.delete(path))


def _try(store: Bucket, action: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        explained = store.explain(error, action)
        if explained is None:
            raise
        raise explained from error
