"""Temporary files that killed jobs left, and whether a job may still write to one.

Their names contain process, machine and its start: ``.NAME.PROCESS.TOKEN.part``, see `atomic.temporary_name`. On this
machine a process that is gone, or was started after the file was last written, writes no more. Of other machines nothing is
known but the time: after two days without a byte a file is taken for left. Should its job go on after all, it fails when it
renames the file, and is tried again: no result is touched.
"""

import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectomake.forking import processes

PART = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)\.(?P<token>[0-9a-f]{8,})\.part(\.unordered\.part)?")
OLD_SECONDS = 2 * 86400.0
_SLACK_SECONDS = 60.0
_TAG = 8


@dataclass(frozen=True, slots=True)
class Removed:
    """How many files were removed, and their bytes."""

    files: int
    bytes: int


def files_below(folder: str | os.PathLike[str]) -> Iterator["os.DirEntry[str]"]:
    """Yield all files below a folder, links not followed; what cannot be listed, or goes meanwhile, is left out."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path)
        else:
            yield entry


def is_abandoned(entry: "os.DirEntry[str]") -> bool:
    """Whether a file is a temporary one that no job writes to any more, as far as can be known."""
    named = PART.fullmatch(entry.name) if entry.name.endswith(".part") else None
    if named is None or not entry.is_file(follow_symlinks=False):
        return False
    try:
        written = entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return False
    return _is_left(named, written)


def _is_left(named: "re.Match[str]", written: float) -> bool:
    """Whether what has a temporary name, and was last written at a time, is written by no process any more."""
    process, token = int(named["process"]), named["token"]
    if len(token) > 2 * _TAG and token.startswith(processes.machine()):
        return token[_TAG : 2 * _TAG] != processes.boot() or _has_ended(process, written)
    return time.time() - written > OLD_SECONDS


def _has_ended(process: int, written: float) -> bool:
    """Whether the process that wrote a file is gone; one of the same number that was started later is another."""
    if not processes.is_alive(process):
        return True
    began = processes.started(process)
    return began is not None and began > written + _SLACK_SECONDS


def remove_abandoned(*folders: str | os.PathLike[str]) -> Removed:
    """Remove the temporary files below some folders that no job writes to any more."""
    files = bytes_ = 0
    for entry in (entry for folder in folders for entry in files_below(folder) if is_abandoned(entry)):
        try:
            size = entry.stat(follow_symlinks=False).st_size
            Path(entry.path).unlink()
        except OSError:  # another run was faster, or may remove it
            continue
        files, bytes_ = files + 1, bytes_ + size
    return Removed(files, bytes_)


def remove_left_of(final: str | os.PathLike[str]) -> int:
    """Remove temporary files and folders beside a file or folder that were to become it, and that nobody writes to any more.

    Returns
    -------
    int
        How many were removed.
    """
    place, removed = Path(final), 0
    try:
        with os.scandir(place.parent) as found:
            entries = [e for e in found if e.name.endswith(".part") and not e.is_symlink()]
    except OSError:
        return 0
    for entry in entries:
        named = PART.fullmatch(entry.name)
        if named is None or named["name"] != place.name:
            continue
        try:
            written = max([entry.stat().st_mtime, *(e.stat(follow_symlinks=False).st_mtime for e in files_below(entry.path))])
            if not _is_left(named, written):
                continue
            if entry.is_dir():
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
        except OSError:  # another export was faster, or may remove it
            continue
        removed += 1
    return removed


def move_aside(path: str | os.PathLike[str]) -> Path | None:
    """Clear the place of a file where a folder lies: an empty one is removed, any other gets the next free name.

    Returns
    -------
    Path or None
        The folder's new name; None if it was removed.
    """
    place = Path(path)
    try:
        place.rmdir()
    except OSError:
        names = (place.with_name(f"{place.name}.aside{i or ''}") for i in itertools.count())
        return place.rename(next(name for name in names if not os.path.lexists(name)))
    return None
