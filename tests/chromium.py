"""Headless Chromium with software WebGL: pictures of a page as it loads."""

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZE = (900, 700)
Enough = Callable[[np.ndarray], bool]


def is_drawn(picture: np.ndarray) -> bool:
    """Whether the middle of a picture shows shaded surfaces: many colours, bright or saturated, on a good part of it."""
    middle = picture[SIZE[1] // 4 : 3 * SIZE[1] // 4, SIZE[0] // 4 : 3 * SIZE[0] // 4].reshape(-1, 3)
    coloured = np.ptp(middle, axis=1) > 60
    return bool(coloured.mean() > 0.05) and len(np.unique(middle[coloured] // 16, axis=0)) > 20


async def _pictures(port: int, path: Path, base: str, enough: Enough, seconds: float) -> tuple[np.ndarray, float]:
    """Open a page through the DevTools protocol and take pictures until one is enough, or time is over; how long that took."""
    from tornado.websocket import websocket_connect

    began = time.monotonic()
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{base}/", method="PUT")) as answer:
        address = json.load(answer)["webSocketDebuggerUrl"]
    socket = await websocket_connect(address, max_message_size=1 << 28)
    end, picture, number = began + seconds, np.zeros((*SIZE[::-1], 3), int), 0
    try:
        while time.monotonic() < end:
            number += 1
            message = await _asked(socket, number, "Page.captureScreenshot", seconds)
            path.write_bytes(base64.b64decode(message["result"]["data"]))
            picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
            if enough(picture):
                break
            await asyncio.sleep(0.2)
        taken = time.monotonic() - began
        await _asked(socket, number + 1, "Browser.close", 600)  # so that the cache is written
        return picture, taken
    finally:
        socket.close()
        with contextlib.suppress(TimeoutError):
            while await asyncio.wait_for(socket.read_message(), 5) is not None:
                pass


async def _asked(socket: Any, number: int, method: str, seconds: float) -> dict[str, Any]:
    """Call a method of the DevTools protocol and return its answer."""
    await socket.write_message(json.dumps({"id": number, "method": method}))
    message: dict[Any, Any] = {}
    while message.get("id") != number:
        message = json.loads(await asyncio.wait_for(socket.read_message(), seconds))
    return message


def screenshot(base: str, path: Path, profile: Path, enough: Enough, seconds: float = 1800) -> tuple[np.ndarray, float]:
    """Let headless Chromium show a page, with software WebGL, until its picture is enough.

    Saves the last picture; returns it and the seconds from opening the page to it.
    """
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", f"--user-data-dir={profile}",
        "--remote-debugging-port=0", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        noted, end = profile / "DevToolsActivePort", time.monotonic() + 900
        while not noted.exists() and time.monotonic() < end:
            time.sleep(0.2)
        port = int(noted.read_text().split()[0])
        return asyncio.run(_pictures(port, path, base, enough, seconds))
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a browser that was asked to close; stop one that was not."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(20)
