"""Run Python scripts in forks of a process that has imported the library already.

A light job, say remapping one block, takes .2 s; starting Python and importing NumPy, numba and HDF5 takes .4 s before it. On
one machine a small server, `connectomake.forking.serve`, imports them once, compiled functions included, and forks itself for
every script::

    head  ──(script, folder, environment; stdout, stderr, reply)──►  server  ──fork──►  the script
                        ◄──(exit code, what the kernel measured)──────┘

The server has one thread, opens no file, and ends with the head: when the head's end of the socket closes, even by ``kill -9``.
It answers as soon as it has what labelling and merging need; the rest is imported while it has nothing to do.
The script sees a fresh ``__main__``, the head's folder and environment, and its own process, as if Python had been started.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

from connectomake.forking.fork import ExitStatus

PATIENCE_SECONDS = 10.0


class Server:
    """The server, seen from the head; started by the first script, or by `start`, and again if it has died.

    Parameters
    ----------
    preloaded
        Name of a module with the functions `first`, which is called before the server forks, and `later`, which returns what
        it calls while it has nothing to do.
    """

    def __init__(self, preloaded: str = "") -> None:
        self._preloaded = preloaded
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
                    command = [sys.executable, "-m", "connectomake.forking.serve", str(theirs.fileno()), self._preloaded]
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

    def run(self, script: str) -> ExitStatus:
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

    def _run(self, script: str) -> ExitStatus:
        control = self._started()
        ours, theirs = socket.socketpair()
        try:
            with ours:
                with theirs:
                    self._ask(control, script, theirs)
                reply = ours.makefile("r").readline()
            if not reply:
                raise ConnectionError(f"the server that runs scripts has ended, so the result of {script} is unknown")
        except ConnectionError:
            self._forget(control)
            raise
        return ExitStatus(**json.loads(reply))

    def _ask(self, control: socket.socket, script: str, reply: socket.socket) -> None:
        message = json.dumps({"script": os.path.abspath(script), "folder": os.getcwd(), "environment": dict(os.environ)})  # noqa: PTH100, PTH109
        with self._lock:
            if self._control is not control:
                raise ConnectionError("the server that runs scripts has ended")
            socket.send_fds(control, [message.encode()], [1, 2, reply.fileno()])
