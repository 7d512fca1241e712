"""The base class of image filters."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry import Box, Vec

VoxelSize = tuple[float, float, float]
Hashed = dict[str, str]
"""SHA-256 of files, by path."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the voxels lie that a filter gets.

    Parameters
    ----------
    box
        Their place, in voxels of the source, z, y, x. Where the volume is mirrored at its faces, it reaches beyond them.
    bounds
        The whole volume.
    voxel_size
        Nanometres, z, y, x.
    """

    box: Box
    bounds: Box
    voxel_size: VoxelSize


@dataclass(frozen=True)
class Filter(ABC):
    """A filter of an image; its fields are its keys in the config.

    What it makes of a voxel depends on the voxels within its reach and on the place in the volume, on nothing else: the answer
    of a block is then that of the whole volume.

    Raises
    ------
    ConfigError
        If a value is out of range or contradicts another; it names the key within the filter.
    """

    key: ClassVar[str]
    """The name in the config."""
    mirrored: ClassVar[bool] = True
    """Whether the volume is mirrored at its faces, the outermost voxels not repeated; else what is handed over ends there."""
    first: ClassVar[bool] = False
    """Whether it must be the first of the list."""
    held_per_voxel: ClassVar[float] = 16
    """Bytes per voxel and channel while it works, what it gets and gives included."""
    seconds_per_megavoxel: ClassVar[float] = 0.05
    """Seconds of one core per 10⁶ voxels and channel."""

    @abstractmethod
    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        """Return the filtered voxels (c, z, y, x), in the same shape; only those whose reach lies in `place.box` count."""

    def reach(self, voxel_size: VoxelSize) -> Vec:
        """Return how many voxels on each side of a voxel its answer depends on, z, y, x."""
        return (0, 0, 0)

    def gives(self, stored: str) -> str:
        """Return the NumPy name of the dtype that becomes of another.

        Raises
        ------
        ConfigError
            If the filter does not apply to it.
        """
        return stored

    @property
    def made_for(self) -> str:
        """The fingerprint of the one source that it fits; "" if it fits any."""
        return ""

    def check(self, bounds: Box) -> None:  # noqa: B027 (most name no places)
        """Refuse parameters that do not fit the volume.

        Raises
        ------
        ConfigError
            If a place is named that it does not have.
        """

    def plain(self) -> dict[str, Any]:
        """Return the keys that are not at their default, as plain JSON values."""
        default = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(self)}
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: as_plain(value) for name, value in named.items() if value != default[name]}

    def meaning(self) -> dict[str, Any]:
        """Return what results depend on, as plain JSON values: `plain`, without what only says where files lie."""
        return self.plain()

    def files(self) -> Hashed:
        """Return the files that the filter reads, with their SHA-256 when it was `sealed`, else with ""."""
        return {}

    def sealed(self, hashes: Callable[[str], tuple[str, Hashed]]) -> "Filter":
        """Return the filter with the hashes of its files noted.

        Parameters
        ----------
        hashes
            Returns the SHA-256 of a file, and of those beside it that it uses.
        """
        return self


def as_plain(value: Any) -> Any:
    """Return tuples as lists, however deep."""
    return [as_plain(part) for part in value] if isinstance(value, tuple) else value


def as_tuple(value: Any) -> Any:
    """Return lists as tuples, however deep."""
    return tuple(as_tuple(part) for part in value) if isinstance(value, list | tuple) else value


def rounded(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Return float64 values in a dtype: integers rounded to the nearest (halves to the even one) and cut to its range."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    low, high = largest(dtype, lowest=True), largest(dtype)
    return np.clip(np.rint(values), low, high).astype(kind)


def largest(dtype: str, lowest: bool = False) -> float:
    """Return the value that represents 1 in an image of a dtype, its maximum, or 1 for floats; or the lowest."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return 0 if lowest else 1
    return int(np.iinfo(kind).min if lowest else np.iinfo(kind).max)
