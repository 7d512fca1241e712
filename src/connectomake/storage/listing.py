"""All objects of a run, listed once, through the client that Snakemake's plugin has made."""

from collections.abc import Callable
from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.storage.google import GoogleStore
from connectomake.storage.ranges import Fetch, explained
from connectomake.storage.refusals import of_store
from connectomake.storage.s3 import S3Store
from connectomake.storage.stores import Stored

Listed = tuple[dict[str, Stored], Callable[[str], Fetch]]
_REFUSED = {"ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredTokenException"}


def list_s3(client: Any, url: str, outdir: str) -> Listed:
    """List what lies under ``url/outdir``: one request per 1,000 objects.

    Returns
    -------
    objects
        By path from `url` on, which begins with `outdir`.
    fetch
        Returns a function that reads ranges of bytes of such a path.

    Raises
    ------
    ConfigError
        If there is no such bucket.
    SourceError
        If it cannot be listed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    store = S3Store.of(client, url)
    try:
        objects = store.list(outdir)
    except ClientError as error:
        raise _refusal(error, store.bucket) from error
    except BotoCoreError as error:
        other = SourceError(f"the bucket {store.bucket!r} cannot be reached ({error}); check endpoint and credentials")
        raise of_store(f"s3://{store.bucket}", error) or other from error
    return objects, lambda path: explained(f"{url}/{path}", store.fetch(path))


def _refusal(error: Any, bucket: str) -> ConfigError | SourceError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in ("NoSuchBucket", "404"):
        return _no_bucket(bucket)
    if code in _REFUSED:
        return SourceError(f"the credentials for bucket {bucket!r} are refused ({code}: {message}); renew them")
    return SourceError(f"the bucket {bucket!r} cannot be listed ({code}: {message}); permit s3:ListBucket")


def _no_bucket(bucket: str) -> ConfigError:
    return ConfigError(f"there is no bucket {bucket!r}; make it, or correct default-storage-prefix in the profile")


def list_gs(client: Any, url: str, outdir: str) -> Listed:
    """List a bucket of Google's as `list_s3` does one of S3."""
    store = GoogleStore.of(client, url)
    try:
        objects = store.list(outdir)
    except Exception as error:
        if getattr(error, "code", None) == 404:
            raise _no_bucket(store.bucket) from error
        other = SourceError(f"the bucket {store.bucket!r} cannot be listed ({error}); check its name and the credentials")
        raise of_store(f"gs://{store.bucket}", error) or other from error
    return objects, lambda path: explained(f"{url}/{path}", store.fetch(path))


LISTERS: dict[str, Callable[[Any, str, str], Listed]] = {"s3": list_s3, "gcs": list_gs}
"""By the name of Snakemake's plugin."""
STORES: dict[str, Callable[[Any, str], S3Store | GoogleStore]] = {"s3": S3Store.of, "gcs": GoogleStore.of}
"""The same: the store at a URL."""
