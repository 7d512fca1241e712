"""A server that speaks Google's storage API, within the test's process, with a count of the requests."""

import logging
import threading
from collections import Counter
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any


class GcsServer:
    """A server on loopback with the bucket ``lab``; use as a context manager.

    Attributes
    ----------
    requests
        How many were made, by method; listings as ``list``.
    """

    def __init__(self) -> None:
        from gcp_storage_emulator.handlers.buckets import create_bucket
        from gcp_storage_emulator.server import RequestHandler
        from gcp_storage_emulator.storage import Storage

        logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
        self.requests: Counter[Any] = Counter()
        storage, lock = Storage(use_memory_fs=True), threading.Lock()
        create_bucket("lab", storage)

        class Handler(RequestHandler):  # type: ignore[misc]
            def do_GET(handler) -> None:
                self._answer(super(), "do_GET", handler.path, lock)

            def do_POST(handler) -> None:
                self._answer(super(), "do_POST", handler.path, lock)

            def do_PUT(handler) -> None:
                self._answer(super(), "do_PUT", handler.path, lock)

            def do_DELETE(handler) -> None:
                self._answer(super(), "do_DELETE", handler.path, lock)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, storage))
        self._server.daemon_threads = True

    def _answer(self, base: Any, name: Any, path: Any, lock: Any) -> None:
        kind = "list" if name == "do_GET" and path.partition("?")[0].endswith("/o") else name.removeprefix("do_").lower()
        with lock:
            self.requests[kind] += 1
            getattr(base, name)()

    @property
    def environment(self) -> dict[str, str]:
        """What Google's client needs to come here, without a login."""
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{self._server.server_address[1]}", "GOOGLE_CLOUD_PROJECT": "lab"}

    def __enter__(self) -> "GcsServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
