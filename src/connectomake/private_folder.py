"""Folders that no other user can change, for what is run when it is read back, such as numba's cache (a pickle)."""

import grp
import os
import pwd
import stat
from pathlib import Path


def make_private(folder: Path) -> str | None:
    """Make a folder of mode 0700, unless it is there; return why it is not ours alone, or None if it is.

    A folder of ours that others can read, but not change, is closed to them.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fault = writable_by_others(folder)
        if fault is None and folder.lstat().st_uid != os.getuid():
            fault = f"{folder} belongs to {_user(folder.lstat().st_uid)}"
        if fault is None:
            folder.chmod(0o700)
            fault = None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written"
    except (OSError, RuntimeError, ValueError) as error:
        return f"{folder} cannot be made ({getattr(error, 'strerror', None) or error})"
    return fault


def writable_by_others(folder: Path) -> str | None:
    """Return why another user than this one and root could change what lies in a folder, or None if none can.

    The folder itself, all above it, and what links on the way point to must belong to this user or root. None may be writable
    by others, but those above may if they are sticky, as ``/tmp``: there nobody can move what is another's.

    Raises
    ------
    OSError
        If it is not there.
    """
    folder = folder.absolute()
    if stat.S_ISLNK(folder.lstat().st_mode):
        return f"{folder} is a link"
    real = folder.resolve(strict=True)
    for place in (folder, real):
        for above in (place, *place.parents):
            fault = _fault(above, last=above in (folder, real))
            if fault is not None:
                return fault
    return None


def _fault(place: Path, last: bool) -> str | None:
    found = place.lstat()
    if found.st_uid not in (0, os.getuid()):
        return f"{place} belongs to {_user(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode):
        return None
    if not stat.S_ISDIR(found.st_mode):
        return f"{place} is no folder"
    open_to_group = found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid)
    if (open_to_group or found.st_mode & stat.S_IWOTH) and (last or not found.st_mode & stat.S_ISVTX):
        return f"{place} can be written by other users"
    return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _is_own_group(gid: int) -> bool:
    """Whether a group is root's or, as on many systems, has its user's name and no other member."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.getuid())
    except KeyError:
        return gid == 0
    return gid == 0 or (gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name})
