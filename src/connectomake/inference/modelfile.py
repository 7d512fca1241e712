"""Running a user's Python model file, with clear errors."""

import collections
import collections.abc
import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from connectomake.errors import ModelError
from connectomake.networks.error_summary import error_summary

PYTORCH_NAMES = ("load_model", "InstantiatedModel")
UNIVERSAL_NAME = "PatchInferencer"
_NEIGHBOURS: dict[Path, set[str]] = {}
"""Names of the modules that running a model file imported from its folder."""


def import_model_file(path: Path) -> ModuleType:
    """Run a Python model file; modules in its folder can be imported by it.

    Raises
    ------
    ModelError
        If the file is missing or raises; the message names the line.
    """
    if not path.is_file():
        raise ModelError(f"inference.model {str(path)!r} is not a file: give the path of a model file")
    name = _name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: not a Python file: inference.model takes .py, .pt, .pth or .ts")
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    sys.modules[name] = module
    _forget_namesakes(path)
    before = set(sys.modules)
    with _surroundings(path.parent.resolve()):
        guarded(lambda: loader.exec_module(module), path, "running the model file")
    _NEIGHBOURS.setdefault(path.resolve(), set()).update(_beside(path, set(sys.modules) - before))
    return module


def _beside(path: Path, names: Iterable[str]) -> set[str]:
    """Return which of the modules are Python files in the model's folder."""
    folder = path.parent.resolve()
    files = {name: str(getattr(sys.modules.get(name), "__file__", None) or "") for name in names}
    return {
        name
        for name, file in files.items()
        if file.endswith(".py") and folder in Path(file).resolve().parents and "site-packages" not in file
    }


def _forget_namesakes(path: Path) -> None:
    """Let a model file import its own neighbours, not those of the same name beside one that was run earlier."""
    folder = path.parent.resolve()
    for other, names in _NEIGHBOURS.items():
        if other.parent != folder:
            for name in names:
                if (folder / f"{name.split('.')[0]}.py").exists() or (folder / name.split(".")[0]).is_dir():
                    sys.modules.pop(name, None)


@contextlib.contextmanager
def anew(path: Path) -> Iterator[None]:
    """Let a model file that is run again also run its neighbours again; then all modules are as before."""
    names = _NEIGHBOURS.get(path.resolve(), set()) | {_name(path)}
    kept = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        yield
    finally:
        sys.modules.update(kept)


def _name(path: Path) -> str:
    return f"connectomake_model_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"


@contextlib.contextmanager
def _surroundings(folder: Path) -> Iterator[None]:
    """Let a model file import its neighbours, and use the names that `collections` had before Python 3.10.

    Published networks of 2018 to 2021 say ``collections.Iterable``.
    """
    old = [name for name in ("Iterable", "Sequence", "Mapping", "Callable") if not hasattr(collections, name)]
    sys.path.insert(0, str(folder))
    for name in old:
        setattr(collections, name, getattr(collections.abc, name))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in old:
            delattr(collections, name)


def guarded(action: Callable[[], Any], path: Path, doing: str, hint: str = "") -> Any:
    """Call code of a model file; turn whatever it raises into one sentence with the file's line.

    Raises
    ------
    ModelError
        Instead of any other exception.
    """
    try:
        return action()
    except ModelError:
        raise
    except SyntaxError as error:
        raise ModelError(f"{path}: {doing} failed in line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # the file is the user's: it may raise anything
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
        where = f" in line {frames[-1].lineno}" if frames else ""
        raise ModelError(f"{path}: {doing} failed{where}: {type(error).__name__}: {error_summary(error)}{hint}") from error


def form_of(module: ModuleType, path: Path, kind: str) -> str:
    """Return which form a model file has: 'pytorch' or 'universal'.

    Raises
    ------
    ModelError
        If it defines nothing usable, or not what `kind` asks for.
    """
    forms = [
        form
        for form, names in (("pytorch", PYTORCH_NAMES), ("universal", (UNIVERSAL_NAME,)))
        if any(hasattr(module, name) for name in names)
    ]
    wanted = forms if kind == "auto" else [form for form in forms if form == kind]
    if not wanted:
        raise ModelError(
            f"{path}: defines no InstantiatedModel, load_model or PatchInferencer"
            + ("" if kind == "auto" else f" as inference.kind {kind!r} needs")
            + ": define one of them (chunkflow's model-file forms)"
        )
    return wanted[0]
