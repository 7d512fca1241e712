"""An image on its way to the network: checked, and scaled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import RunError
from connectomake.geometry.box import Box


def full_scale(dtype: np.dtype[Any]) -> float | None:
    """Return what an image dtype is divided by to lie in [0, 1]: its maximum, or None for floats.

    Raises
    ------
    RunError
        If the dtype is neither an integer nor a real float.
    """
    if dtype.kind in "iu":
        return float(np.iinfo(dtype).max)
    if dtype.kind == "b":
        return 1.0
    if dtype.kind == "f":
        return None
    raise RunError(f"the image has dtype {dtype}, which the network cannot read: use integers or floats")


def scale_into(target: NDArray[np.float32], image: NDArray[Any]) -> None:
    """Write an image into a float32 array of its shape: integers over their dtype's maximum, floats as they are."""
    scale = full_scale(image.dtype)
    if scale is None:
        target[...] = image
    else:
        np.divide(image, np.float32(scale), out=target, dtype=np.float32, casting="unsafe")


def check_finite(image: NDArray[Any], box: Box, what: str) -> None:
    """Refuse an array with NaN or infinity, naming the first such voxel.

    Parameters
    ----------
    image
        (c, z, y, x), whose first voxel lies at the start of `box`.
    box
        Where the array lies.
    what
        Whose values these are, for the message.

    Raises
    ------
    RunError
        If a value is not finite.
    """
    if image.dtype.kind != "f":
        return
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(image.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(image))
    if len(bad):
        channel, *offset = (int(v) for v in bad[0])
        z, y, x = (o + s for o, s in zip(offset, box.start, strict=True))
        value = image[tuple(bad[0])]
        raise RunError(f"{what} has the value {value} in channel {channel} at z, y, x = {z}, {y}, {x}: it must be finite")
