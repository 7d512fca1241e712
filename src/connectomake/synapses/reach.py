"""Distances in nanometres, decided exactly: voxel sizes and reach are brought to whole numbers of a common unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import Vec

_MOST_LINES = 1 << 20


def whole_units(*lengths: float) -> list[int]:
    """Return lengths in a unit in which all are whole, each taken to nine digits, so that 18.6 is 186 tenths.

    Examples
    --------
    >>> whole_units(40.0, 8.0, 18.599999999999998)
    [200, 40, 93]
    """
    exact = [Fraction(f"{length:.9g}") for length in lengths]
    unit = math.lcm(*(value.denominator for value in exact))
    return [int(value * unit) for value in exact]


@dataclass(frozen=True, slots=True)
class Ball:
    """The offsets, in voxels, from one middle of a voxel to another that are no longer than a reach.

    Parameters
    ----------
    halo
        The largest offset along z, y and x.
    widths
        (2 * halo z + 1, 2 * halo y + 1) int64: the largest offset along x for each along z and y; -1 where there is none.
    """

    halo: Vec
    widths: np.ndarray


def ball_of(reach: float, voxel_size: Sequence[float], shape: Vec) -> Ball:
    """Return the ball of a reach in nm, no wider than a box of a shape, beyond which there is nothing.

    Raises
    ------
    ConfigError
        If it is negative, not finite, or too far to be held.
    """
    if not 0 <= reach < math.inf:
        raise ConfigError(f"--reach {reach} must be a distance in nm, 0 or more")
    r, *units = whole_units(reach, *voxel_size)
    hz, hy, hx = (min(r // unit, n - 1) for unit, n in zip(units, shape, strict=True))
    if (2 * hz + 1) * (2 * hy + 1) > _MOST_LINES:
        raise ConfigError(f"--reach {reach} nm is {hz} voxels along z and {hy} along y, too far; take less, or a coarser scale")
    left = [[r * r - (dz * units[0]) ** 2 - (dy * units[1]) ** 2 for dy in range(-hy, hy + 1)] for dz in range(-hz, hz + 1)]
    widths = [[-1 if rest < 0 else min(math.isqrt(rest // units[2] ** 2), hx) for rest in line] for line in left]
    return Ball((hz, hy, hx), np.array(widths, np.int64))
