"""What `connectomake view` sends to a browser until the demo is drawn, and how long that takes.

Headless Chromium with software WebGL opens the link; the picture counts once a twentieth of its middle is coloured. The server
counts the bytes of what it sends, headers left out. At the second visit the browser has the viewer in its cache.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chromium import CHROMIUM, is_drawn, screenshot

from benchmarks.demo import prepare_demo
from benchmarks.flow import fresh_folder, snakemake
from benchmarks.rows import Row, Skipped
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.viewing import make_server, mounts, viewer_state
from connectomake.viewing.client import client_folder
from connectomake.viewing.server import LayerServer

MB = 1e6


class _Counted:
    """A stream that counts what is written to it."""

    def __init__(self, stream: Any, sent: list[int]) -> None:
        self._stream, self._sent = stream, sent

    def write(self, data: bytes) -> int:
        self._sent.append(len(data))
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _serving(plan: Plan) -> Iterator[tuple[LayerServer, list[int]]]:
    """Serve a run as `connectomake view` does; yield the server and the sizes of what it sends."""
    sent: list[int] = []
    server = make_server("127.0.0.1", 0, {name: folder for name, folder in mounts(plan).items() if folder.is_dir()})

    class Counting(server.RequestHandlerClass):  # type: ignore[name-defined,misc]
        def setup(self) -> None:
            super().setup()
            self.wfile: Any = _Counted(self.wfile, sent)

    server.RequestHandlerClass = Counting
    z, y, x = (a + n // 2 for a, n in zip(plan.roi.start, plan.roi.shape, strict=True))
    server.state = viewer_state(plan, server.base, (z, y, x))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server, sent
    finally:
        server.shutdown()
        server.server_close()


def _visits(plan: Plan, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Yield what visit it is, the seconds until the picture, and the megabytes sent."""
    with tempfile.TemporaryDirectory() as profile, _serving(plan) as (server, sent):
        for number, name in enumerate(("first visit", "second visit")):
            sent.clear()
            (Path(profile) / "DevToolsActivePort").unlink(missing_ok=True)
            picture, seconds = screenshot(server.base, folder / f"{number}.png", Path(profile), is_drawn)
            if not is_drawn(picture):
                raise RuntimeError(f"nothing was drawn within {seconds:.0f} s")
            yield name, seconds, sum(sent) / MB


def run() -> dict[str, Any]:
    """Make the demo, then look at it twice."""
    if CHROMIUM is None or client_folder() is None:
        raise Skipped("Chromium or the neuroglancer package is not installed")
    folder = fresh_folder("view")
    config = prepare_demo(folder)
    snakemake(folder, config)
    rows = []
    with contextlib.chdir(folder):
        for name, seconds, megabytes in _visits(resolve(config), folder):
            rows += [Row(f"{name}: time to the picture", seconds, "s"), Row(f"{name}: sent until then", megabytes, "MB")]
    return {"title": "View: the demo in headless Chromium, software WebGL", "rows": rows}
