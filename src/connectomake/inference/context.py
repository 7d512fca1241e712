"""Reading image around a block: reflected where the source has none, checked, scaled for the network."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import RunError
from connectomake.geometry.box import Box

Reader: TypeAlias = Callable[[Box], NDArray[Any]]
"""Returns the voxels of a box inside the source, as (c, z, y, x) or, with one channel, (z, y, x)."""


def reflect(positions: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """Map positions onto ``low <= p < high`` by mirroring at the first and last voxel, which are not repeated.

    This is numpy's 'reflect' rule, applied as often as needed; an axis of one voxel repeats it.

    Examples
    --------
    >>> reflect(np.arange(-3, 6), 0, 3).tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    size = high - low
    if size == 1:
        return np.full_like(positions, low)
    period = 2 * (size - 1)
    folded = (positions - low) % period
    return low + np.minimum(folded, period - folded)


def reflected_box(box: Box, bounds: Box) -> Box:
    """Return the smallest box inside `bounds` that holds all voxels of `box` after reflection at the bounds."""
    ends = [
        (a, b) if low <= a and b <= high else _ends(reflect(np.arange(a, b, dtype=np.int64), low, high))
        for a, b, low, high in zip(box.start, box.stop, bounds.start, bounds.stop, strict=True)
    ]
    (z0, z1), (y0, y1), (x0, x1) = ends
    return Box((z0, y0, x0), (z1, y1, x1))


def _ends(positions: NDArray[np.int64]) -> tuple[int, int]:
    return int(positions.min()), int(positions.max()) + 1


def read_reflected(read: Reader, box: Box, bounds: Box) -> NDArray[Any]:
    """Read a box that may reach beyond the source, mirroring the source at its faces.

    Parameters
    ----------
    read
        Reads a box inside `bounds`.
    box
        What to read, in voxels.
    bounds
        Where the source has data.

    Returns
    -------
    (c, z, y, x)
        In the source's dtype. Voxels beyond `bounds` equal those of ``np.pad(source, mode="reflect")``.

    Raises
    ------
    RunError
        If the reader gives an array that has not the shape of the box.
    """
    if bounds.contains(box):
        return _read_checked(read, box)
    positions = [
        reflect(np.arange(a, b, dtype=np.int64), low, high)
        for a, b, low, high in zip(box.start, box.stop, bounds.start, bounds.stop, strict=True)
    ]
    lows = [int(p.min()) for p in positions]
    inner = Box((lows[0], lows[1], lows[2]), tuple(int(p.max()) + 1 for p in positions))  # type: ignore[arg-type]
    data = _read_checked(read, inner)
    for axis, (p, low) in enumerate(zip(positions, lows, strict=True)):
        if len(p) != data.shape[axis + 1] or p[0] != low or np.any(np.diff(p) != 1):
            data = np.take(data, p - low, axis=axis + 1)
    return data


def _read_checked(read: Reader, box: Box) -> NDArray[Any]:
    data = np.asarray(read(box))
    data = data[np.newaxis] if data.ndim == 3 else data
    if data.ndim != 4 or data.shape[1:] != box.shape:
        raise RunError(f"the image reader gave an array of shape {data.shape} for the box {box} of shape {box.shape}")
    return data


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
