"""Reading beyond the faces of a volume: it is mirrored there."""

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
