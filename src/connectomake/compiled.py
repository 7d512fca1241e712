"""When numba is loaded, and where it keeps compiled functions: a folder per version of this library's source.

Numba itself notices a change of the file that a compiled function stands in, not of the functions that it calls in other files,
and fails where the package's folder cannot be written.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_njit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called, so that a job that never calls it does not load numba.

    To import numba takes 0.15 s of CPU time, its first call another 0.3 s, as much as the rest of a small job. Only for
    functions that are called from Python: compiled ones cannot call them.
    """

    @functools.cache
    def compiled() -> Callable[..., Any]:
        from numba import njit

        return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return compiled()(*args)

    return call


def use_cache_of_this_source() -> None:
    """Set ``NUMBA_CACHE_DIR``, unless it is set, to a writable folder named after all source that numba compiles."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    package = Path(__file__).parent
    state = hashlib.sha256(str(package).encode())
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        if b"njit" in source:
            state.update(source)
    os.environ["NUMBA_CACHE_DIR"] = str(_writable_folder() / f"numba-{state.hexdigest()[:16]}")


def _writable_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    folder = Path(cache) / "connectomake"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"connectomake-{os.getuid()}"
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir()) / f"connectomake-{os.getuid()}"
