"""An S3 server (moto's) behind a proxy that counts requests and can be told to fail or to be slow for a while."""

import contextlib
import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

ERROR = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>0</RequestId></Error>'
OWN = ("transfer-encoding", "expect", "content-length")
PASSED_ON = ("content-length", "content-type", "content-range", "etag", "last-modified", "location", "accept-ranges")


@dataclass
class Faults:
    """What the proxy does to requests, and what it saw.

    Attributes
    ----------
    failing
        Every so-many-th request is answered with 500; 0: none.
    slow
        Seconds that every answer to GET is held back.
    refuse
        Code with which all requests are refused, such as ExpiredToken.
    """

    failing: int = 0
    slow: float = 0.0
    refuse: str = ""
    seen: Counter[Any] = field(default_factory=Counter)
    failed: int = 0
    delayed: int = 0
    written: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, method: str, path: str) -> Any:
        """Count a request; return whether it is to fail."""
        with self.lock:
            self.seen[method] += 1
            fails = self.failing and sum(self.seen.values()) % self.failing == 0
            self.failed += bool(fails)
            return fails

    def note_write(self, path: str) -> None:
        with self.lock:
            self.written.append((time.time(), unquote(urlsplit(path).path).lstrip("/")))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> Any:
        server: Any = self.server
        faults, target = server.faults, server.target
        body = self._body()
        if faults.refuse:
            return self._answer(400, {"content-type": "application/xml"}, ERROR % (faults.refuse.encode(), b"as told"))
        if faults.note(self.command, self.path):
            return self._answer(500, {"content-type": "application/xml"}, ERROR % (b"InternalError", b"as told"))
        connection = http.client.HTTPConnection(target[0], target[1], timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        except OSError:
            return self._answer(503, {"content-type": "application/xml"}, ERROR % (b"ServiceUnavailable", b"no server yet"))
        finally:
            connection.close()
        if faults.slow and self.command == "GET":
            with faults.lock:
                faults.delayed += 1
            time.sleep(faults.slow)
        if self.command in ("PUT", "POST") and answer.status < 300 and "?" not in self.path:
            faults.note_write(self.path)
        kept = {k: v for k, v in answer.getheaders() if k.lower() in PASSED_ON or k.lower().startswith("x-amz")}
        return self._answer(answer.status, kept, data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def _body(self) -> Any:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        length = int(self.headers.get("content-length") or 0)
        return self.rfile.read(length) if length else None

    def _answer(self, status: Any, headers: Any, data: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("content-length", str(len(data)))
        elif "content-length" not in {name.lower() for name in headers}:
            self.send_header("content-length", "0")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):
                self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class Proxy:
    """The proxy, in a thread of this process."""

    def __init__(self, host: Any, port: Any, target: Any) -> None:
        self.faults = Faults()
        self.server = ThreadingHTTPServer((host, port), _Handler)
        self.server.daemon_threads = True
        served: Any = self.server
        served.faults, served.target = self.faults, target
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
