"""Filters of single voxels: threshold, inverse, rescale."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place, largest, rounded

Range = tuple[float, float]


@dataclass(frozen=True)
class Threshold(Filter):
    """Make voxels above a value 255, all others 0, as uint8.

    Parameters
    ----------
    value
        The value, as the voxels have it at this place in the list.
    """

    key: ClassVar[str] = "threshold"

    value: float = 0.0

    def gives(self, stored: str) -> str:
        return "uint8"

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        return (_exact(values) > self.value).view(np.uint8) * np.uint8(255)


@dataclass(frozen=True)
class Inverse(Filter):
    """Turn black into white: integers v into lowest + largest - v of their dtype, floats into 1 - v."""

    key: ClassVar[str] = "inverse"

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        inverted: NDArray[Any] = np.subtract(np.float32(1), values) if values.dtype.kind == "f" else np.invert(values)
        return inverted


@dataclass(frozen=True)
class Rescale(Filter):
    """Map a range of values linearly to another; what lies beyond becomes its ends.

    Computed in float64; integers are rounded to the nearest, halves to the even one.

    Parameters
    ----------
    values
        The two values, as the voxels have them at this place in the list, that become those of `to`.
    to
        What they become.
    dtype
        ``uint8``, ``uint16`` or ``float32``.
    """

    key: ClassVar[str] = "rescale"
    held_per_voxel: ClassVar[float] = 32

    values: Range = (0.0, 0.0)
    to: Range = (0.0, 1.0)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Refuse empty ranges, and those that the dtype does not hold."""
        for name in ("values", "to"):
            low, high = (float(v) for v in getattr(self, name))
            object.__setattr__(self, name, (low, high))
        if self.values[0] == self.values[1]:
            raise ConfigError(f"values {list(self.values)} is empty; name the value of to[0] and the value of to[1]")
        lowest, most = largest(self.dtype, lowest=True), largest(self.dtype)
        if self.dtype != "float32" and not all(lowest <= v <= most for v in self.to):
            raise ConfigError(
                f"to {list(self.to)} does not fit {self.dtype}, which holds {lowest} to {most}; change to or dtype"
            )

    def gives(self, stored: str) -> str:
        return self.dtype

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        (low, high), (first, last) = self.values, self.to
        share = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
        return rounded(first + share * (last - first), self.dtype)


def _exact(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as float64, so that a threshold is compared as it is written, whatever the dtype."""
    return values.astype(np.float64) if values.dtype.itemsize <= 4 else values
