"""Whether a bucket lets us list, put, get and delete, and if not, what is missing: one sentence, within a minute."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlparse

from connectomake.errors import ConfigError, RunError

CONNECT_SECONDS = 5
READ_SECONDS = 10
_PAYLOAD = b"connectomake check"
_UNKNOWN_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "UnrecognizedClientException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}
_RIGHTS = {"list": "s3:ListBucket", "put": "s3:PutObject", "get": "s3:GetObject", "delete": "s3:DeleteObject"}


class Store(Protocol):
    """The four things that a run does with a bucket."""

    def list(self) -> None:
        """List one object below the prefix."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""

    def get(self, key: str) -> bytes:
        """Read an object."""

    def delete(self, key: str) -> None:
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
    parts = urlparse(url)
    if parts.scheme not in _STORES or not parts.netloc:
        raise ConfigError(f"storage {url!r} names no bucket; write s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    store = _STORES[parts.scheme](parts.netloc, parts.path.strip("/"), endpoint)
    exercise(store, parts.path.strip("/"))
    where = f" at {endpoint}" if endpoint else ""
    return f"{url}{where} can be listed, written, read and deleted from"


def exercise(store: Store, prefix: str) -> None:
    """Do all four things once; the object that is written is deleted again."""
    key = "/".join(filter(None, (prefix, f".connectomake-check-{uuid.uuid4().hex}")))
    _try(store, "list", store.list)
    _try(store, "put", lambda: store.put(key, _PAYLOAD))
    try:
        if _try(store, "get", lambda: store.get(key)) != _PAYLOAD:
            raise RunError(f"the object {key} came back changed; look at what stands between here and the store")
    finally:
        _try(store, "delete", lambda: store.delete(key))


def _try(store: Store, action: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        explained = store.explain(error, action)
        if explained is None:
            raise
        raise explained from error


@dataclass(frozen=True, slots=True)
class S3Store:
    """S3 or what is compatible with it."""

    bucket: str
    prefix: str
    endpoint: str | None
    client: Any

    @classmethod
    def open(cls, bucket: str, prefix: str, endpoint: str | None) -> "S3Store":
        """Make a client that gives up soon."""
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 2})
        with _explained_values(endpoint):
            client = boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)
        return cls(bucket, prefix, endpoint or client.meta.endpoint_url, client)

    def list(self) -> None:
        """List one object below the prefix."""
        self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """Read an object."""
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def explain(self, error: Exception, action: str) -> Exception | None:
        """Return our error for one of boto's, None for one that is not boto's."""
        from botocore import exceptions as boto

        if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
            return RunError("there are no credentials for S3; export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if isinstance(error, boto.ParamValidationError):
            return ConfigError(f"{self.bucket!r} is no name of a bucket; correct default-storage-prefix in the profile")
        if isinstance(error, boto.ClientError):
            return self._explain_answer(error.response.get("Error", {}), action)
        if isinstance(error, boto.BotoCoreError):
            return ConfigError(
                f"no S3 server answers at {self.endpoint} ({type(error).__name__}); "
                "correct AWS_ENDPOINT_URL or --endpoint, and see whether the network lets you through"
            )
        return None

    def _explain_answer(self, answer: dict[str, Any], action: str) -> Exception:
        code, message = str(answer.get("Code", "")), str(answer.get("Message", "")).strip(". ")
        if code in {"NoSuchBucket", "404"}:
            return ConfigError(f"there is no bucket {self.bucket!r} at {self.endpoint}; make it, or correct the name")
        if code in _UNKNOWN_KEY:
            return RunError(
                f"{self.endpoint} does not accept the credentials ({code}); export the right AWS_ACCESS_KEY_ID and secret"
            )
        if code in _EXPIRED:
            return RunError(f"the credentials for {self.bucket!r} have expired ({code}); get new ones and start again")
        if code in _OTHER_REGION:
            return ConfigError(f"the bucket {self.bucket!r} lies in another region ({message}); export AWS_DEFAULT_REGION")
        if code in {"AccessDenied", "403", "Forbidden"}:
            return RunError(f"{action} is denied in s3://{self.bucket}/{self.prefix}; the credentials need {_RIGHTS[action]}")
        return RunError(f"{action} in s3://{self.bucket}/{self.prefix} failed ({code}: {message}); ask who runs the store")


@contextmanager
def _explained_values(endpoint: str | None) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"the endpoint {endpoint!r} is no address ({error}); write http://HOST:PORT") from error


@dataclass(frozen=True, slots=True)
class GoogleStore:
    """Google Cloud Storage."""

    bucket: str
    prefix: str
    client: Any

    @classmethod
    def open(cls, bucket: str, prefix: str, _endpoint: str | None) -> "GoogleStore":
        """Make a client by Google's usual settings."""
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import storage

        try:
            return cls(bucket, prefix, storage.Client())
        except (GoogleAuthError, OSError) as error:
            raise RunError("there are no credentials for Google; run gcloud auth application-default login") from error

    def list(self) -> None:
        """List one object below the prefix."""
        next(
            iter(self.client.list_blobs(self.bucket, prefix=self.prefix, max_results=1, timeout=READ_SECONDS, retry=None)), None
        )

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._blob(key).upload_from_string(data, timeout=READ_SECONDS, retry=None)

    def get(self, key: str) -> bytes:
        """Read an object."""
        return bytes(self._blob(key).download_as_bytes(timeout=READ_SECONDS, retry=None))

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._blob(key).delete(timeout=READ_SECONDS, retry=None)

    def _blob(self, key: str) -> Any:
        return self.client.bucket(self.bucket).blob(key)

    def explain(self, error: Exception, action: str) -> Exception | None:
        """Return our error for one of Google's, None for one that is not Google's."""
        from google.api_core import exceptions as google
        from google.auth.exceptions import GoogleAuthError

        where = f"gs://{self.bucket}/{self.prefix}"
        if isinstance(error, google.NotFound):
            return ConfigError(f"there is no bucket {self.bucket!r}; make it, or correct the name")
        if isinstance(error, google.Forbidden):
            return RunError(f"{action} is denied in {where}; the account needs roles/storage.objectAdmin")
        if isinstance(error, (google.Unauthorized, GoogleAuthError)):
            return RunError(f"Google does not accept the credentials ({error}); run gcloud auth application-default login")
        if isinstance(error, (google.GoogleAPIError, OSError)):
            return RunError(
                f"{action} in {where} failed ({' '.join(str(error).split())}); see whether the network lets you through"
            )
        return None


_STORES: dict[str, Callable[[str, str, str | None], Store]] = {
    "s3": S3Store.open,
    "gs": GoogleStore.open,
    "gcs": GoogleStore.open,
}
