"""Objects of Google's storage, through the client of Google that Snakemake's plugin has, too."""

from collections.abc import Mapping
from typing import Any

from connectomake.errors import ConfigError, RunError
from connectomake.storage.address import Address, key_below
from connectomake.storage.patience import Patience
from connectomake.storage.ranges import Fetch
from connectomake.storage.stores import Stored


class GoogleStore:
    """The objects in a bucket below a prefix.

    Parameters
    ----------
    bucket, prefix
        Where; the prefix without slashes at its ends, or empty.
    client
        That of ``google.cloud.storage``.
    options
        Of each request, such as its timeout.
    """

    def __init__(self, bucket: str, prefix: str, client: Any, options: Mapping[str, Any] | None = None) -> None:
        self.bucket, self.prefix = bucket, prefix
        self._client, self._options = client, dict(options or {})

    @classmethod
    def open(cls, url: str, patience: Patience) -> "GoogleStore":
        """Make a client by Google's usual settings, which tries nothing twice.

        Raises
        ------
        RunError
            If there are no credentials.
        """
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import storage

        address = Address.of(url)
        try:
            client = storage.Client()
        except (GoogleAuthError, OSError) as error:
            raise RunError("there are no credentials for Google; run gcloud auth application-default login") from error
        return cls(address.bucket, address.prefix, client, {"timeout": patience.read_s, "retry": None})

    @classmethod
    def of(cls, client: Any, url: str) -> "GoogleStore":
        """Take the client that another has made."""
        address = Address.of(url)
        return cls(address.bucket, address.prefix, client)

    def _blob(self, path: str) -> Any:
        return self._client.bucket(self.bucket).blob(key_below(self.prefix, path))

    def get(self, path: str) -> bytes:
        """Return all bytes of an object."""
        return bytes(self._blob(path).download_as_bytes(**self._options))

    def fetch(self, path: str) -> Fetch:
        """Return a function that reads a range of bytes of an object."""
        blob = self._blob(path)
        return lambda start, stop: bytes(blob.download_as_bytes(start=start, end=stop - 1, **self._options))

    def put(self, path: str, data: bytes) -> None:
        """Write a small object."""
        self._blob(path).upload_from_string(data, **self._options)

    def delete(self, path: str) -> None:
        """Delete an object."""
        self._blob(path).delete(**self._options)

    def first(self) -> None:
        """List one object below the prefix, to see whether that is allowed."""
        next(iter(self._client.list_blobs(self.bucket, prefix=self.prefix, max_results=1, **self._options)), None)

    def list(self, folder: str) -> dict[str, Stored]:
        """Return the objects below a folder by their paths, which begin with it."""
        start = key_below(self.prefix, "")
        blobs = self._client.list_blobs(self.bucket, prefix=f"{start}{folder}/", **self._options)
        return {str(blob.name)[len(start) :]: _stored(blob) for blob in blobs}

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
                f"{action} in {where} failed ({' '.join(str(error).split())}); check that the network lets you through"
            )
        return None


def head_in(bucket: Any, key: str) -> Stored | None:
    """Return what the store says of an object in a bucket of Google's client, None if it is not there: one request."""
    blob = bucket.get_blob(key)
    return None if blob is None else _stored(blob)


def _stored(blob: Any) -> Stored:
    return Stored(blob.etag, int(blob.size), blob.updated.timestamp())
