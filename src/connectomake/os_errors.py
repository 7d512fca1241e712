"""Errors of the operating system about a file, with what to do, in one sentence; `storage.refusals` does this for objects.

That a disk is full or a right is missing is no damage: nothing is to be deleted.
"""

import errno
import os
import re
import shutil
from pathlib import Path

from connectomake.errors import StorageError

PathLike = str | os.PathLike[str]
_NUMBER = re.compile(r"\berrno[ =:]+(\d+)", re.IGNORECASE)
_TEXTS = {
    "no space left on device": errno.ENOSPC,
    "disk quota exceeded": errno.EDQUOT,
    "input/output error": errno.EIO,
    "stale file handle": errno.ESTALE,
    "read-only file system": errno.EROFS,
    "too many open files": errno.EMFILE,
}
_FAILING = ("EIO", "ESTALE", "ETIMEDOUT", "ECONNRESET", "ECONNABORTED", "ENOTCONN", "EHOSTDOWN", "EREMOTEIO", "ENXIO")
_WAYS = {
    errno.EDQUOT: "the quota of its disk is used up: make room or have it raised, then rerun",
    errno.EROFS: "its disk can only be read: mount it for writing, or name another outdir",
    errno.EACCES: "permit it to this user, then rerun",
    errno.EPERM: "permit it to this user, then rerun",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then rerun",
    errno.ENFILE: "the machine has too many files open: end other programs, then rerun",
    errno.ENOTDIR: "a file lies where a folder should be: move it away, then rerun",
    errno.EEXIST: "a file lies where a folder should be: move it away, then rerun",
    errno.EISDIR: "a folder lies where a file should be: move it away, then rerun",
    errno.ENAMETOOLONG: "its name is too long: take a shorter outdir",
    errno.ELOOP: "its link leads back to itself: delete the link, then rerun",
    **dict.fromkeys(
        (getattr(errno, name) for name in _FAILING if hasattr(errno, name)),
        "its disk or file server failed: have that repaired, then rerun; finished files are kept",
    ),
}


def errno_of(error: BaseException) -> int | None:
    """Return the system's number of an error, also where a library only says it in its text; None if it is no system's."""
    if isinstance(error, OSError) and error.errno in _WAYS | {errno.ENOSPC: ""}:
        return error.errno
    text = str(error).lower()
    found = next((number for words, number in _TEXTS.items() if words in text), None)
    if found is None and (said := _NUMBER.search(text)) and int(said.group(1)) in _WAYS | {errno.ENOSPC: ""}:
        return int(said.group(1))
    return found


def is_transient(error: BaseException) -> bool:
    """Whether an error is one of the machine's or a file server's that may pass: the file may be whole."""
    return errno_of(error) in {errno.EMFILE, errno.ENFILE, *(getattr(errno, n, None) for n in _FAILING)} - {None}


def storage_error(path: PathLike, error: BaseException, doing: str = "read") -> StorageError | None:
    """Return the error to raise for what the system refused; None if it refused nothing, so the file may be damaged.

    Parameters
    ----------
    path
        The file that is named.
    error
        What the system or a library raised.
    doing
        ``read`` or ``written``.
    """
    number = errno_of(error)
    if number is None:
        return None
    said = os.strerror(number)
    if number == errno.ENOSPC:
        return StorageError(f"{path} cannot be {doing} ({said}): its disk is full{_free(path)}; make room, then rerun")
    return StorageError(f"{path} cannot be {doing} ({said}): {_WAYS[number]}")


def _free(path: PathLike) -> str:
    """Return how much space is free in the folder of a file, as text; empty if unknown."""
    try:
        return f", {shutil.disk_usage(Path(path).parent).free / 1e6:,.0f} MB are free"
    except OSError:
        return ""
