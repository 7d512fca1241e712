"""The page in headless Chromium: Neuroglancer itself loads the layers and draws the meshes."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from connectomake.objects import read_parquet
from connectomake.viewing import make_server, mounts, viewer_state
from connectomake.viewing.server import client_folder
from tests.tiny_run import make_run, write_inputs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZE = (900, 700)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
    pytest.mark.skipif(client_folder() is None, reason="the neuroglancer package has no client"),
]


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        yield make_run()


class Asked:
    """A server that notes what it was asked for."""

    def __init__(self, plan, state):
        self.server = make_server("127.0.0.1", 0, mounts(plan))
        self.server.state = state(self.server.base)
        self.paths = []
        find = self.server.find

        def noting(path):
            self.paths.append(path)
            return find(path)

        self.server.find = noting

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def is_drawn(picture):
    """Whether the middle of a picture shows shaded surfaces: many colours, bright or saturated, on a good part of it."""
    middle = picture[SIZE[1] // 4 : 3 * SIZE[1] // 4, SIZE[0] // 4 : 3 * SIZE[0] // 4].reshape(-1, 3)
    coloured = np.ptp(middle, axis=1) > 60
    return coloured.mean() > 0.05 and len(np.unique(middle[coloured] // 16, axis=0)) > 20


async def _pictures(port, path, base, enough, seconds):
    """Open a page through the DevTools protocol and take pictures until one is enough, or time is over."""
    from tornado.websocket import websocket_connect

    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{base}/", method="PUT")) as answer:
        address = json.load(answer)["webSocketDebuggerUrl"]
    socket = await websocket_connect(address, max_message_size=1 << 28)
    end, picture = time.monotonic() + seconds, None
    number = 0
    while time.monotonic() < end:
        number += 1
        await socket.write_message(json.dumps({"id": number, "method": "Page.captureScreenshot"}))
        message = {}
        while message.get("id") != number:
            message = json.loads(await asyncio.wait_for(socket.read_message(), seconds))
        path.write_bytes(base64.b64decode(message["result"]["data"]))
        picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
        if enough(picture):
            break
        await asyncio.sleep(1)
    return picture


def screenshot(base, path, profile, enough, seconds=180):
    """Let headless Chromium show a page, with software WebGL, until its picture is enough; save and return the last one."""
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", f"--user-data-dir={profile}",
        "--remote-debugging-port=0", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        noted, end = profile / "DevToolsActivePort", time.monotonic() + 90
        while not noted.exists() and time.monotonic() < end:
            time.sleep(0.2)
        port = int(noted.read_text().split()[0])
        return asyncio.run(_pictures(port, path, base, enough, seconds))
    finally:
        process.terminate()
        process.wait(20)


def test_chromium_draws_the_meshes(plan, tmp_path):
    table = read_parquet(f"{plan.outdir}/objects/objects.parquet")
    largest = [int(i) for i in table["id"][np.argsort(table["voxels"])[::-1][:12]]]
    middle = tuple(a + n // 2 for a, n in zip(plan.roi.start, plan.roi.shape, strict=True))

    def state(base, ids=largest):
        made = viewer_state(plan, base, middle, ids)
        layers = [layer for layer in made["layers"] if layer["name"] == "segmentation"]
        return made | {"layout": "3d", "layers": layers, "selectedLayer": {}, "showAxisLines": False}

    with Asked(plan, state) as asked:
        began = time.monotonic()
        shown = screenshot(asked.server.base, tmp_path / "meshes.png", tmp_path / "profile", is_drawn)
        print(f"drawn after {time.monotonic() - began:.1f} s, browser's start included")
    assert any("/mesh/" in path and path.endswith(".shard") for path in asked.paths)
    assert is_drawn(shown)
    with Asked(plan, lambda base: state(base) | {"layers": []}) as nothing:
        empty = screenshot(nothing.server.base, tmp_path / "empty.png", tmp_path / "other", is_drawn, 15)
    assert not is_drawn(empty)
    kept = os.environ.get("CONNECTOMAKE_SCREENSHOT")
    if kept:
        shutil.copy(tmp_path / "meshes.png", Path(kept))
