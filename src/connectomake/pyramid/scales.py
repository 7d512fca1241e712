"""The scales of a pyramid: factors from the voxel size, boxes on a lattice that is the same for every region and block.

Voxel j of a scale is the box ``[j f, (j + 1) f)`` of the scale below, for negative j too: precomputed knows only whole voxel
offsets, so on this lattice, and no other, all scales lie on top of each other. At the region's faces a voxel stands for what
there is of its box.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from connectomake.geometry import Box, Vec, as_vec
from connectomake.layers import LayerSpec

MOST_SCALES = 24


def scales_of(
    spec: LayerSpec, count: int | None = None, factors: Sequence[Sequence[int]] | None = None
) -> tuple[LayerSpec, ...]:
    """Return a layer at all its scales, the finest (`spec`) first.

    Every scale has the same block and storage chunk, so each has fewer shards by the factor.

    Parameters
    ----------
    spec
        The layer.
    count
        Coarser scales at most; None: until the region fits into one storage chunk.
    factors
        Per coarser scale, how many voxels of the scale below make one, z y x; None: see `next_factor`.
    """
    found = [spec]
    given = None if factors is None else [as_vec(f) for f in factors]
    most = min(MOST_SCALES if count is None else count, MOST_SCALES if given is None else len(given))
    while len(found) <= most:
        last = found[-1]
        if given is None and count is None and all(n <= c for n, c in zip(last.roi.shape, last.chunk, strict=True)):
            break
        factor = next_factor(last) if given is None else given[len(found) - 1]
        if factor == (1, 1, 1):
            break
        found.append(coarser(last, factor))
    return tuple(found)


def next_factor(spec: LayerSpec) -> Vec:
    """Return 2 for the axes with the finest voxels, within a factor of √2, else 1; 1 also where nothing is left to join.

    So sections of 4 nm at 40 nm are joined within the section until voxels are nearly cubes, then along all axes.

    Examples
    --------
    Voxels of 40, 4, 4 nm: (1, 2, 2), (1, 2, 2), (1, 2, 2) give 40, 32, 32 nm, then (2, 2, 2).
    """
    lengths = [v if n > 1 else math.inf for v, n in zip(spec.voxel_size, spec.roi.shape, strict=True)]
    finest = min(lengths)
    z, y, x = (2 if length < math.inf and length <= finest * math.sqrt(2) * (1 + 1e-9) else 1 for length in lengths)
    return (z, y, x)


def coarser(spec: LayerSpec, factor: Vec) -> LayerSpec:
    """Return the next scale of a layer."""
    z, y, x = (v * f for v, f in zip(spec.voxel_size, factor, strict=True))
    return replace(spec, roi=coarser_box(spec.roi, factor), voxel_size=(z, y, x))


def coarser_box(box: Box, factor: Vec) -> Box:
    """Return the voxels of the next scale that a box has a part in."""
    start = as_vec([a // f for a, f in zip(box.start, factor, strict=True)])
    stop = as_vec([-(-b // f) for b, f in zip(box.stop, factor, strict=True)])
    return Box(start, stop)


def factor_between(child: LayerSpec, parent: LayerSpec) -> Vec:
    """Return how many voxels of a scale make one of the next."""
    return as_vec([round(p / c) for p, c in zip(parent.voxel_size, child.voxel_size, strict=True)])


def child_box(child: LayerSpec, parent: LayerSpec, box: Box) -> Box:
    """Return the voxels of a scale that a box of the next coarser one covers.

    Parameters
    ----------
    child, parent
        A scale, and the next coarser one.
    box
        In voxels of `parent`.

    Returns
    -------
    Box
        In voxels of `child`, within its region.
    """
    factor = factor_between(child, parent)
    start, stop = (as_vec([p * f for p, f in zip(end, factor, strict=True)]) for end in (box.start, box.stop))
    return Box(start, stop).intersect(child.roi)
