"""The weights that blend overlapping patches."""

import itertools

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry.box import Vec

HIGHEST = 1e6
"""Weight of the patch's middle before normalisation; that of its corners is 1."""


def bump(patch: Vec) -> NDArray[np.float64]:
    """Return the bump function of a patch, rescaled linearly to [1, 1e6].

    Per axis u = 2 (i + 1) / (n + 1) - 1; the value is exp(sum of -1 / (1 - u²)): chunkflow's form (Wu et al., 2021,
    doi:10.1038/s41592-021-01088-5). A patch of one value everywhere has 1e6 everywhere.

    Returns
    -------
    (z, y, x) float64
    """
    exponent = np.zeros(patch, np.float64)
    for axis, n in enumerate(patch):
        u = (np.arange(n) + 1.0) / (n + 1.0) * 2.0 - 1.0
        exponent += np.expand_dims(-1.0 / (1.0 - u * u), tuple(a for a in range(3) if a != axis))
    values = np.exp(exponent)
    low, high = values.min(), values.max()
    if low == high:
        return np.full(patch, HIGHEST)
    return (values - low) * ((HIGHEST - 1.0) / (high - low)) + 1.0  # type: ignore[no-any-return]


def blend_weights(patch: Vec, overlap: Vec) -> NDArray[np.float32]:
    """Return the bump function divided by its sum over the 3×3×3 neighbouring patch positions.

    Where patches lie at the regular stride and each voxel is covered only by neighbours, the weights of all patches at
    a voxel add up to 1 (but for rounding). Elsewhere, at the region's faces and its last patches, they do not, and the
    blended sum must be divided by the sum of weights.

    Parameters
    ----------
    patch
        Shape of the output patch, in voxels.
    overlap
        Voxels shared with the next patch, per axis.

    Returns
    -------
    (z, y, x) float32
        Weights greater than 0.
    """
    weights = bump(patch)
    stride = [p - o for p, o in zip(patch, overlap, strict=True)]
    total = np.zeros_like(weights)
    for steps in itertools.product((-1, 0, 1), repeat=3):
        here, there = _shifted([s * n for s, n in zip(stride, steps, strict=True)], patch)
        total[here] += weights[there]
    return (weights / total).astype(np.float32)


def _shifted(shift: list[int], patch: Vec) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a patch moved by `shift` lies in this patch, and which part of it that is."""
    here = tuple(slice(min(max(s, 0), n), max(min(n + s, n), 0)) for s, n in zip(shift, patch, strict=True))
    there = tuple(slice(min(max(-s, 0), n), max(min(n - s, n), 0)) for s, n in zip(shift, patch, strict=True))
    return here, there
