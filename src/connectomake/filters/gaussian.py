"""Smoothing with a Gaussian."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place, VoxelSize, rounded
from connectomake.geometry import Vec

Sigma = tuple[float, float, float]


@dataclass(frozen=True)
class Gaussian(Filter):
    """Smooth with a Gaussian, computed in float64; the dtype stays.

    The kernel is sampled at whole voxels, ends at ``floor(truncate * sigma + 0.5)`` voxels and sums to 1, as that of
    `scipy.ndimage.gaussian_filter`.

    Parameters
    ----------
    sigma
        Standard deviation, one for all axes or one for each, z, y, x; 0 leaves an axis alone.
    unit
        Of sigma: ``voxels`` or ``nm``.
    truncate
        Where the kernel ends, in sigmas.
    """

    key: ClassVar[str] = "gaussian"
    held_per_voxel: ClassVar[float] = 32
    seconds_per_megavoxel: ClassVar[float] = 0.3

    sigma: float | Sigma = 0.0
    unit: str = "voxels"
    truncate: float = 4.0

    def __post_init__(self) -> None:
        """Take one sigma for all axes."""
        given = self.sigma if isinstance(self.sigma, tuple) else (self.sigma,) * 3
        z, y, x = (float(v) for v in given)
        object.__setattr__(self, "sigma", (z, y, x))
        object.__setattr__(self, "truncate", float(self.truncate))
        if not any(given):
            raise ConfigError("sigma is 0 along all axes, which smooths nothing; raise it, or leave the filter out")

    def reach(self, voxel_size: VoxelSize) -> Vec:
        z, y, x = (int(self.truncate * s + 0.5) for s in self._voxels(voxel_size))
        return (z, y, x)

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        from scipy import ndimage

        smoothed = np.empty(values.shape, values.dtype)
        for channel, target in zip(values, smoothed, strict=True):
            found = ndimage.gaussian_filter(
                channel.astype(np.float64), self._voxels(place.voxel_size), truncate=self.truncate, mode="mirror"
            )
            target[...] = rounded(found, values.dtype.name)
        return smoothed

    def _voxels(self, voxel_size: VoxelSize) -> Sigma:
        """Return sigma in voxels."""
        sigma: Any = self.sigma
        z, y, x = sigma if self.unit == "voxels" else (s / v for s, v in zip(sigma, voxel_size, strict=True))
        return (z, y, x)
