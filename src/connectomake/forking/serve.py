"""The server of `connectomake.forking.server`: forks itself for every script that the head names, until the head has ended."""

import contextlib
import importlib
import json
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from connectomake.forking import last_file
from connectomake.forking.fork import ExitStatus, Handlers, held_mb, run_script, start

_MESSAGE_BYTES = 1 << 18
_HANDLERS: Handlers = {signal.SIGCHLD: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


@dataclass(frozen=True, slots=True)
class _Running:
    """A script that runs: where the head waits for its end, what it notes, since when, the memory that it got with the fork."""

    reply: int
    page: mmap.mmap
    since: float
    inherited_mb: float


def serve(control: socket.socket, later: list[Callable[[], object]]) -> None:
    """Fork a script for every message, until the head closes its end; call what is to be done `later` in between."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    running: dict[int, _Running] = {}
    while True:
        sources: list[Any] = [control, ended]
        ready = select.select(sources, [], [], 0 if later else None)[0]
        if not ready:
            later.pop(0)()
        if ended in ready:
            os.read(ended, 4096)
            _reap(running)
        if control in ready:
            message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 3)
            if not message:
                return
            kept = (control.fileno(), ended, wake, *(script.reply for script in running.values()))
            _start(json.loads(message), descriptors, kept, running)


def _start(task: dict[str, Any], descriptors: list[int], kept: tuple[int, ...], running: dict[int, _Running]) -> None:
    """Fork a script; `kept`: the server's own descriptors, which are none of the script's."""
    stdout, stderr, reply = descriptors
    page = last_file.new_page()
    child = start(lambda: _run(task, stdout, stderr), page, (*kept, reply), _HANDLERS)
    os.close(stdout)
    os.close(stderr)
    running[child] = _Running(reply, page, time.monotonic(), held_mb())


def _run(task: dict[str, Any], stdout: int, stderr: int) -> int:
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.environ.clear()
    os.environ.update(task["environment"])
    run_script(task["script"], task["folder"])
    return 0


def _reap(running: dict[int, _Running]) -> None:
    """Tell the head of every script that has ended, and the log of one that a signal ended what it read."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status, usage = os.wait4(-1, os.WNOHANG)
            if child == 0:
                return
            script = running.pop(child, None)
            if script is None:
                continue
            took = ExitStatus.of(status, usage, time.monotonic() - script.since, script.inherited_mb)
            with script.page as page:
                last_file.report_signal(page, took.code)
            with contextlib.suppress(OSError):
                os.write(script.reply, f"{json.dumps(asdict(took))}\n".encode())
            os.close(script.reply)


def _main(control: socket.socket, preloaded: str) -> None:
    if not preloaded:
        return serve(control, [])
    module = importlib.import_module(preloaded)
    module.first()
    return serve(control, module.later())


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
