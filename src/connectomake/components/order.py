"""Check of the channel order of affinities.

An affinity to the lower neighbour on axis d belongs half a voxel below the voxel that holds it, along d alone. So against the
mean of the two other channels, each channel looks shifted by half a voxel up its own axis, and by a quarter down each of the
others; that shift shows in the data, whatever they are of.
"""

import itertools

import numpy as np

LEAST_GAIN = 0.5
"""Voxels, over three channels: the right order has a sum of about 1.5, one with two channels swapped of 0."""


def shifts(affinity: np.ndarray) -> np.ndarray:
    """Estimate how far each channel is shifted along each axis against the mean of the others.

    Parameters
    ----------
    affinity
        (3, z, y, x) float32 or uint8, at least three voxels along each axis.

    Returns
    -------
    (3, 3) float64
        In voxels, channel by axis, by least squares of first order; 0 where nothing varies along an axis.
    """
    found = np.zeros((3, 3))
    inner = (slice(1, -1),) * 3
    for channel in range(3):
        others = np.mean([affinity[c].astype(np.float64) for c in range(3) if c != channel], axis=0)
        difference = affinity[channel][inner] - others[inner]
        for axis in range(3):
            ahead, behind = (list(inner), list(inner))
            ahead[axis], behind[axis] = slice(2, None), slice(None, -2)
            slope = (others[tuple(ahead)] - others[tuple(behind)]) / 2
            power = float((slope * slope).sum())
            found[channel, axis] = -float((difference * slope).sum()) / power if power else 0.0
    return found


def order_warning(affinity: np.ndarray, key: str = "the channels") -> str | None:
    """Return a sentence if the channels of affinities seem to be in another order than z, y, x, or to look upward.

    Parameters
    ----------
    affinity
        (3, z, y, x) float32 or uint8: a part of some 50 voxels a side is enough; None for less than 8 a side.
    key
        Where their order is said.
    """
    if min(affinity.shape[1:]) < 8:
        return None
    seen = shifts(affinity)
    scores = {order: sum(seen[c, a] for c, a in enumerate(order)) for order in itertools.permutations(range(3))}
    here, best = scores[0, 1, 2], max(scores, key=lambda order: scores[order])
    if here < -LEAST_GAIN and -here > scores[best]:
        return (
            "the affinities look like edges to the upper neighbours, not the lower; shift each channel by one voxel up its axis"
        )
    if scores[best] > here + LEAST_GAIN:
        channels = [best.index(axis) for axis in range(3)]
        return (
            f"the affinity channels look like those of the axes {', '.join('zyx'[a] for a in best)}, not z, y, x; if so, "
            f"reorder {key}: take the entries {channels}"
        )
    return None
