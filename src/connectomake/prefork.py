"""Run Python scripts in forks of a process that has imported the library already.

A light job, say remapping one block, takes .2 s; starting Python and importing NumPy, numba and HDF5 takes .4 s before it. On
one machine a small server imports them once, compiled functions included, and forks itself for every script::

    head  ──(script, folder, environment; stdout, stderr, reply)──►  server  ──fork──►  the script
                        ◄──(exit code, what the kernel measured)──────┘

The server has one thread, opens no file, and ends with the head: when the head's end of the socket closes, even by ``kill -9``.
It answers as soon as it has what labelling and merging need; the rest is imported while it has nothing to do.
The script sees a fresh ``__main__``, the head's folder and environment, and its own process, as if Python had been started.
"""

import contextlib
import functools
import importlib
import json
import mmap
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from connectomake import slate

FIRST = (
    "snakemake.script",
    "h5py",
    "tensorstore",
    "connectomake.jobs",
    "connectomake.components",
    "connectomake.sources",
    "connectomake.octree",
    "connectomake.segmentation",
)
LATER = (
    "compressed_segmentation", "connectomake.planning.infos", "connectomake.objects", "connectomake.meshes",
    "connectomake.meshes.simplify",
)  # fmt: skip
_MESSAGE_BYTES = 1 << 18
MB = 1 << 20
PATIENCE_SECONDS = 10.0
_BLOCK = 512
"""Bytes of a block of disk as the kernel counts them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended, and what the kernel measured of its process and the processes that it waited for.

    Parameters
    ----------
    code
        Exit code; minus the number of the signal that ended it.
    cpu_s
        CPU time, of user and system, in seconds.
    rss_mb
        Highest resident memory, in MiB; what it shares with the server is counted.
    read_mb, written_mb
        From and to disk, in MiB.
    """

    code: int
    cpu_s: float
    rss_mb: float
    read_mb: float
    written_mb: float


class Server:
    """The server, seen from the head; started by the first script, or by `start`, and again if it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server unless it runs; it answers once it has imported everything."""
        self._started()

    def _started(self) -> socket.socket:
        """Return our end of the socket to the server, which is started if there is none."""
        with self._lock:
            if self._control is None:
                self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    command = [sys.executable, "-m", "connectomake.prefork", str(theirs.fileno())]
                    self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            return self._control

    def _forget(self, control: socket.socket) -> None:
        """Let the next script start another server, unless another thread has seen to that already."""
        with self._lock:
            if self._control is not control:
                return
            self._control = None
            control.close()  # a server that still runs ends by this
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE_SECONDS)

    def run(self, script: str) -> Ended:
        """Run a script and wait for it; if the server dies meanwhile, run it once more, in a new one.

        A script that ran already makes the same files again; each is renamed when it is whole.

        Parameters
        ----------
        script
            Path of a Python file.

        Returns
        -------
        Ended
            Its exit code and what it took.

        Raises
        ------
        ConnectionError
            If the server dies twice; the script may or may not have run.
        """
        try:
            return self._run(script)
        except ConnectionError:
            return self._run(script)

    def _run(self, script: str) -> Ended:
        control = self._started()
        ours, theirs = socket.socketpair()
        try:
            with ours:
                with theirs:
                    self._ask(control, script, theirs)
                reply = ours.makefile("r").readline()
            if not reply:
                raise ConnectionError(f"the server that runs scripts has ended, nothing is known of how {script} did")
        except ConnectionError:
            self._forget(control)
            raise
        return Ended(**json.loads(reply))

    def _ask(self, control: socket.socket, script: str, reply: socket.socket) -> None:
        message = json.dumps({"script": os.path.abspath(script), "folder": os.getcwd(), "environment": dict(os.environ)})  # noqa: PTH100, PTH109
        with self._lock:
            if self._control is not control:
                raise ConnectionError("the server that runs scripts has ended")
            socket.send_fds(control, [message.encode()], [1, 2, reply.fileno()])


def _load_compiled() -> None:
    """Call the compiled functions of light stages once, so that forks find them loaded."""
    import numpy as np

    from connectomake.components import label_block
    from connectomake.geometry import Box
    from connectomake.layers import segmentation_codec

    box = Box((0, 0, 0), (2, 2, 2))
    for dtype in (np.uint8, np.float32):
        labels = label_block(np.ones(box.shape, dtype), 0.5, 6, box, box).labels
    encoded = segmentation_codec.encode(labels[None])
    relabelled, _ = segmentation_codec.relabel(encoded, box.shape, np.arange(2, dtype=np.uint64))
    segmentation_codec.decode_part(relabelled, box.shape, box.shape)


def serve(control: socket.socket, later: list[Callable[[], object]]) -> None:
    """Fork a script for every message, until the head closes its end; call what is to be done `later` in between."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    replies: dict[int, int] = {}
    pages: dict[int, mmap.mmap] = {}
    while True:
        sources: list[Any] = [control, ended]
        ready = select.select(sources, [], [], 0 if later else None)[0]
        if not ready:
            later.pop(0)()
        if ended in ready:
            os.read(ended, 4096)
            _reap(replies, pages)
        if control in ready:
            message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 3)
            if not message:
                return
            stdout, stderr, reply = descriptors
            page = slate.new_page()
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                for descriptor in (control.detach(), ended, wake, reply, *replies.values()):
                    os.close(descriptor)
                slate.use(page)
                _become(json.loads(message), stdout, stderr)
            os.close(stdout)
            os.close(stderr)
            replies[child], pages[child] = reply, page


def _reap(replies: dict[int, int], pages: dict[int, mmap.mmap]) -> None:
    """Tell the head of every script that has ended, and the log of one that a signal ended what it read."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status, usage = os.wait4(-1, os.WNOHANG)
            if child == 0:
                return
            reply = replies.pop(child, None)
            if reply is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            with pages.pop(child) as page:
                slate.told(page, code)
            took = Ended(
                code,
                usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss / 1024,
                usage.ru_inblock * _BLOCK / MB,
                usage.ru_oublock * _BLOCK / MB,
            )
            with contextlib.suppress(OSError):
                os.write(reply, f"{json.dumps(asdict(took))}\n".encode())
            os.close(reply)


def _become(task: dict[str, Any], stdout: int, stderr: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.chdir(task["folder"])
        os.environ.clear()
        os.environ.update(task["environment"])
        sys.argv = [task["script"]]
        runpy.run_path(task["script"], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _main(control: socket.socket) -> None:
    for name in FIRST:
        importlib.import_module(name)
    _load_compiled()
    serve(control, [functools.partial(importlib.import_module, name) for name in LATER])


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
