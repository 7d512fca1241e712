"""Run Python scripts in forks of a process that has imported the library already.

A light job, say remapping one block, takes .2 s; starting Python and importing NumPy, numba and HDF5 takes .4 s before it. On
one machine a small server imports them once, compiled functions included, and forks itself for every script::

    head  ──(script, folder, environment; stdout, stderr, reply)──►  server  ──fork──►  keeper  ──fork──►  the script
                                  ◄───────────────(process id, then exit code)─────────────┘

The server has one thread, opens no file, and ends with the head: when the head's end of the socket closes, even by ``kill -9``.
The script sees a fresh ``__main__``, the head's folder and environment, and its own process, as if Python had been started.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

PRELOADED = (
    "h5py",
    "snakemake.script",
    "connectomake.jobs",
    "connectomake.components",
    "connectomake.layers",
    "connectomake.meshes",
    "connectomake.objects",
    "connectomake.octree",
    "connectomake.planning.infos",
    "connectomake.segmentation",
    "connectomake.sources",
    "compressed_segmentation",
)
_MESSAGE_BYTES = 1 << 18


class Server:
    """The server, seen from the head; started by the first script, or by `start`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the server unless it runs; it answers once it has imported everything."""
        with self._lock:
            if self._control is not None:
                return
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-m", "connectomake.prefork", str(theirs.fileno())]
                subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            self._control = ours

    def run(self, script: str, started: Callable[[int], contextlib.AbstractContextManager[object]]) -> int:
        """Run a script and wait for it.

        Parameters
        ----------
        script
            Path of a Python file.
        started
            Gets the script's process id; what it returns is entered while the script runs.

        Returns
        -------
        int
            Exit code; minus the number of the signal that ended the script.

        Raises
        ------
        ConnectionError
            If the server is not there (any more); the script may or may not have run.
        """
        self.start()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._ask(script, theirs)
            replies = ours.makefile("r")
            first = replies.readline()
            if not first:
                raise ConnectionError("the server that runs scripts has ended")
            with started(int(first)):
                with contextlib.suppress(OSError):
                    ours.sendall(b"\n")  # until then the process id stays taken, also when the script has ended
                code = replies.readline()
        if not code:
            raise ConnectionError(f"nothing is known of how {script} ended")
        return int(code)

    def _ask(self, script: str, reply: socket.socket) -> None:
        message = json.dumps({"script": os.path.abspath(script), "folder": os.getcwd(), "environment": dict(os.environ)})  # noqa: PTH100, PTH109
        if self._control is None:
            raise ConnectionError("the server that runs scripts was not started")
        with self._lock:
            socket.send_fds(self._control, [message.encode()], [1, 2, reply.fileno()])


def _preload() -> None:
    import importlib

    for name in PRELOADED:
        importlib.import_module(name)
    _load_compiled()


def _load_compiled() -> None:
    """Call the compiled functions of light stages once, so that forks find them loaded."""
    import numpy as np

    from connectomake.components import label_block
    from connectomake.geometry import Box

    box = Box((0, 0, 0), (2, 2, 2))
    for dtype in (np.uint8, np.float32):
        for connectivity in (6, 26):
            label_block(np.ones(box.shape, dtype), 0.5, connectivity, box, box)


def serve(control: socket.socket) -> None:
    """Fork a script for every message, until the head closes its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 3)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _keep(json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(task: dict, descriptors: list[int]) -> NoReturn:
    """Run the script in a further fork, and tell the head its process id and exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stdout, stderr, reply = descriptors
    child = os.fork()
    if child == 0:
        os.close(reply)
        _become(task, stdout, stderr)
    with contextlib.suppress(OSError):
        os.write(reply, f"{child}\n".encode())
        os.read(reply, 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        os.write(reply, f"{code}\n".encode())
    os._exit(0)


def _become(task: dict, stdout: int, stderr: int) -> NoReturn:
    code = 1
    try:
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


if __name__ == "__main__":
    _preload()
    serve(socket.socket(fileno=int(sys.argv[1])))
