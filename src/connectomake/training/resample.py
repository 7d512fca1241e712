"""Cutting a turned, stretched and bent patch out of a volume: image trilinear, labels nearest."""

from typing import Any

import numpy as np
from numba import njit

IGNORE = np.uint32(0xFFFFFFFF)
"""Label of voxels that are not learned from."""

BOUNDARY = np.uint32(0)
"""Label of voxels that belong to no object."""


@njit(cache=True, nogil=True)
def _mirror(position: int, size: int) -> int:
    """Return a position mirrored at the first and last voxel, as often as needed."""
    if 0 <= position < size:
        return position
    if size == 1:
        return 0
    period = 2 * (size - 1)
    position %= period
    return min(position, period - position)


@njit(cache=True, nogil=True)
def _interpolate(values: Any, z: float, y: float, x: float) -> float:
    """Return the trilinear value at a place; beyond the array it is mirrored."""
    z0, y0, x0 = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    wz, wy, wx = z - z0, y - y0, x - x0
    total = 0.0
    for corner in range(8):
        cz, cy, cx = corner >> 2, (corner >> 1) & 1, corner & 1
        weight = (wz if cz else 1 - wz) * (wy if cy else 1 - wy) * (wx if cx else 1 - wx)
        if weight != 0.0:
            vz, vy, vx = _mirror(z0 + cz, values.shape[0]), _mirror(y0 + cy, values.shape[1]), _mirror(x0 + cx, values.shape[2])
            total += weight * values[vz, vy, vx]
    return total


@njit(cache=True, nogil=True)
def _nearest(labels: Any, z: float, y: float, x: float) -> Any:
    """Return the label of the nearest voxel, or that to be ignored beyond the array."""
    vz, vy, vx = int(np.floor(z + 0.5)), int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    if 0 <= vz < labels.shape[0] and 0 <= vy < labels.shape[1] and 0 <= vx < labels.shape[2]:
        return labels[vz, vy, vx]
    return IGNORE


@njit(cache=True, nogil=True)
def resample(
    image: Any, labels: Any, centre: Any, matrix: Any, bend: Any, slips: Any, label_slips: Any, out: Any, out_labels: Any
) -> None:
    """Fill a patch from a volume.

    The voxel p of the patch comes from ``centre + matrix (p - middle + slip) + bend(p)``, rounded for labels,
    interpolated for the image. Beyond the volume the image is mirrored and the labels are `IGNORE`.

    Parameters
    ----------
    image
        (z, y, x), any real dtype.
    labels
        (z, y, x) uint32.
    centre
        (3,) float64: where in the volume the patch's middle lies.
    matrix
        (3, 3) float64: patch axes in columns. A signed permutation copies voxels exactly.
    bend
        (3, a, b, c) float64: displacement at control points spread over the patch, corners at corners; interpolated. With
        a = 1 there is none.
    slips, label_slips
        (depth, 2) float64: shift of each of the patch's sections in y and x, for image and labels.
    out
        (z, y, x) float32.
    out_labels
        (z, y, x) uint32.
    """
    depth, height, width = out.shape
    m = matrix
    a, b, c = bend.shape[1:]
    sz, sy, sx = (a - 1) / max(depth - 1, 1), (b - 1) / max(height - 1, 1), (c - 1) / max(width - 1, 1)
    bz = by = bx = 0.0
    for z in range(depth):
        pz = z - (depth - 1) / 2
        dy, dx = slips[z, 0] - label_slips[z, 0], slips[z, 1] - label_slips[z, 1]
        for y in range(height):
            py = y - (height - 1) / 2 + label_slips[z, 0]
            for x in range(width):
                px = x - (width - 1) / 2 + label_slips[z, 1]
                if a > 1:
                    bz = _interpolate(bend[0], z * sz, y * sy, x * sx)
                    by = _interpolate(bend[1], z * sz, y * sy, x * sx)
                    bx = _interpolate(bend[2], z * sz, y * sy, x * sx)
                vz = centre[0] + m[0, 0] * pz + m[0, 1] * py + m[0, 2] * px + bz
                vy = centre[1] + m[1, 0] * pz + m[1, 1] * py + m[1, 2] * px + by
                vx = centre[2] + m[2, 0] * pz + m[2, 1] * py + m[2, 2] * px + bx
                out_labels[z, y, x] = _nearest(labels, vz, vy, vx)
                vz += m[0, 1] * dy + m[0, 2] * dx
                vy += m[1, 1] * dy + m[1, 2] * dx
                vx += m[2, 1] * dy + m[2, 2] * dx
                out[z, y, x] = _interpolate(image, vz, vy, vx)
