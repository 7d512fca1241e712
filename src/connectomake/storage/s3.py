"""Objects of Amazon S3, or of a server that speaks S3."""

from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError, RunError
from connectomake.storage.address import Address, key_below
from connectomake.storage.client import s3_client
from connectomake.storage.patience import PATIENT, Patience
from connectomake.storage.ranges import Fetch
from connectomake.storage.stores import Store, Stored

_MISSING = {"404", "NoSuchKey"}
_UNKNOWN_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "UnrecognizedClientException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}
_RIGHTS = {"list": "s3:ListBucket", "put": "s3:PutObject", "get": "s3:GetObject", "delete": "s3:DeleteObject"}


class S3Store(Store):
    """The objects in a bucket below a prefix.

    Parameters
    ----------
    bucket, prefix
        Where; the prefix without slashes at its ends, or empty.
    endpoint
        Address of the server, for messages.
    client
        boto3's.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, client: Any) -> None:
        self.url = f"s3://{key_below(bucket, prefix) if prefix else bucket}"
        self.bucket, self.prefix, self.endpoint = bucket, prefix, endpoint
        self._client = client

    @classmethod
    def open(cls, url: str, endpoint: str | None = None, patience: Patience = PATIENT, public: bool = False) -> "S3Store":
        """Make a client; see `s3_client`."""
        client = s3_client(endpoint, patience, public)
        return cls.of(client, url, endpoint or client.meta.endpoint_url)

    @classmethod
    def of(cls, client: Any, url: str, endpoint: str | None = None) -> "S3Store":
        """Take the client that another has made."""
        address = Address.of(url)
        return cls(address.bucket, address.prefix, endpoint, client)

    def _object(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": key_below(self.prefix, path)}

    def ask(self, path: str) -> Stored:
        """Return what the store says of an object that is there: one request; boto3's error if it is not."""
        head = self._client.head_object(**self._object(path))
        return Stored(str(head.get("ETag", "")), int(head["ContentLength"]), head["LastModified"].timestamp())

    def head(self, path: str) -> Stored | None:
        """Return what the store says of an object, None if it is not there: one request."""
        from botocore.exceptions import ClientError

        try:
            return self.ask(path)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise

    def mtime(self, path: str) -> float | None:
        """Return when an object was written; None if it is not there."""
        found = self.head(path)
        return None if found is None else found.time

    def get(self, path: str) -> bytes:
        """Return all bytes of an object."""
        return bytes(self._client.get_object(**self._object(path))["Body"].read())

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of an object."""
        return bytes(self._client.get_object(**self._object(path), Range=f"bytes=-{size}")["Body"].read())

    def fetch(self, path: str) -> Fetch:
        """Return a function that reads a range of bytes of an object; an answer that breaks off is asked for again."""
        from botocore.exceptions import HTTPClientError, ResponseStreamingError

        def read(start: int, stop: int) -> bytes:
            for left in (2, 1, 0):
                try:
                    answer = self._client.get_object(**self._object(path), Range=f"bytes={start}-{stop - 1}")
                    return bytes(answer["Body"].read())
                except (HTTPClientError, ResponseStreamingError):
                    if not left:
                        raise
            raise AssertionError  # not reached

        return read

    def put(self, path: str, data: bytes) -> None:
        """Write a small object."""
        self._client.put_object(**self._object(path), Body=data)

    def delete(self, path: str) -> None:
        """Delete an object; the bucket stays, even if it is empty."""
        self._client.delete_object(**self._object(path))

    def download(self, path: str, place: Path) -> None:
        """Copy an object to a local place."""
        at = self._object(path)
        self._client.download_file(at["Bucket"], at["Key"], str(place))

    def upload(self, place: Path, path: str) -> None:
        """Copy a local file to the bucket."""
        at = self._object(path)
        self._client.upload_file(str(place), at["Bucket"], at["Key"])

    def first(self) -> None:
        """List one object below the prefix, to see whether that is allowed."""
        self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)

    def list(self, folder: str) -> dict[str, Stored]:
        """Return the objects below a folder by their paths, which begin with it: one request per 1,000 objects."""
        start = key_below(self.prefix, "")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{start}{folder}/")
        return {
            str(o["Key"])[len(start) :]: Stored(o["ETag"], int(o["Size"]), o["LastModified"].timestamp())
            for page in pages
            for o in page.get("Contents", ())
        }

    def explain(self, error: Exception, action: str) -> Exception | None:
        """Return our error for one of boto's, None for one that is not boto's."""
        from botocore import exceptions as boto

        if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
            return RunError("there are no credentials for S3; export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if isinstance(error, boto.ParamValidationError):
            return ConfigError(f"{self.bucket!r} is not a valid bucket name; correct default-storage-prefix in the profile")
        if isinstance(error, boto.ClientError):
            return self._explain_answer(error.response.get("Error", {}), action)
        if isinstance(error, boto.BotoCoreError):
            return ConfigError(
                f"no S3 server answers at {self.endpoint} ({type(error).__name__}); "
                "correct AWS_ENDPOINT_URL or --endpoint, and check that the network lets you through"
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
