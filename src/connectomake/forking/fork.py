"""Start a script in a fork of this process, pass it its input, stop it in time, and report how it ended.

The fork has its own ``__main__``, folder and environment, as if Python had been started, but everything that this process has
imported is there already.
"""

import contextlib
import mmap
import os
import resource
import runpy
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from connectomake.credentials import redacted
from connectomake.forking import last_file

GRACE_SECONDS = 10.0
"""For which a process that is asked to end may remove its temporary files."""
MB = 1 << 20
_BLOCK = 512
"""Bytes of a block of disk as the kernel counts them."""
_PR_SET_PDEATHSIG = 1
Handlers = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a script ended, and what the kernel measured of its process and the processes that it waited for.

    Parameters
    ----------
    code
        Exit code; minus the number of the signal that ended it.
    seconds
        How long it ran.
    cpu_s
        CPU time, of user and system, in seconds.
    rss_mb
        Highest resident memory, in MiB; what it shares with the process that it was forked of is counted.
    read_mb, written_mb
        From and to disk, in MiB.
    inherited_mb
        What the process that it was forked of held then beside mapped files, in MiB; `rss_mb` counts it, too.
    """

    code: int
    seconds: float
    cpu_s: float
    rss_mb: float
    read_mb: float
    written_mb: float
    inherited_mb: float = 0.0

    @classmethod
    def of(cls, status: int, usage: resource.struct_rusage, seconds: float, inherited_mb: float = 0.0) -> "ExitStatus":
        """Take what ``os.wait4`` gives."""
        return cls(
            os.waitstatus_to_exitcode(status),
            seconds,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
            usage.ru_inblock * _BLOCK / MB,
            usage.ru_oublock * _BLOCK / MB,
            inherited_mb,
        )


def held_mb() -> float:
    """Return the resident memory of this process beside mapped files, in MiB; 0 where the kernel does not tell (Linux does)."""
    try:
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0.0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE") / MB


def start(body: Callable[[], int], page: mmap.mmap, close: Iterable[int] = (), handlers: Handlers | None = None) -> int:
    """Fork this process.

    Parameters
    ----------
    body
        What the fork does; its result is the exit code. What it raises is printed, without passwords, and the code is 1.
    page
        On which the fork notes what it reads; see `last_file`.
    close
        Descriptors that the fork must not keep.
    handlers
        What the fork does at signals, by number.

    Returns
    -------
    int
        The fork's process id.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become(body, page, close, handlers or {})
    return pid


def _become(body: Callable[[], int], page: mmap.mmap, close: Iterable[int], handlers: Handlers) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for descriptor in close:
            os.close(descriptor)
        last_file.use(page)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        code = body()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:
        print(redacted(traceback.format_exc()), file=sys.stderr)  # noqa: T201
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def run_script(path: str | Path, folder: str | Path, **given: Any) -> None:
    """Run a script as ``python NAME`` in a folder would; `given`: the names that it finds defined, such as ``snakemake``."""
    os.chdir(folder)
    sys.argv = [str(path)]
    runpy.run_path(str(path), init_globals=given, run_name="__main__")


def end_with(parent: int) -> None:
    """End this process when the one that forked it ends, even by ``kill -9`` (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end(pid: int, alive: int) -> None:
    """Ask a process to end, so that it removes its temporary files; make it end when it does not.

    Parameters
    ----------
    pid, alive
        The process, and a descriptor that reads as closed once it has ended.
    """
    os.kill(pid, signal.SIGTERM)
    readable, _, _ = select.select([alive], [], [], GRACE_SECONDS)
    if not readable:
        os.kill(pid, signal.SIGKILL)
