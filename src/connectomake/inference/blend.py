"""Weighted sums of patches in a rolling slab, and their division by the lattice's sum of weights."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.compiled import njit
from connectomake.geometry.box import Box
from connectomake.geometry.lattice import PatchLattice
from connectomake.inference.bump import blend_weights
from connectomake.inference.values import BadOutputError, limits_of


@njit(cache=True, nogil=True)
def _add(total: Any, patch: Any, weights: Any, z0: int, y0: int, x0: int, low: int, high: int, weighted: bool) -> None:
    """Add a patch at (z0, y0, x0), relative to the box, to the planes low ≤ z < high of a slab that is a ring in z."""
    channels, ring, height, width = total.shape
    y_low, y_high = max(y0, 0), min(y0 + patch.shape[2], height)
    x_low, x_high = max(x0, 0), min(x0 + patch.shape[3], width)
    for c in range(channels):
        for z in range(max(z0, low), min(z0 + patch.shape[1], high)):
            for y in range(y_low, y_high):
                row = total[c, z % ring, y, x_low:x_high]
                values = patch[c, z - z0, y - y0, x_low - x0 : x_high - x0]
                if weighted:
                    for x in range(row.size):
                        row[x] += values[x]
                else:
                    factors = weights[z - z0, y - y0, x_low - x0 : x_high - x0]
                    for x in range(row.size):
                        row[x] += values[x] * factors[x]


@njit(cache=True, nogil=True)
def _weight_row(row: Any, weights: Any, z: int, y: int, zs: Any, ys: Any, xs: Any) -> None:
    """Sum the weights of all patches over one row of voxels, in lattice order."""
    row[:] = np.float32(0)
    for z0 in zs:
        if z0 <= z < z0 + weights.shape[0]:
            for y0 in ys:
                if y0 <= y < y0 + weights.shape[1]:
                    for x0 in xs:
                        low, high = max(x0, 0), min(x0 + weights.shape[2], row.size)
                        factors = weights[z - z0, y - y0]
                        for x in range(low, high):
                            row[x] += factors[x - x0]


@njit(cache=True, nogil=True, error_model="numpy")
def _divide_row(sums: Any, row: Any, target: Any, to_uint8: bool, low: Any, high: Any) -> Any:
    """Divide one row, quantise it if asked, zero its sums.

    Returns the position and value of a first value that is not from `low` to `high` or no number, or -1 and 0.
    """
    bad = 0
    for x in range(row.size):
        value = sums[x] / row[x]
        bad += not (low <= value <= high)
        if to_uint8:
            value = np.floor(min(max(value * np.float32(255) + np.float32(0.5), np.float32(0)), np.float32(255)))
        target[x] = value
    place, found = -1, np.float32(0)
    if bad:
        for x in range(row.size):
            if not (low <= sums[x] / row[x] <= high):
                place, found = x, sums[x] / row[x]
                break
    sums[:] = np.float32(0)
    return place, found


@njit(cache=True, nogil=True)
def _finish(
    total: Any, out: Any, weights: Any, limits: Any, first: int, planes: int, at: int, zs: Any, ys: Any, xs: Any
) -> Any:
    """Divide planes of the ring by their sums of weights into `out` from its plane `at`, and zero them.

    Returns channel, z, y, x and value of the first that is beyond the channel's limits, or -1 four times.
    """
    channels, ring, height, width = total.shape
    row = np.empty(width, np.float32)
    to_uint8 = out.itemsize == 1
    for z in range(first, first + planes):
        for y in range(height):
            _weight_row(row, weights, z, y, zs, ys, xs)
            for c in range(channels):
                sums, target = total[c, z % ring, y], out[c, at + z - first, y]
                x, value = _divide_row(sums, row, target, to_uint8, limits[c, 0], limits[c, 1])
                if x >= 0:
                    return c, z, y, x, value
    return -1, -1, -1, -1, np.float32(0)


class SlabBlender:
    """Sums the patches of one block, holding only the planes that a patch in work can still touch.

    Memory is channels × output patch z × block y × block x × 4 bytes. Each voxel is summed in lattice order in float32,
    so its value does not depend on the block.

    Parameters
    ----------
    lattice
        The patches of the whole region.
    box
        The block, inside the region.
    channels
        Channels of the network's output.
    weighted
        Whether patches come already multiplied by their weights.
    checked
        Channels that must hold probabilities; the others, finite numbers.
    """

    def __init__(self, lattice: PatchLattice, box: Box, channels: int, weighted: bool, checked: Iterable[int] = ()) -> None:
        self.box = box
        self.weighted = weighted
        self._limits = limits_of(channels, checked)
        self.weights = blend_weights(lattice.patch, lattice.overlap)
        self._starts = [s - low for s, low in zip(lattice.starts(box), box.start, strict=True)]
        depth, height, width = box.shape
        self._total = np.zeros((channels, min(depth, lattice.patch[0]), height, width), np.float32)
        self._done = 0

    def add(self, patch: NDArray[np.float32], start: NDArray[np.int64]) -> None:
        """Add an output patch (c, z, y, x) whose first voxel lies at `start` (z, y, x in the volume)."""
        z, y, x = (int(s) - low for s, low in zip(start, self.box.start, strict=True))
        _add(self._total, patch, self.weights, z, y, x, self._done, self.box.shape[0], self.weighted)

    def new_slab(self, planes: int, dtype: str) -> NDArray[Any]:
        """Return planes (c, z, y, x) to be finished."""
        return np.empty((len(self._total), planes, *self.box.shape[1:]), dtype)

    def fetch(self, slab: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        """Return what returns a finished slab."""
        return lambda: slab

    def finish(self, out: NDArray[Any], at: int, planes: int) -> None:
        """Write the next finished planes into `out` (c, z, y, x) from its plane `at`, and forget their sums.

        `out` is float32, or uint8 and then receives floor(255 p + .5), computed in float32 and cut to 0…255.

        Raises
        ------
        BadOutputError
            With the first value that is not finite, or no probability in a channel that must hold such.
        """
        c, *offset, value = _finish(self._total, out, self.weights, self._limits, self._done, planes, at, *self._starts)
        if c >= 0:
            z, y, x = (int(o) + s for o, s in zip(offset, self.box.start, strict=True))
            raise BadOutputError(int(c), (z, y, x), float(value))
        self._done += planes
