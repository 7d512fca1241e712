"""Addresses of buckets: ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX``."""

from dataclasses import dataclass

REMOTE = ("s3", "gs", "http", "https")
"""Schemes of the URLs that can be read."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a bucket.

    Parameters
    ----------
    scheme
        Such as ``s3``; empty if the text is no URL.
    bucket
        Its name.
    path
        What stands after it: an object's key, or a prefix.
    """

    scheme: str
    bucket: str
    path: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Take a URL apart."""
        scheme, found, place = url.partition("://")
        bucket, _, path = place.partition("/")
        return cls(scheme.lower() if found else "", bucket, path)

    @property
    def prefix(self) -> str:
        """The path without slashes at its ends."""
        return self.path.strip("/")


def key_below(prefix: str, path: str) -> str:
    """Return the key of a path below a prefix, which may be empty."""
    return f"{prefix}/{path}" if prefix else path
