"""Daemons of a test: started in a temporary folder, bounded waits, ended whatever happens.

Every process gets a mark in its environment that its children inherit; the end of the test kills all that carry it. A daemon
dies with the process that started it, too, even by ``kill -9``.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MARK = "CONNECTOMAKE_TEST_CLUSTER"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Called in a new process: end it when the thread that made it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemons:
    """The processes of one cluster; use as a context manager.

    Parameters
    ----------
    folder
        Holds the logs (``logs/NAME.log``); its path is the mark.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Daemons":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def mark(self) -> dict[str, str]:
        """What the environment of everything that belongs to the cluster should have."""
        return {MARK: str(self.folder)}

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def start(
        self,
        name: Any,
        command: Any,
        *,
        env: Any = None,
        cwd: Any = None,
        user: Any = None,
        ready: Callable[[], bool] | None = None,
        timeout: int = 60,
    ) -> None:
        """Start a daemon that stays in the foreground, and wait until it is ready; skip the test if it never is."""
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(word) for word in command],
                env=(os.environ if env is None else env) | self.mark,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        if ready is not None and not wait(lambda: ready() or not self.runs(name), timeout, every=0.1):
            pytest.skip(f"{name} did not get ready within {timeout} s: {self.tail(name)}")
        if ready is not None and not self.runs(name):
            pytest.skip(f"{name} ended at once: {self.tail(name)}")

    def runs(self, name: str) -> bool:
        return self.processes[name].poll() is None

    def kill(self, name: str, with_signal: int = signal.SIGKILL) -> None:
        """Kill a daemon, not its children, and wait for its end."""
        self.processes[name].send_signal(with_signal)
        self.processes[name].wait(30)

    def stop(self) -> None:
        """Kill everything that carries the mark, latest daemons first."""
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        wait(lambda: not kill_marked(self.folder), 20, every=0.1)

    def tail(self, name: str, count: int = 600) -> str:
        return self.log(name).read_text(errors="replace")[-count:]


def marked(folder: Path) -> list[int]:
    """Return the ids of all living processes that carry the mark of a folder, or hold one of its logs open."""
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in numbers if pid != os.getpid() and (_has_mark(pid, folder) or opened(pid, folder / "logs"))]


def _has_mark(pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return f"{MARK}={folder}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def opened(pid: int, folder: Path) -> list[str]:
    """Return the names of the files of a folder that a process holds open: some daemons overwrite their environment."""
    found = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(link.readlink())
    return sorted({path.name for path in found if path.parent == folder})


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes below one, children first."""
    found = []
    with contextlib.suppress(OSError):
        for tasks in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (tasks / "children").read_text().split()]
    return found + [lower for child in found for lower in descendants(child)]


def kill_marked(folder: Path) -> list[int]:
    """Kill all that carry the mark of a folder; return whom."""
    pids = marked(folder)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def wait(condition: Callable[[], object], timeout: float, every: float = 0.2) -> bool:
    """Return whether a condition came true within some seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(every)
    return bool(condition())


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether somebody accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
