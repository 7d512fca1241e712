"""Loading numba, and its cache of compiled functions: a folder per version of this library's source.

Numba itself notices a change of the file that a compiled function stands in, not of the functions that it calls in other files,
and fails where the package's folder cannot be written. What it reads back from the folder it runs, so no other user may write
there.
"""

import atexit
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectomake.private_folder import make_private, writable_by_others


def njit(**options: Any) -> Callable[..., Any]:
    """Return numba's decorator of that name, which keeps what it compiles in the folder of `use_cache_of_this_source`.

    So that folder is looked for, and the source is hashed for its name, where compiled functions are loaded and nowhere else.
    """
    _prepare()
    from numba import njit as decorator

    decorate: Callable[..., Any] = decorator(**options)
    return decorate


@functools.cache
def _prepare() -> None:
    """Set the folder before numba is imported, which reads it then; set it again where another package imported numba first."""
    use_cache_of_this_source()
    if "numba" in sys.modules:
        from numba.core.config import reload_config

        reload_config()  # type: ignore[no-untyped-call]


def lazy_njit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called, so that a job that never calls it does not load numba.

    To import numba takes 0.15 s of CPU time, its first call another 0.3 s, as much as the rest of a small job. Only for
    functions that are called from Python: compiled ones cannot call them.
    """

    @functools.cache
    def compiled() -> Callable[..., Any]:
        made: Callable[..., Any] = njit(cache=True, nogil=True)(function)
        return made

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return compiled()(*args)

    return call


def use_cache_of_this_source() -> None:
    """Set ``NUMBA_CACHE_DIR`` to a folder that is this user's alone.

    If it is set to such a folder, it stays. If it is set to one that only root can change, as in a container's image, what lies
    there is copied to our own. If others could write there, it is not used, and that is said.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if not given:
        os.environ["NUMBA_CACHE_DIR"] = str(_own_folder())
        return
    folder = Path(given)
    fault = _made_by_others(folder)
    if fault is not None:
        _say(f"{fault}, so NUMBA_CACHE_DIR is not used: compiled functions in it could be another user's")
        os.environ["NUMBA_CACHE_DIR"] = str(_own_folder())
    elif not os.access(folder, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(_seeded(_own_folder(), folder))


def _made_by_others(folder: Path) -> str | None:
    """Return why a folder cannot be trusted; make it if it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return writable_by_others(folder.resolve())
    except (OSError, ValueError) as error:
        return f"{folder} cannot be used ({getattr(error, 'strerror', None) or error})"


def _seeded(folder: Path, source: Path) -> Path:
    """Copy what was compiled before into a folder, unless it is there."""
    for place in source.iterdir() if os.access(source, os.R_OK | os.X_OK) else ():
        target = folder / place.name
        if place.is_dir() and not target.exists():
            partial = folder / f".{place.name}.{os.getpid()}"
            try:
                shutil.copytree(place, partial)
                partial.rename(target)
            except OSError:  # another process was faster, or the disk is full
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def _own_folder() -> Path:
    """Return a folder for this source: in the user's cache, in the temporary folder, or one for this process alone."""
    name, faults = f"numba-{_state_of_source()}", []
    for home in (_cache_home(), Path(tempfile.gettempdir(), f"connectomake-{os.getuid()}")):
        if home is None:
            continue
        fault = make_private(home) or make_private(home / name)
        if fault is None:
            return home / name
        faults.append(fault)
    folder = tempfile.mkdtemp(prefix="connectomake-numba-")
    atexit.register(_remove_if_made_by, os.getpid(), folder)
    reason = "; ".join(faults)
    _say(f"{reason}: compiled functions are not kept, each start takes minutes; set XDG_CACHE_HOME to a folder of your own")
    return Path(folder)


def _cache_home() -> Path | None:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given / "connectomake"
    try:
        return Path("~/.cache").expanduser() / "connectomake"
    except RuntimeError:  # a user without a home
        return None


def _state_of_source() -> str:
    """Return a hash of all source that numba compiles."""
    package = Path(__file__).parent
    state = hashlib.sha256(str(package).encode())
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        if b"njit" in source:
            state.update(source)
    return state.hexdigest()[:16]


def _remove_if_made_by(pid: int, folder: str) -> None:
    """Remove a folder, unless this process is a fork of the one that made it."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(f"connectomake: note: {text}", file=sys.stderr)  # noqa: T201
