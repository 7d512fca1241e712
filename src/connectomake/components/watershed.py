"""Watershed by a local rule, so that basins do not depend on how the volume is cut.

The affinity of channel d (z, y, x) at voxel v is the edge between v and its lower neighbour on axis d. Each voxel votes for
the strongest of its six edges, ties for the first of z-, y-, x-, z+, y+, x+. An edge is kept if either of its ends votes for it
or it is at least `t_high`, and never below `t_low`. Basins are the components over kept edges; a voxel without one is 0. ::

    edges of v:  z- = affinity[0] at v   z+ = affinity[0] at v + (1, 0, 0), in a block's last plane the neighbour's first
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from connectomake.components import flood
from connectomake.components.block import BlockLabels, check_shape, first_nan, table_at
from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Box, Vec
from connectomake.tables import EdgeFaces
from connectomake.union_find import number

HighPlanes: TypeAlias = tuple[np.ndarray | None, ...]
Bound: TypeAlias = np.int32 | np.float32


@dataclass(frozen=True, slots=True)
class WatershedRule:
    """The two thresholds.

    Parameters
    ----------
    t_low
        Above 0 and below `t_high`: edges below it are never kept.
    t_high
        At most 2: edges of at least this are always kept; above 1, none is.

    Raises
    ------
    ConfigError
        If they are not in this order.
    """

    t_low: float
    t_high: float

    def __post_init__(self) -> None:
        if not 0 < self.t_low < self.t_high <= 2:
            raise ConfigError(
                f"t_low {self.t_low} must be above 0 and below t_high {self.t_high}, at most 2; change one of them"
            )

    def bounds(self, dtype: np.dtype | str) -> tuple[Bound, Bound]:
        """Return the lower and the upper bound for values of a dtype: an edge reaches a threshold if ``value >= bound``.

        For uint8 they are integers, ceil(255 × threshold) of the number as it is written in decimal; for float32 the threshold
        rounded to float32, as NumPy compares.

        Raises
        ------
        ConfigError
            If the dtype is another.

        Examples
        --------
        >>> WatershedRule(0.02, 0.995).bounds("uint8")   # 5.1 and 253.725
        (np.int32(6), np.int32(254))
        """
        return bound_of(self.t_low, dtype), bound_of(self.t_high, dtype)


def bound_of(threshold: float, dtype: np.dtype | str) -> Bound:
    """Return what values of a dtype must reach, see `WatershedRule.bounds`.

    Raises
    ------
    ConfigError
        If the dtype is another.
    """
    name = np.dtype(dtype).name
    if name == "uint8":
        return np.int32(math.ceil(255 * Fraction(str(float(threshold)))))
    if name == "float32":
        return max(np.float32(threshold), np.finfo(np.float32).tiny)
    raise ConfigError(f"a watershed is made of float32 or uint8 affinities, got {name}; convert them")


def watershed_block(affinity: np.ndarray, high: HighPlanes, rule: WatershedRule, box: Box, roi: Box) -> BlockLabels:
    """Label the basins of one block, as far as they lie in it.

    Parameters
    ----------
    affinity
        (3, z, y, x) float32 or uint8 (read as value/255), channels z, y, x.
    high
        The edges across the high faces, which are in the neighbours' first planes: of channel z (y, x), of y (z, x), of x
        (z, y), of the same dtype; None where the region of interest ends.
    rule
        The thresholds.
    box
        Where the block lies.
    roi
        The region of interest, which contains it; edges across its low faces do not count.

    Raises
    ------
    ConfigError
        If the dtype is another.
    RunError
        If a value is NaN, there are not three channels, or a shape does not fit the box.
    """
    t_low, t_high = rule.bounds(affinity.dtype)
    _check(affinity, high, box)
    low = np.array([a != r for a, r in zip(box.start, roi.start, strict=True)])
    has_high = np.array([plane is not None for plane in high])
    shapes = _plane_shapes(box.shape)
    planes = [np.zeros(s, affinity.dtype) if p is None else np.ascontiguousarray(p) for p, s in zip(high, shapes, strict=True)]
    low_kept, high_kept = (tuple(np.zeros(s, np.uint8) for s in shapes) for _ in range(2))
    labels = np.empty(box.shape, np.uint32)
    block = np.ascontiguousarray(affinity)
    z, y, x = planes
    parents, nan = flood.flood(block, z, y, x, low, has_high, t_low, t_high, labels, low_kept, high_kept)
    if nan:
        raise RunError(_nan_message(affinity, box))
    count = number(parents, 0) - 1  # label 0 is no basin
    m = flood.relabel(labels, parents, count)
    table = table_at((m[:, 0], m[:, 1:4], m[:, 4:7], m[:, 7:10], m[:, 10:13]), box, roi)
    kept = [plane for pair in zip(low_kept, high_kept, strict=True) for plane in pair]
    return BlockLabels(labels, table, EdgeFaces(*_label_planes(labels), *kept))


def watershed(affinity: np.ndarray, t_low: float, t_high: float) -> np.ndarray:
    """Label the basins of a whole volume in memory.

    Parameters
    ----------
    affinity
        (3, z, y, x) float32 or uint8, channels z, y, x.
    t_low, t_high
        See `WatershedRule`.

    Returns
    -------
    (z, y, x) uint32
        0 where no edge reaches `t_low`; 1, 2, … in the order of the basins' first voxels.

    Raises
    ------
    ConfigError, RunError
        See `watershed_block`.
    """
    _, z, y, x = affinity.shape
    box = Box.of_shape((z, y, x))
    return watershed_block(affinity, (None, None, None), WatershedRule(t_low, t_high), box, box).labels


def high_boxes(box: Box, roi: Box) -> list[Box | None]:
    """Return the planes of affinities that a block needs from its high-side neighbours, one per axis.

    Parameters
    ----------
    box
        The block, in voxels.
    roi
        Region of interest, in voxels.

    Returns
    -------
    list of Box or None
        For z, y and x the plane just beyond the high face, one voxel thick; None where the block ends at the region's end.
    """
    planes: list[Box | None] = []
    for axis in range(3):
        start, stop = list(box.start), list(box.stop)
        start[axis], stop[axis] = box.stop[axis], box.stop[axis] + 1
        plane = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        planes.append(plane if box.stop[axis] < roi.stop[axis] else None)
    return planes


def _plane_shapes(shape: Vec) -> list[tuple[int, int]]:
    z, y, x = shape
    return [(y, x), (z, x), (z, y)]


def _label_planes(labels: np.ndarray) -> list[np.ndarray]:
    planes = (labels[0], labels[-1], labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    return [p.copy() for p in planes]


def _check(affinity: np.ndarray, high: HighPlanes, box: Box) -> None:
    if affinity.ndim != 4 or affinity.shape[0] != 3:
        raise RunError(f"a watershed needs affinities of three channels (z, y, x), got an array of shape {affinity.shape}")
    check_shape(affinity.shape[1:], box)
    for name, plane, shape in zip("zyx", high, _plane_shapes(box.shape), strict=True):
        if plane is not None and (plane.shape != shape or plane.dtype != affinity.dtype):
            raise RunError(
                f"the plane across the high {name} face has {plane.shape} {plane.dtype}, wanted {shape} {affinity.dtype}"
            )


def _nan_message(affinity: np.ndarray, box: Box) -> str:
    for channel in affinity:
        if np.isnan(channel).any():
            return f"the affinity at {first_nan(channel, box.start)} (z, y, x) is NaN; check the model and its input"
    return f"an affinity next to the block {box} is NaN; check the model and its input"
