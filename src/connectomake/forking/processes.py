"""Identity of a process and its machine, to decide whether files that a process left behind may still be in use.

A process is known by its number only on its machine, within its namespace of numbers (a container has its own), until the
machine is started anew; and a number may be given to another process later.
"""

import functools
import hashlib
import os
import socket
from pathlib import Path


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _text(path: str) -> str:
    """Return what a small file of the system holds; empty where there is none."""
    try:
        return Path(path).read_text()
    except (OSError, ValueError):
        return ""


@functools.cache
def machine() -> str:
    """Return eight hexadecimal digits for this machine and its namespace of processes."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return _digits(f"{socket.gethostname()} {namespace}")


@functools.cache
def boot() -> str:
    """Return eight hexadecimal digits for the time since this machine was started."""
    return _digits(_text("/proc/sys/kernel/random/boot_id"))


def ticks(pid: int) -> int | None:
    """Return when a process was started, in ticks since the machine was; None if there is no such process, or nobody says."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def started(pid: int) -> float | None:
    """Return when a process was started, in seconds since 1970; None if nobody says."""
    since, lines = ticks(pid), _text("/proc/stat").splitlines()
    began = next((int(line.split()[1]) for line in lines if line.startswith("btime ")), None)
    return None if since is None or began is None else began + since / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int) -> bool:
    """Whether a process with this number runs on this machine; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return ticks(pid) is not None if Path("/proc/self/stat").exists() else True
