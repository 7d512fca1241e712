"""Imports of a user's Python file from its own folder, kept apart from modules of the same name in other folders."""

import contextlib
import functools
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

_LOCK = threading.RLock()
_LOADED: dict[Path, dict[str, ModuleType]] = {}
"""Modules by the folder that they were imported from."""
_INSTALLED = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


@contextlib.contextmanager
def own_neighbours(folder: Path) -> Iterator[None]:
    """Let imports find the Python files of a folder; afterwards all modules are as before.

    Two files in different folders may each import a ``helper`` from beside them: each gets its own.

    Parameters
    ----------
    folder
        The resolved folder.
    """
    with _LOCK:
        names = _importable(folder, folder.stat().st_mtime_ns)
        others = _take(names)
        sys.modules.update(_LOADED.get(folder, {}))
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            _LOADED[folder] = _take(names)
            sys.modules.update(others)


@functools.lru_cache
def _importable(folder: Path, _time: int) -> frozenset[str]:
    """Return the names that could be imported from a folder, as it was at a time."""
    return frozenset(path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir())


def _take(names: frozenset[str]) -> dict[str, ModuleType]:
    """Take modules of these names, and what is in them, out of those that are loaded; what is installed stays."""
    loose = {name for name in names if name in sys.modules and _is_loose(sys.modules[name])}
    found = [name for name in list(sys.modules) if name.split(".")[0] in loose] if loose else []
    return {name: sys.modules.pop(name) for name in found}


def _is_loose(module: ModuleType) -> bool:
    """Return whether a module lies in some folder, not among those that are installed or part of Python."""
    if module.__name__ == "__main__":
        return False
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if file is None:
        return False
    path = Path(file).resolve()
    return not any(part in path.parents for part in _INSTALLED) and Path(__file__).parents[1] not in path.parents
