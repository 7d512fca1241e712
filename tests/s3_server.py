"""moto's S3 server within the test's process, with a count of the requests by kind."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_SESSION_TOKEN": "",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class S3Server:
    """An S3 server on loopback; use as a context manager.

    Attributes
    ----------
    requests
        How many of each kind were made: ``list``, ``bucket`` (anything else about a bucket), and by method about objects.
    refuse
        If set, all requests are refused: (status, code).
    refused
        If not empty, only requests by these methods are refused.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.requests: Counter[Any] = Counter()
        self.refuse: tuple[int, str] | None = None
        self.refused: set[str] = set()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(host, 0, self._answer, threaded=True)
        self.url = f"http://{host}:{self._server.port}"

    def __enter__(self) -> "S3Server":
        from moto.s3.models import s3_backends

        s3_backends.reset()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 needs to come here."""
        return ENVIRONMENT | {"AWS_ENDPOINT_URL": self.url}

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.requests[_kind(environ)] += 1
        if self.refuse and (not self.refused or environ["REQUEST_METHOD"] in self.refused):
            status, code = self.refuse
            if environ["REQUEST_METHOD"] == "HEAD":
                start_response(f"{status} Bad Request", [("Content-Length", "0")])
                return [b""]
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>refused by the test</Message></Error>".encode()
            start_response(f"{status} Refused", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        return self._app(environ, start_response)


def _kind(environ: dict[str, Any]) -> str:
    if "/" in environ["PATH_INFO"].strip("/"):
        return str(environ["REQUEST_METHOD"].lower())
    listing = environ["REQUEST_METHOD"] == "GET" and {"list-type", "prefix"} & set(parse_qs(environ["QUERY_STRING"]))
    return "list" if listing else "bucket"
