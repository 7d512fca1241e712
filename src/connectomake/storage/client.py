"""The client of S3 and of what is compatible with it, by AWS' usual settings."""

import os
from typing import Any

from connectomake.errors import ConfigError
from connectomake.storage.patience import PATIENT, Patience


def region(session: Any = None) -> str:
    """Return the region that the environment names, else that of a session's settings, else the one that any server takes."""
    named = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    return named or getattr(session, "region_name", None) or "us-east-1"


def s3_client(endpoint: str | None = None, patience: Patience = PATIENT, public: bool = False) -> Any:
    """Return boto3's client of S3.

    Parameters
    ----------
    endpoint
        Address of a server that speaks S3; None: that of ``AWS_ENDPOINT_URL``, or Amazon's.
    patience
        How long it waits, how often it tries again.
    public
        Where there are no credentials, ask anonymously, as public buckets want it.

    Raises
    ------
    ConfigError
        If the endpoint is no address.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    config = Config(
        signature_version=UNSIGNED if public and session.get_credentials() is None else None,
        connect_timeout=patience.connect_s,
        read_timeout=patience.read_s,
        retries={"max_attempts": patience.retries, "mode": "standard"},
        # checksums in trailers are an Amazon extra that other servers store as data
        response_checksum_validation="when_required",
        request_checksum_calculation="when_required",
    )
    try:
        return session.client("s3", endpoint_url=endpoint, config=config, region_name=region(session))
    except ValueError as error:
        given = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        raise ConfigError(f"the endpoint {given!r} is not an address ({error}); write http://HOST:PORT") from error
