"""The threshold rule: which values are foreground."""

import math
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from connectomake.errors import ConfigError

Threshold: TypeAlias = np.uint8 | np.float32


def threshold_for(threshold: float, dtype: np.dtype | str) -> Threshold:
    """Return the bound that values of a dtype are compared with: foreground is ``value > bound``.

    Parameters
    ----------
    threshold
        In [0, 1).
    dtype
        Of the values: float32 (a probability), uint8 (read as value/255) or bool.

    Returns
    -------
    uint8 or float32
        For uint8 floor(255 × threshold), so that the comparison is one of integers; 255 × threshold is taken of the
        number as it is written in decimal. For float32 the threshold rounded to float32, as NumPy compares.

    Raises
    ------
    ConfigError
        If the threshold is outside [0, 1) or the dtype is another.

    Examples
    --------
    >>> threshold_for(0.35, "uint8")   # 89.25: 89/255 is below, 90/255 above
    np.uint8(89)
    """
    if not 0 <= threshold < 1:
        raise ConfigError(f"the threshold must be at least 0 and below 1, got {threshold}")
    name = np.dtype(dtype).name
    if name == "bool":
        return np.uint8(0)
    if name == "uint8":
        return np.uint8(math.floor(255 * Fraction(str(float(threshold)))))
    if name == "float32":
        return np.float32(threshold)
    raise ConfigError(f"components are made of float32 or uint8 values, got {name}; convert them")
