"""Smooth random fields: lattices of random values, a gentle warp of space, and blurred voxel noise."""

import dataclasses
import math

import numpy as np

from connectomake.compiled import njit

_WARP_SPACING = (420.0, 150.0)  # nm between lattice points of the two octaves of the warp
_WARP_SIZE = (100.0, 16.0)  # nm, largest displacement per axis
WARP_REACH = 3**0.5 * sum(_WARP_SIZE)


def lattice(extent: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Return random values in -1..1 on a lattice, three per point: (3, z, y, x) float64."""
    points = tuple(int(np.ceil(e / spacing)) + 2 for e in extent)
    return 2.0 * rng.random((3, *points)) - 1.0


@njit(cache=True, nogil=True)
def smooth_noise(values: np.ndarray, channel: int, z: float, y: float, x: float) -> float:
    """Value between lattice points (z, y, x in lattice steps), blended with a smooth step."""
    iz, iy, ix = int(z), int(y), int(x)
    fz, fy, fx = z - iz, y - iy, x - ix
    fz, fy, fx = fz * fz * (3 - 2 * fz), fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
    total = 0.0
    for cz in range(2):
        for cy in range(2):
            low = values[channel, iz + cz, iy + cy, ix]
            value = low + fx * (values[channel, iz + cz, iy + cy, ix + 1] - low)
            total += value * (fz if cz else 1 - fz) * (fy if cy else 1 - fy)
    return total


@dataclasses.dataclass(frozen=True, slots=True)
class Warp:
    """Displacement of every place by two octaves of smooth noise; each a lattice of shape (3, z, y, x)."""

    coarse: np.ndarray
    fine: np.ndarray


def make_warp(extent: np.ndarray, rng: np.random.Generator) -> Warp:
    """Draw a random warp of a box.

    Parameters
    ----------
    extent
        (3,) far corner of the box that begins at 0, in nm (z, y, x).
    rng
        Random generator; the same state gives the same warp.
    """
    return Warp(*(lattice(extent, spacing, rng) for spacing in _WARP_SPACING))


@njit(cache=True, nogil=True)
def warped(z: float, y: float, x: float, coarse: np.ndarray, fine: np.ndarray) -> tuple[float, float, float]:
    """Place from which a voxel takes its tissue."""
    return (
        z + _shift(coarse, fine, 0, z, y, x),
        y + _shift(coarse, fine, 1, z, y, x),
        x + _shift(coarse, fine, 2, z, y, x),
    )


@njit(cache=True, nogil=True)
def _shift(coarse: np.ndarray, fine: np.ndarray, axis: int, z: float, y: float, x: float) -> float:
    a, b = _WARP_SPACING
    slow = smooth_noise(coarse, axis, z / a, y / a, x / a)
    shift: float = _WARP_SIZE[0] * slow + _WARP_SIZE[1] * smooth_noise(fine, axis, z / b, y / b, x / b)
    return shift


@njit(cache=True, nogil=True)
def unwarped(places: np.ndarray, coarse: np.ndarray, fine: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Return the places (n, 3) whose tissue is taken from `places`: the warp's inverse, by fixed-point steps."""
    out = np.empty_like(places)
    for i in range(places.shape[0]):
        guess = places[i].copy()
        for _ in range(6):
            inside = np.minimum(np.maximum(guess, 0.0), extent)
            for axis in range(3):
                guess[axis] = places[i, axis] - _shift(coarse, fine, axis, inside[0], inside[1], inside[2])
        out[i] = guess
    return out


def voxel_noise(shape: tuple[int, int, int], passes: int, rng: np.random.Generator) -> np.ndarray:
    """Return normal noise of mean 0 and deviation 1, blurred by `passes` filters (1, 2, 1) / 4 per axis: float32."""
    field = rng.standard_normal(shape, dtype=np.float32)
    for _ in range(passes):
        blur(field)
    # a filter's deviation is the root of the sum of its squared weights, here binomial(4p, 2p) / 16^p per axis
    field *= np.float32((16**passes / math.comb(4 * passes, 2 * passes)) ** 1.5)
    return field


def blur(field: np.ndarray) -> None:
    """Filter with (1, 2, 1) / 4 along each axis, in place; the ends are repeated."""
    for axis in range(3):
        _blur_rows(np.moveaxis(field, axis, 0))


@njit(cache=True, nogil=True)
def _blur_rows(field: np.ndarray) -> None:
    """Filter along the first axis, plane by plane."""
    before = field[0].copy()
    for i in range(field.shape[0]):
        after = field[min(i + 1, field.shape[0] - 1)]
        for j in range(field.shape[1]):
            for k in range(field.shape[2]):
                here = field[i, j, k]
                field[i, j, k] = np.float32(0.25) * (before[j, k] + after[j, k]) + np.float32(0.5) * here
                before[j, k] = here
