"""A user-defined filter: a function in a Python file."""

import functools
import hashlib
import importlib.util
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import RunError, SourceError
from connectomake.filters.base import Filter, Hashed, Place, VoxelSize
from connectomake.filters.neighbours import own_neighbours
from connectomake.geometry import Box, Vec

Function = Callable[[NDArray[Any]], Any]
_COMPARED = 16
"""Voxels a side, at most, of the part of each box that is computed a second time."""


@dataclass(frozen=True)
class Python(Filter):
    """Apply a user-defined function.

    It gets an array (c, z, y, x), which it may write to, and returns one of the same shape. What it makes of a voxel may depend
    on the voxels up to `halo` away, on nothing else. A part of every box is computed again by itself and compared, so that a
    halo that is too small is noticed.

    Parameters
    ----------
    file
        The Python file.
    function
        The function's name in it.
    halo
        Voxels around a voxel on which its answer depends, z, y, x.
    dtype
        NumPy name of what it returns; None: what it gets.
    sha256
        Hash of the file, when the plan was made.
    beside
        Hashes of the files beside it that it uses, by their paths within its folder.
    """

    key: ClassVar[str] = "python"
    held_per_voxel: ClassVar[float] = 64
    seconds_per_megavoxel: ClassVar[float] = 3.0

    file: str = ""
    function: str = ""
    halo: Vec = (0, 0, 0)
    dtype: str | None = None
    sha256: str = ""
    beside: Hashed = field(default_factory=dict)

    def reach(self, voxel_size: VoxelSize) -> Vec:
        return self.halo

    def gives(self, stored: str) -> str:
        return self.dtype or stored

    def meaning(self) -> dict[str, Any]:
        return {key: value for key, value in self.plain().items() if key != "file"}

    def files(self) -> Hashed:
        folder = PurePosixPath(self.file).parent
        return {self.file: self.sha256, **{str(folder / name): sha for name, sha in self.beside.items()}}

    def sealed(self, hashes: Callable[[str], tuple[str, Hashed]]) -> "Python":
        sha256, beside = hashes(self.file)
        return replace(self, sha256=sha256, beside=beside)

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        function = _function(self.file, self.function, self.sha256)
        found = self._checked(function, values)
        self._compare(function, values, found, place)
        return found

    def _checked(self, function: Function, values: NDArray[Any]) -> NDArray[Any]:
        found = self._called(function, values)
        self._check(found, values)
        return np.asarray(found)

    def _compare(self, function: Function, values: NDArray[Any], found: NDArray[Any], place: Place) -> None:
        """Refuse a function whose result for a part of a box differs from that for the whole box."""
        core = middle(values.shape[1:], self.halo)
        part = core.grow(self.halo)
        again = self._checked(function, values[(slice(None), *part.slices())])
        differ = found[(slice(None), *core.slices())] != again[(slice(None), *core.slices(part.start))]
        if differ.any():
            z, y, x = (int(a) + b + c for a, b, c in zip(np.argwhere(differ)[0][1:], core.start, place.box.start, strict=True))
            raise RunError(
                f"{self._name} gives two answers at z, y, x = {z}, {y}, {x}, for a box and for a part of it: it depends on "
                f"more than the halo {list(self.halo)}; raise the halo, or let it use nothing but the voxels within it"
            )

    def _called(self, function: Function, values: NDArray[Any]) -> Any:
        try:
            with own_neighbours(Path(self.file).parent.resolve()):
                return function(values.copy())
        except (Exception, SystemExit) as error:  # the function is the user's: it may raise anything
            raise RunError(f"{self._name}{_line(error, self.file)} failed: {_words(error)}") from error

    def _check(self, found: Any, values: NDArray[Any]) -> None:
        """Refuse a result of another shape or dtype than declared."""
        if not isinstance(found, np.ndarray):
            raise RunError(f"{self._name} returned {type(found).__name__}; it must return a NumPy array")
        if found.shape != values.shape:
            raise RunError(
                f"{self._name} got {list(values.shape)} voxels (channels, z, y, x) and returned {list(found.shape)}; it must "
                "return as many"
            )
        wanted = self.gives(values.dtype.name)
        if found.dtype != wanted:
            raise RunError(
                f"{self._name} returned {found.dtype}, not {wanted}; name it as the filter's dtype, or convert it there"
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise RunError(f"{self._name} returned values that are not finite (NaN or infinity); correct the function")

    @property
    def _name(self) -> str:
        return f"the filter python: {self.function} of {self.file}"


def middle(shape: tuple[int, ...], halo: Vec) -> Box:
    """Return a box in the middle of what a halo leaves of a shape: half of it, at most `_COMPARED` voxels a side."""
    sizes = [n - 2 * h for n, h in zip(shape, halo, strict=True)]
    z, y, x = (min(_COMPARED, (n + 1) // 2) for n in sizes)
    a, b, c = (h + (n - m) // 2 for h, n, m in zip(halo, sizes, (z, y, x), strict=True))
    return Box.of_shape((z, y, x), (a, b, c))


@functools.lru_cache
def _function(file: str, name: str, sha256: str) -> Function:
    """Return a function of a file, which is run once per process and content."""
    module = _module(file, sha256)
    found = getattr(module, name, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise SourceError(f"{file} has no function {name!r}; it has {', '.join(names) or 'none'}")
    return found  # type: ignore[no-any-return]


def _module(file: str, sha256: str) -> ModuleType:
    """Run a Python file, which may import what lies beside it."""
    path = Path(file)
    name = f"connectomake_filter_{hashlib.sha256(f'{path.resolve()} {sha256}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SourceError(f"the filter python names {file!r}, which is not a Python file; name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        with own_neighbours(path.parent.resolve()):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the file is the user's: it may raise anything
        raise SourceError(f"running {file} for the filter python failed{_line(error, file)}: {_words(error)}") from error
    return module


def _line(error: BaseException, file: str) -> str:
    """Return where in the user's file something failed."""
    if isinstance(error, SyntaxError):
        return f" in line {error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).absolute() == Path(file).absolute()]
    return f" in line {frames[-1].lineno}" if frames else ""


def _words(error: BaseException) -> str:
    """Return an error in one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
