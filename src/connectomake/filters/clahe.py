"""Contrast-limited adaptive histogram equalisation, section by section."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place, VoxelSize, largest, rounded
from connectomake.geometry import Vec

_LEVELS, _ROWS = 256, 64


@dataclass(frozen=True)
class Clahe(Filter):
    """Equalise histograms of tiles, limited, and interpolate between tiles: CLAHE, after Pizer et al. 1987 and Zuiderveld 1994.

    Tiles begin at the source's first voxel; the last along an axis is cut off. Each has a histogram of 256 grey levels, of
    which none may hold more than `clip` of the tile's voxels, or one; what is above is shared out over all levels. A voxel
    becomes the share of the tile's voxels that are at most as bright, interpolated linearly between the middles of the four
    nearest tiles, in float64.

    Parameters
    ----------
    tile
        Voxels of a tile, y, x.
    clip
        The limit; 1 is none.
    """

    key: ClassVar[str] = "clahe"
    mirrored: ClassVar[bool] = False
    held_per_voxel: ClassVar[float] = 20
    seconds_per_megavoxel: ClassVar[float] = 0.3

    tile: tuple[int, int] = (64, 64)
    clip: float = 0.01

    def gives(self, stored: str) -> str:
        if stored not in ("uint8", "uint16", "float32"):
            raise ConfigError(f"the image is {stored} here, whose range of values is not known; put a rescale filter before it")
        return stored

    def reach(self, voxel_size: VoxelSize) -> Vec:
        return (0, 2 * self.tile[0], 2 * self.tile[1])

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        found = np.empty_like(values)
        rows, columns = (
            _Axis(*line)
            for line in zip(
                place.box.start[1:], place.box.stop[1:], place.bounds.start[1:], place.bounds.stop[1:], self.tile, strict=True
            )
        )
        sections = zip(values.reshape(-1, *values.shape[2:]), found.reshape(-1, *values.shape[2:]), strict=True)
        for section, target in sections:
            levels = _levels(section)
            shares = self._shares(levels, rows, columns)
            for y in range(0, len(section), _ROWS):
                part = slice(y, y + _ROWS)
                mixed = _mixed(shares, levels[part], rows, columns, part)
                target[part] = rounded(mixed * largest(values.dtype.name), values.dtype.name)
        return found

    def _shares(self, levels: NDArray[np.int64], rows: "_Axis", columns: "_Axis") -> NDArray[np.float64]:
        """Return what each level becomes in each tile that meets a section, (tiles along y, along x, levels)."""
        shape = (rows.count, columns.count, _LEVELS)
        places = (rows.own[:, np.newaxis] * columns.count + columns.own) * _LEVELS + levels
        counts = np.bincount(places.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
        voxels = counts.sum(-1, keepdims=True)  # whole numbers: exact
        limit = np.maximum(np.floor(self.clip * voxels), 1)
        above = np.maximum(counts - limit, 0).sum(-1, keepdims=True)
        shares: NDArray[np.float64] = np.cumsum(np.minimum(counts, limit) + above / _LEVELS, axis=-1) / voxels
        return np.minimum(shares, 1)


class _Axis:
    """Tiles along one axis of an array.

    Parameters
    ----------
    start, stop
        Of the array.
    first, end
        Of the volume.
    tile
        Length of a tile.
    """

    def __init__(self, start: int, stop: int, first: int, end: int, tile: int) -> None:
        positions = np.arange(start, stop) - first
        self.own = positions // tile - positions[0] // tile
        self.count = int(self.own[-1]) + 1
        place = (positions + 0.5) / tile - 0.5
        lower = np.floor(place).astype(np.int64)
        self.share = place - lower
        last = -(-(end - first) // tile) - 1
        self.lower, self.upper = (
            np.clip(np.clip(index, 0, last) - positions[0] // tile, 0, self.count - 1) for index in (lower, lower + 1)
        )


def _levels(section: NDArray[Any]) -> NDArray[np.int64]:
    """Return the grey level of each voxel, 0 to 255."""
    if section.dtype.kind == "f":
        return np.minimum(np.clip(section.astype(np.float64), 0, 1) * _LEVELS, _LEVELS - 1).astype(np.int64)
    return section.astype(np.int64) >> (8 * section.dtype.itemsize - 8)


def _mixed(
    shares: NDArray[np.float64], levels: NDArray[np.int64], rows: _Axis, columns: _Axis, part: slice
) -> NDArray[np.float64]:
    """Return what rows of a section become, 0 to 1."""
    right = columns.share
    lines = [
        (1 - right) * shares[tiles, columns.lower, levels] + right * shares[tiles, columns.upper, levels]
        for tiles in (rows.lower[part, np.newaxis], rows.upper[part, np.newaxis])
    ]
    down = rows.share[part, np.newaxis]
    mixed: NDArray[np.float64] = (1 - down) * lines[0] + down * lines[1]
    return mixed
