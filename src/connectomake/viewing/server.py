"""A local web server for layers: ranges, nothing but layers, and that only for those who may ask.

A viewer in the browser reads a shard's index and chunks with HTTP range requests. The static Neuroglancer client that comes
with the `neuroglancer` package is served too, so that nothing has to be fetched from elsewhere.
"""

import errno
import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from connectomake.errors import ConfigError, SourceError
from connectomake.viewing.client import cacheable, client_folder, packed
from connectomake.viewing.folders import file_in, layer_file_in, run_file_in
from connectomake.viewing.guard import Guard
from connectomake.viewing.ranges import parse_range
from connectomake.viewing.state import CLIENT, RUN, STATE

SECONDS_IDLE = 60
SECONDS_BETWEEN_PINGS = 15
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".wasm": "application/wasm",
}
_RULES = {CLIENT: file_in, RUN: run_file_in}
"""Which files a folder gives; of any other it is one layer."""


class LayerServer(ThreadingHTTPServer):
    """The server: folders by the first parts of their URL, and the viewer's state.

    Parameters
    ----------
    address
        Where to listen.
    folders
        What to serve: a folder of layers as ``run``, the viewer as ``v/connectomake``, all others layers.
    origins
        See `Guard`.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folders: Mapping[str, Path], origins: Iterable[str] = ()) -> None:
        self.folders = {name: folder.resolve() for name, folder in folders.items()}
        self.state: dict[str, Any] = {}
        self.state_base = ""
        """The URL of this server that the state's layers have."""
        super().__init__(address, _Handler)
        try:
            self.guard = Guard(address[0], str(self.server_address[0]), origins)
        except ConfigError:
            self.server_close()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a browser that is gone, say because its window was closed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def base(self) -> str:
        """URL of the server, without a slash at its end."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def state_for(self, base: str) -> bytes:
        """Return the viewer's state for a page at a URL, say that of a tunnel, so that layers are of its origin."""
        state = json.dumps(self.state)
        for written in filter(None, (self.base, self.state_base)):
            state = state.replace(f"{written}/", f"{base}/")
        return state.encode()

    def find(self, path: str) -> tuple[Path, str | None] | None:
        """Return the file behind a URL's path, and its encoding; None if there is none inside the served folders."""
        parts = unquote(path).lstrip("/").split("/")
        for count in (1, 2):
            folder = self.folders.get("/".join(parts[:count]))
            if folder is not None:
                try:
                    rule = _RULES.get("/".join(parts[:count]), layer_file_in)
                    return rule(folder, parts[count:])
                except (OSError, ValueError):  # names that no file can have
                    return None
        return None


def make_server(host: str, port: int, folders: Mapping[str, Path], origins: Iterable[str] = ()) -> LayerServer:
    """Return a server that listens; its `serve_forever` serves.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes any free one.
    folders
        What to serve, by the first part of the URL.
    origins
        Origins whose pages may read them, beside the server's own.

    Raises
    ------
    ConfigError
        If the port is taken or not allowed, or an origin is none.
    SourceError
        If a folder is not there.
    """
    for name, folder in folders.items():
        if not folder.is_dir():
            raise SourceError(f"{folder} does not exist, so there is nothing to view at /{name}; has the workflow run?")
    client = client_folder()
    served = {**folders, **({CLIENT: client} if client else {})}
    try:
        return LayerServer((host, port), served, origins)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is in use" if taken else f"cannot be opened at {host} ({error.strerror})"
        raise ConfigError(f"port {port} {reason}; choose another with --port, or --port 0 for any free one") from error


class _Handler(BaseHTTPRequestHandler):
    server: LayerServer
    protocol_version = "HTTP/1.1"
    server_version = "connectomake"
    timeout = SECONDS_IDLE
    _cors: Mapping[str, str] = MappingProxyType({})

    def log_message(self, *args: Any) -> None:
        """Keep quiet: a viewer makes thousands of requests."""

    def do_OPTIONS(self) -> None:
        """Answer a preflight request."""
        self._cors = {}
        if self._admitted() is not None:
            self._head(HTTPStatus.NO_CONTENT, {"Content-Length": "0"})

    def do_HEAD(self) -> None:
        """Answer with headers only."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer with a file, or a range of it."""
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self._cors = {}
        if urlsplit(self.path).path == "/events/connectomake":  # holds nothing
            self._keep_client_content(body)
            return
        admitted = self._admitted()
        if admitted is None:
            return
        host, path = admitted
        if path == "/":
            self._redirect(host)
        elif path == f"/{STATE}":
            self._bytes(self.server.state_for(f"http://{host}"), "application/json", body)
        else:
            self._send_file(path, body)

    def _admitted(self) -> tuple[str, str] | None:
        """Return Host and path, without the token, of a request that may be answered; refuse any other."""
        guard, path = self.server.guard, urlsplit(self.path).path
        host, inner = guard.host_of(self.headers), path.removeprefix(f"/{guard.token}/")
        if host is None:
            self._error(HTTPStatus.MISDIRECTED_REQUEST, reason=f"this server is {self.server.base}")
            return None
        if not guard.admits(self.headers, host, token=inner != path):
            self._error(
                HTTPStatus.FORBIDDEN, reason="pages of other sites may not read this; see connectomake view --allow-origin"
            )
            return None
        self._cors = guard.cors(self.headers)
        return host, path if inner == path else f"/{inner}"

    def _redirect(self, host: str) -> None:
        """Send a browser to the viewer with the run's state."""
        if CLIENT not in self.server.folders:
            self._error(HTTPStatus.NOT_FOUND)
            return
        self._head(HTTPStatus.FOUND, {"Location": f"/{CLIENT}/#!http://{host}/{STATE}", "Content-Length": "0"})

    def _keep_client_content(self, body: bool) -> None:
        """Hold the stream open on which the client awaits news from Python; there are none."""
        self.close_connection = True
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Connection": "close"})
        try:
            while body:
                self.wfile.write(b": nothing new\n\n")
                self.wfile.flush()
                self.connection.settimeout(SECONDS_BETWEEN_PINGS)
                try:
                    if not self.connection.recv(1):
                        return
                except TimeoutError:
                    continue
        except OSError:
            return

    def _send_file(self, path: str, body: bool) -> None:
        found = self.server.find(path)
        if found is None:
            self._error(HTTPStatus.NOT_FOUND)
            return
        file, encoding = found
        try:
            if path.startswith(f"/{CLIENT}/") and encoding is None and file.suffix in TYPES:
                self._send_client(file, body)
                return
            with file.open("rb") as stream:
                self._send_stream(stream, file.stat().st_size, _headers(file, path, encoding), body)
        except PermissionError:
            self._error(HTTPStatus.FORBIDDEN)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _send_client(self, file: Path, body: bool) -> None:
        """Send a file of the viewer, packed where the browser can unpack it: a third of the bytes."""
        headers = {"Cache-Control": "max-age=31536000, immutable"} if cacheable(file) else {}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self._bytes(packed(file), TYPES[file.suffix], body, {**headers, "Content-Encoding": "gzip"})
        else:
            self._bytes(file.read_bytes(), TYPES[file.suffix], body, headers)

    def _send_stream(self, stream: BinaryIO, size: int, headers: dict[str, str], body: bool) -> None:
        wanted = None if "Content-Encoding" in headers else parse_range(self.headers.get("Range"), size)
        if wanted is None:
            self._head(HTTPStatus.OK, {**headers, "Accept-Ranges": "bytes", "Content-Length": str(size)})
            if body:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)
            return
        start, stop = wanted
        if start >= stop:
            self._error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
            return
        ranged = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self._head(HTTPStatus.PARTIAL_CONTENT, {**headers, **ranged, "Content-Length": str(stop - start)})
        if body:
            stream.seek(start)
            self._copy(stream, stop - start)

    def _copy(self, stream: BinaryIO, left: int) -> None:
        while left > 0:
            data = stream.read(min(left, 1 << 20))
            if not data:
                self.close_connection = True
                return
            self.wfile.write(data)
            left -= len(data)

    def _bytes(self, data: bytes, kind: str, body: bool, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self._head(HTTPStatus.OK, {"Content-Type": kind, "Content-Length": str(len(data)), **headers})
        if body:
            self.wfile.write(data)

    def _error(self, status: HTTPStatus, headers: dict[str, str] | None = None, reason: str = "") -> None:
        text = f"{status.value} {status.phrase}{f': {reason}' if reason else ''}\n".encode()
        self._head(status, {"Content-Type": "text/plain", "Content-Length": str(len(text)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(text)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        common = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", **self._cors}
        for name, value in {**common, **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _headers(file: Path, path: str, encoding: str | None) -> dict[str, str]:
    kind = "application/json" if path.endswith("/info") else TYPES.get(file.suffix, "application/octet-stream")
    return {"Content-Type": kind, **({"Content-Encoding": encoding} if encoding else {})}
