"""Patches of one value, such as the black padding of an image, for which the config may set the output without the network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CONSTANT_WAY_OUT = (
    "if pre_process divides by the standard deviation, add a small number to that, or set inference.constant to what constant "
    "patches become, such as 0"
)


def is_constant(patch: NDArray[Any]) -> bool:
    """Whether each channel of a patch (c, z, y, x) has one value."""
    first = patch[:, :1, :1, :1]
    return bool((patch[:, 0] == first[:, 0]).all() and (patch == first).all())  # the first plane tells for nearly all


def constant_patches(batch: NDArray[Any]) -> list[int]:
    """Return which patches of a batch (n, c, z, y, x) are constant."""
    return [place for place, patch in enumerate(batch) if is_constant(patch)]


def constant_channel(patch: NDArray[Any]) -> int | None:
    """Return the first channel of a patch (c, z, y, x) that has one value, or None."""
    return next((c for c, channel in enumerate(patch) if is_constant(channel[np.newaxis])), None)
