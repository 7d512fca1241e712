"""Fill small holes of a mask, section by section."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.filters.base import Filter, Place, VoxelSize, largest
from connectomake.geometry import Vec


@dataclass(frozen=True)
class FillHoles(Filter):
    """Fill holes of an image that is 0 and not 0: small 4-connected components of 0 within a section.

    A hole of any size has no bounded reach: whether it is one may turn out at the other end of the volume. One of at most
    `area` voxels has, for it lies within `area` of each of its voxels.

    Parameters
    ----------
    area
        Voxels of the largest hole that is filled, with the largest value of the dtype (1 of floats); also of those at the
        volume's faces.
    """

    key: ClassVar[str] = "fill_holes"
    mirrored: ClassVar[bool] = False
    seconds_per_megavoxel: ClassVar[float] = 0.1

    area: int = 1

    def reach(self, voxel_size: VoxelSize) -> Vec:
        return (0, self.area, self.area)

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        from scipy import ndimage

        found = values.copy()
        for section in found.reshape(-1, *found.shape[2:]):
            labels, count = ndimage.label(section == 0)
            small = np.bincount(labels.ravel(), minlength=count + 1) <= self.area
            small[0] = False
            section[small[labels]] = largest(values.dtype.name)
        return found
