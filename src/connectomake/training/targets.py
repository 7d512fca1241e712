"""Targets of the training: affinities of labels, and their weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.compiled import njit
from connectomake.geometry import Vec
from connectomake.training.resample import BOUNDARY, IGNORE

CUT, JOINED, UNKNOWN = np.uint8(0), np.uint8(1), np.uint8(2)
"""Classes of an affinity."""

LEAST_SHARE = 0.02
"""A class rarer than this share is weighted as if it had it."""


@njit(cache=True, nogil=True)
def _is_edge(labels: Any, z: int, y: int, x: int) -> bool:
    """Whether a face neighbour bears another label that is not to be ignored."""
    here = labels[z, y, x]
    for d in range(6):
        step = 1 if d & 1 else -1
        nz, ny, nx = z + (step if d < 2 else 0), y + (step if 2 <= d < 4 else 0), x + (step if d >= 4 else 0)
        if 0 <= nz < labels.shape[0] and 0 <= ny < labels.shape[1] and 0 <= nx < labels.shape[2]:
            there = labels[nz, ny, nx]
            if there not in (here, IGNORE):
                return True
    return False


@njit(cache=True, nogil=True)
def _erode(labels: Any, out: Any) -> None:
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                here = labels[z, y, x]
                out[z, y, x] = here
                if here not in (BOUNDARY, IGNORE) and _is_edge(labels, z, y, x):
                    out[z, y, x] = BOUNDARY


def erode(labels: NDArray[np.uint32], steps: int = 1) -> NDArray[np.uint32]:
    """Return labels whose voxels beside another label, or beside the boundary, became boundary (0); `steps` times.

    Voxels to be ignored stay and erode nothing.
    """
    for _ in range(steps):
        out = np.empty_like(labels)
        _erode(labels, out)
        labels = out
    return labels


@njit(cache=True, nogil=True)
def _affinity(labels: Any, oz: int, oy: int, ox: int, classes: Any) -> Any:
    """Fill classes with the affinity to the voxel `o` lower; count the known ones, and the joined ones."""
    depth, height, width = labels.shape
    classes[:] = UNKNOWN
    known, joined = 0, 0
    for z in range(oz, depth):
        for y in range(oy, height):
            for x in range(ox, width):
                here, there = labels[z, y, x], labels[z - oz, y - oy, x - ox]
                if IGNORE not in (here, there):
                    known += 1
                    same = here == there and here != BOUNDARY
                    joined += same
                    classes[z, y, x] = JOINED if same else CUT
    return known, joined


def affinities(
    labels: NDArray[np.uint32], offsets: tuple[Vec, ...], eroded: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the affinities of labels as classes, and what each class counts in the loss.

    The affinity of channel c at v is 1 (`JOINED`) if v and v - offsets[c] bear the same label, which is not boundary, else 0
    (`CUT`); it is `UNKNOWN` where either end is outside the patch or ignored. Weights are 0 for what is unknown; the others are
    such that both classes count the same and a channel's sum is 1 (less where a class is missing or rarer than `LEAST_SHARE`).

    Parameters
    ----------
    labels
        (z, y, x) uint32.
    offsets
        Of each channel, z, y, x ≥ 0. Those of length 1 are taken from the eroded labels.
    eroded
        By how many voxels labels are eroded for nearest-neighbour affinities, so that membranes are seen as such.

    Returns
    -------
    classes : (c, z, y, x) uint8
    weights : (c, 3) float32
        Of a voxel of each class: cut, joined, unknown.
    """
    classes, weights = np.empty((len(offsets), *labels.shape), np.uint8), np.zeros((len(offsets), 3), np.float32)
    near = erode(labels, eroded)
    for channel, (oz, oy, ox) in enumerate(offsets):
        source = near if oz + oy + ox == 1 else labels
        known, joined = _affinity(source, oz, oy, ox, classes[channel])
        share = min(max(joined / max(known, 1), LEAST_SHARE), 1 - LEAST_SHARE)
        weights[channel, CUT] = 0.5 / (1 - share) / max(known, 1)
        weights[channel, JOINED] = 0.5 / share / max(known, 1)
    return classes, weights
