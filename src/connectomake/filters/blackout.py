"""Boxes of the image set to one value."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place
from connectomake.geometry import Box, as_vec


@dataclass(frozen=True)
class Blackout(Filter):
    """Give all voxels of some boxes one value.

    Parameters
    ----------
    boxes
        Each with ``start`` and ``stop``, z, y, x, in voxels of the source; the stop is exclusive.
    value
        What they become.
    """

    key: ClassVar[str] = "blackout"

    boxes: tuple[dict[str, list[int]], ...] = ()
    value: float = 0

    def __post_init__(self) -> None:
        """Refuse empty boxes."""
        for box in self._boxes:
            if box.empty:
                raise ConfigError(f"the box from {list(box.start)} to {list(box.stop)} holds no voxel; change start or stop")

    @property
    def _boxes(self) -> list[Box]:
        return [Box(as_vec(box["start"]), as_vec(box["stop"])) for box in self.boxes]

    def check(self, bounds: Box) -> None:
        for box in self._boxes:
            if box.intersect(bounds).empty:
                raise ConfigError(f"the box {box} lies outside the source, which holds {bounds}; correct it, or take it out")

    def gives(self, stored: str) -> str:
        if np.dtype(stored).kind != "f":
            info = np.iinfo(stored)
            if not info.min <= self.value <= info.max or int(self.value) != self.value:
                raise ConfigError(
                    f"value {self.value} is not a valid {stored}, which holds integers from {info.min} to {info.max}"
                )
        return stored

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        found = values.copy()
        for box in self._boxes:
            found[(slice(None), *box.intersect(place.box).slices(place.box.start))] = self.value
        return found
