"""The rule of agglomeration: thresholds and sizes, turned into integers once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from connectomake.agglomeration.means import threshold_of
from connectomake.errors import ConfigError

NEVER = np.iinfo(np.uint64).max


@dataclass(frozen=True)
class Rule:
    """The rules of agglomeration.

    Parameters
    ----------
    threshold
        Mean affinity from which two segments merge, 0 … 1; None: none do.
    dtype
        Of the affinities: uint8 or float32.
    t_low
        Voxel edges below this do not join small supervoxels; the watershed's.
    min_supervoxel
        Supervoxels below this many voxels are joined along their strongest voxel edges first; 0 or 1: none.
    absorb
        Segments below this many voxels join their best neighbour at the end; 0: none.
    large_voxels, large_threshold
        Two segments of at least `large_voxels` merge only from this mean affinity; None: no such rule.

    Raises
    ------
    ConfigError
        If `large_threshold` is below `threshold`, or only one of the two is given.
    """

    threshold: float | None
    dtype: str
    t_low: float = 0.02
    min_supervoxel: int = 0
    absorb: int = 0
    large_voxels: int | None = None
    large_threshold: float | None = None

    def __post_init__(self) -> None:
        if (self.large_voxels is None) != (self.large_threshold is None):
            raise ConfigError("the rule for large segments needs both their voxels and a threshold; give both, or neither")
        if self.large_threshold is not None and self.threshold is not None and self.large_threshold < self.threshold:
            raise ConfigError(
                f"the threshold of large segments, {self.large_threshold}, is below that of all, {self.threshold}; raise it"
            )

    @classmethod
    def from_config(cls, section: dict[str, Any], segmentation: dict[str, Any], threshold: float | None, dtype: str) -> "Rule":
        """Make it from the checked sections `agglomeration` ({} where it is null) and `segmentation`, at one of the thresholds.

        A threshold for large segments below the one for all changes nothing and is left out.
        """
        large = section.get("large") or {}
        if large and threshold is not None and large["threshold"] < threshold:
            large = {}
        return cls(
            threshold,
            dtype,
            t_low=segmentation["t_low"],
            min_supervoxel=segmentation["min_supervoxel"],
            absorb=section.get("absorb", 0),
            large_voxels=large.get("voxels"),
            large_threshold=large.get("threshold"),
        )

    @cached_property
    def floor(self) -> np.ndarray:
        """The threshold as numerator and denominator of a mean of integers, (2,) uint64; 1 / 0 is never reached."""
        if self.threshold is None:
            return np.array([1, 0], np.uint64)
        return threshold_of(self.threshold, self.dtype)

    @cached_property
    def large(self) -> np.ndarray:
        """Voxels, numerator and denominator of the rule for large segments, (3,) uint64."""
        if self.large_voxels is None or self.large_threshold is None:
            return np.array([NEVER, 0, 1], np.uint64)
        return np.array([self.large_voxels, *threshold_of(self.large_threshold, self.dtype)], np.uint64)

    @cached_property
    def least_edge(self) -> np.uint32:
        """The watershed's lower threshold as `Edges.best` counts."""
        import math
        from fractions import Fraction

        if self.dtype == "uint8":
            return np.uint32(math.ceil(255 * Fraction(str(float(self.t_low)))))
        return max(np.float32(self.t_low), np.finfo(np.float32).tiny).view(np.uint32)
