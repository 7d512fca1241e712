"""Places in buckets and on web servers and disks, as TensorStore's key-value stores describe them."""

import functools
import os
from typing import Any

from connectomake.credentials import revealed
from connectomake.errors import SourceError
from connectomake.storage.address import REMOTE, Address
from connectomake.storage.client import region


def describe(place: str) -> dict[str, Any]:
    """Return TensorStore's description of a file, or of a folder, which ends in a slash.

    For s3, ``AWS_ENDPOINT_URL`` and the usual credentials of AWS are honoured; with no credentials at all the request
    is anonymous, as public buckets want it.

    Parameters
    ----------
    place
        A local path, or a URL of s3, gs, http or https.
    """
    address = Address.of(place)
    if address.scheme not in REMOTE:
        return {"driver": "file", "path": place}
    if address.scheme in ("http", "https"):
        return {"driver": "http", "base_url": revealed(place)}
    if address.scheme == "gs":
        return {"driver": "gcs", "bucket": address.bucket, "path": address.path}
    return {"driver": "s3", "bucket": address.bucket, "path": address.path, **_s3_options()}


@functools.cache
def _s3_options() -> dict[str, Any]:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session()
        credentials = session.get_credentials()
    except BotoCoreError as error:
        said = " ".join(str(error).split())
        raise SourceError(f"the settings of AWS are wrong ({said}); check AWS_PROFILE and the like") from error
    options: dict[str, Any] = {}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        options |= {"endpoint": endpoint.rstrip("/"), "aws_region": region(session)}
    if credentials is None:
        options["aws_credentials"] = {"type": "anonymous"}
    elif credentials.method == "env":
        options["aws_credentials"] = {"type": "environment"}
    return options
