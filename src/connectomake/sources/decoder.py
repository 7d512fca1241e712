"""Decoders that trust their input run in a process of their own: on damaged bytes some of them write where they must not.

Damaged chunks of crackle, compresso and fpzip end the process that decodes them, or make it ask for all memory. Such a process
is started once, gets chunk after chunk, and is started anew after one that ended it::

    this process  ──(line of JSON: encoding, shape, dtype, size; bytes)──►  decoder
                  ◄──(line of JSON: error, size; voxels in Fortran order)──┘
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from typing import Any, BinaryIO

import numpy as np

from connectomake.sources.codecs import decode_chunk

SECONDS = 120.0
_SPARE_BYTES, _TIMES = 1 << 30, 32


class Decoder:
    """A process that decodes chunks; see the module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def decode(self, data: bytes, encoding: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Decode one chunk; see `connectomake.sources.codecs.decode_chunk`.

        Raises
        ------
        ValueError
            If the chunk is damaged, whatever its decoder makes of that.
        """
        with self._lock:
            try:
                return self._asked(data, encoding, shape, dtype)
            except (OSError, EOFError, TimeoutError) as error:
                raise ValueError(f"its decoder {self._end(isinstance(error, TimeoutError))}") from error

    def _asked(self, data: bytes, encoding: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        process = self._started()
        task = {"encoding": encoding, "shape": shape, "dtype": dtype.str, "size": len(data)}
        incoming: Any = process.stdout
        _send(process.stdin, task, data)
        if not select.select([incoming], [], [], SECONDS)[0]:
            raise TimeoutError
        answer, voxels = _receive(incoming)
        if answer["error"] is not None:
            raise ValueError(answer["error"])
        return np.frombuffer(voxels, dtype).reshape(shape, order="F")

    def _started(self) -> subprocess.Popen[bytes]:
        """Return the process; a fork must not use that of its parent."""
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "connectomake.sources.decoder"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self._owner = os.getpid()
        return self._process

    def _end(self, late: bool) -> str:
        """End the process, and say how it had ended."""
        process, self._process = self._process, None
        if process is None:
            return "could not be started"
        if late:
            process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"gave no answer within {SECONDS:g} s" if late else f"ended by {how}"


def _send(stream: BinaryIO | Any, head: dict[str, Any], body: bytes) -> None:
    stream.write(json.dumps(head).encode() + b"\n" + body)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> tuple[dict[str, Any], bytes]:
    line = stream.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    body = stream.read(head["size"])
    if len(body) < head["size"]:
        raise EOFError
    return head, body


def _limit(task: dict[str, Any]) -> None:
    """Allow as much memory as a chunk can need, and no more, where the system counts it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as stream:  # noqa: PTH123
            used = int(stream.read().split()[0]) * resource.getpagesize()
        wanted = int(np.prod(task["shape"])) * np.dtype(task["dtype"]).itemsize
        most = used + _SPARE_BYTES + _TIMES * wanted
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _serve() -> None:
    """Decode what comes, until the other side closes."""
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while True:
        try:
            task, data = _receive(incoming)
        except EOFError:
            return
        error, voxels = None, b""
        try:
            _limit(task)
            found = decode_chunk(data, task["encoding"], tuple(task["shape"]), np.dtype(task["dtype"]))
            voxels = found.tobytes(order="F")
        except MemoryError:
            error = "it asks for more memory than such a chunk needs"
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        _send(outgoing, {"error": error, "size": len(voxels)}, voxels)


DECODER = Decoder()
"""That of this process."""

if __name__ == "__main__":
    _serve()
