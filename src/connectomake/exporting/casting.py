"""Lossless casts of voxels to another dtype."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError

_WHOLE = {"float32": 2**24, "float64": 2**53}
"""Largest number up to which a float holds every integer."""


def cast(values: np.ndarray, dtype: np.dtype, place: Callable[[tuple[int, ...]], str]) -> np.ndarray:
    """Return values in another dtype; floats are rounded to a narrower float, nothing else changes.

    Parameters
    ----------
    values
        Of any dtype.
    dtype
        The wanted one.
    place
        Names a voxel by its index, in errors.

    Raises
    ------
    ConfigError
        If a value does not fit.

    Examples
    --------
    >>> cast(np.array([0, 255]), np.dtype("uint8"), str)
    array([  0, 255], dtype=uint8)
    """
    if values.dtype == dtype:
        return values
    bad = _unfit(values, dtype)
    if bad.any():
        index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        raise ConfigError(
            f"{place(index)} is {values[index]}, which {dtype.name} does not hold; choose another --dtype, or leave it out"
        )
    return values.astype(dtype)


def _unfit(values: np.ndarray, dtype: np.dtype) -> NDArray[np.bool_]:
    """Return where a value does not fit the dtype: out of range, or a fraction for integers."""
    if dtype.kind == "f":
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                rounded = values.astype(dtype)
            return np.asarray(np.isfinite(values) & ~np.isfinite(rounded), bool)
        return _beyond(values, -_WHOLE[dtype.name], _WHOLE[dtype.name])
    info = np.iinfo(dtype)
    if values.dtype.kind == "f":
        wide = values.astype(np.float64)  # the end of a range of 64 bits is no float: the next whole number is
        held = (wide >= float(info.min)) & (wide < float(info.max + 1)) & (wide == np.trunc(wide))
        return np.asarray(~held, bool)
    return _beyond(values, int(info.min), int(info.max))


def _beyond(values: np.ndarray, low: int, high: int) -> NDArray[np.bool_]:
    own, beyond = np.iinfo(values.dtype), np.zeros(values.shape, bool)
    if low > own.min:
        beyond |= values < low
    if high < own.max:
        beyond |= values > high
    return beyond
