"""Bad sections, blanked or interpolated from their neighbours."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place, VoxelSize, rounded
from connectomake.geometry import Box, Vec


@dataclass(frozen=True)
class BadSections(Filter):
    """Replace bad sections by zeros or by interpolation between the good ones around them.

    Parameters
    ----------
    sections
        Their z, in voxels of the source.
    repair
        ``blank``: zeros; ``nearest``: the nearest good section, of two the lower one; ``interpolate``: between the nearest good
        sections below and above, linearly in z, in float64; the nearest one where there is none on one side.
    """

    key: ClassVar[str] = "bad_sections"
    mirrored: ClassVar[bool] = False

    sections: tuple[int, ...] = ()
    repair: str = "interpolate"

    def __post_init__(self) -> None:
        """Sort the list."""
        object.__setattr__(self, "sections", tuple(sorted(set(self.sections))))

    def check(self, bounds: Box) -> None:
        low, high = bounds.start[0], bounds.stop[0]
        beyond = [z for z in self.sections if not low <= z < high]
        if beyond:
            raise ConfigError(f"section {beyond[0]} is not in the source, whose sections are {low} to {high - 1}; correct it")
        if len(self.sections) == high - low and self.repair != "blank":
            raise ConfigError("all sections of the source are listed, so none is left to repair them from; list fewer")

    def reach(self, voxel_size: VoxelSize) -> Vec:
        return (0 if self.repair == "blank" else self._longest, 0, 0)

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        found = values.copy()
        low, bad = place.box.start[0], set(self.sections)
        for z in self.sections:
            if low <= z < place.box.stop[0]:
                found[:, z - low] = self._repaired(values, z - low, [z - low for z in _good_around(z, bad, place.bounds)])
        return found

    def _repaired(self, values: NDArray[Any], z: int, good: list[int]) -> NDArray[Any] | int:
        """Return a section of an array, given the nearest good ones; those beyond the array make no voxel that counts."""
        good = [g for g in good if 0 <= g < values.shape[1]]
        if self.repair == "blank" or not good:
            return 0
        if self.repair == "nearest" or len(good) == 1:
            nearest: NDArray[Any] = values[:, min(good, key=lambda g: abs(g - z))]
            return nearest
        low, high = good
        share = (z - low) / (high - low)
        mixed = values[:, low] * np.float64(1 - share) + values[:, high] * np.float64(share)
        return rounded(mixed, values.dtype.name)

    @functools.cached_property
    def _longest(self) -> int:
        """Length of the longest series of consecutive bad sections."""
        longest = run = 0
        for before, z in zip((None, *self.sections), self.sections, strict=False):
            run = run + 1 if before == z - 1 else 1
            longest = max(longest, run)
        return longest


def _good_around(z: int, bad: set[int], bounds: Box) -> list[int]:
    """Return the nearest good section below and the one above, as far as the volume has them."""
    low = next((g for g in range(z - 1, bounds.start[0] - 1, -1) if g not in bad), None)
    high = next((g for g in range(z + 1, bounds.stop[0]) if g not in bad), None)
    return [g for g in (low, high) if g is not None]
