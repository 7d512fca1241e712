"""The median of neighbouring voxels."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place, VoxelSize
from connectomake.geometry import Vec


@dataclass(frozen=True)
class Median(Filter):
    """Take the median of the box of voxels around each; the dtype stays.

    Parameters
    ----------
    size
        Of the box, z, y, x, in voxels: odd numbers.
    """

    key: ClassVar[str] = "median"
    held_per_voxel: ClassVar[float] = 12
    seconds_per_megavoxel: ClassVar[float] = 3.0

    size: Vec = (1, 1, 1)

    def __post_init__(self) -> None:
        """Refuse boxes of even size."""
        even = [v for v in self.size if v % 2 == 0]
        if even:
            raise ConfigError(f"size {list(self.size)} has no middle along an axis of {even[0]} voxels; take odd numbers")

    def reach(self, voxel_size: VoxelSize) -> Vec:
        z, y, x = (v // 2 for v in self.size)
        return (z, y, x)

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        from scipy import ndimage

        return np.stack([ndimage.median_filter(channel, size=self.size, mode="mirror") for channel in values])
