"""Thresholds of mean affinities as fractions, for comparisons without rounding."""

from fractions import Fraction

import numpy as np

from connectomake.errors import ConfigError

_DIGITS = 10**9


def scale_of(dtype: np.dtype | str) -> tuple[float, float]:
    """Return what affinities are multiplied with to be summed as integers, and the greatest affinity.

    Raises
    ------
    ConfigError
        If the dtype is neither float32 nor uint8.
    """
    name = np.dtype(dtype).name
    if name not in {"uint8", "float32"}:
        raise ConfigError(f"agglomeration needs float32 or uint8 affinities, got {name}; convert them")
    return (1.0, 255.0) if name == "uint8" else (2.0**24, 1.0)


def threshold_of(threshold: float, dtype: np.dtype | str) -> np.ndarray:
    """Return a threshold as numerator and denominator (2,) uint64 of a mean of integers.

    The threshold is taken to nine decimals, of the number as it is written.

    Raises
    ------
    ConfigError
        If it is not within 0 … 1.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"a threshold of agglomeration must be from 0 to 1, got {threshold}")
    scale, most = scale_of(dtype)
    exact = Fraction(round(Fraction(str(float(threshold))) * _DIGITS), _DIGITS) * int(scale * most)
    return np.array([exact.numerator, exact.denominator], np.uint64)


def reaches(total: np.ndarray, count: np.ndarray, threshold: float, dtype: np.dtype | str) -> np.ndarray:
    """Tell which means total / count (m,) uint64 are at least a threshold: (m,) bool, without rounding."""
    from connectomake.agglomeration.exact import reach

    return np.asarray(reach(total, count, threshold_of(threshold, dtype)))
