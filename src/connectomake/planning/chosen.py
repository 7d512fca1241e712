"""A selection of blocks for a trial run (by id, near marked points, or at random), and the mask that leaves only these."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.geometry import Box, Vec, volume_of

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan
    from connectomake.planning.spots import Spot

MOST_VOXELS = 1 << 28


def blocks_at(plan: "Plan", spot: "Spot", around: float) -> list[int]:
    """Return the blocks within some nm of an annotation, along each axis.

    Parameters
    ----------
    plan
        The run.
    spot
        Bounding box of the annotation, in nm.
    around
        Distance in nm.

    Returns
    -------
    list of int
        Block ids; empty if all of it lies outside the region of interest.
    """
    low, high = (
        [(corner[a] + sign * around) / plan.source.voxel_size[a] for a in range(3)]
        for corner, sign in zip(spot, (-1, 1), strict=True)
    )
    (z, y, x), (c, b, a) = map(math.floor, low), (math.floor(value) + 1 for value in high)
    return plan.grid.ids_meeting(Box((z, y, x), (c, b, a)))


def draw(blocks: Iterable[int], count: int, seed: int) -> list[int]:
    """Draw blocks at random, the same for the same seed; a larger count adds to those of a smaller one.

    Blocks are taken in the order of the SHA-256 of seed and id, so the draw does not depend on which other blocks there are.

    Raises
    ------
    ConfigError
        If there are fewer than `count`.
    """
    ranked = sorted(blocks, key=lambda block: hashlib.sha256(f"{seed} {block}".encode()).digest())
    if len(ranked) < count:
        raise ConfigError(f"--random {count}: only {len(ranked)} blocks are left to draw from")
    return ranked[:count]


def mask_of(plan: "Plan", blocks: Sequence[int]) -> tuple[NDArray[np.uint8], Vec, Vec]:
    """Return a mask that leaves only some blocks, combined with the config's own mask.

    Parameters
    ----------
    plan
        The run.
    blocks
        Ids of the blocks.

    Returns
    -------
    array
        (z, y, x), 1 is inside.
    factors
        Voxels of the source per voxel of the mask, z, y, x.
    offset
        Its first voxel, in voxels of the mask (z, y, x).

    Raises
    ------
    ConfigError
        If the mask would be too large, because the blocks are not aligned to a coarse grid that begins at the source's voxel 0.
    """
    roi, block = plan.roi, plan.block
    own = (0, 0, 0) if plan.mask is None else plan.mask.factors
    z, y, x = (math.gcd(b, s, f) for b, s, f in zip(block, roi.start, own, strict=True))
    factors: Vec = (z, y, x)
    box = _scaled(roi, factors)
    if box.volume > MOST_VOXELS:
        raise ConfigError(
            f"the mask would have {box.volume:,} voxels, each of {list(factors)} voxels of the source: set source.start to "
            f"multiples of the block, {list(block)}, such as {[s // b * b for s, b in zip(roi.start, block, strict=True)]}"
        )
    chosen = np.isin(plan.grid.id_array, np.array(blocks, np.int64))
    steps = [np.arange(n) * f // b for n, f, b in zip(box.shape, factors, block, strict=True)]
    inside = chosen[np.ix_(*steps)]
    if plan.mask is not None:
        mask = plan.mask.open()
        c, b, a = (f // n for f, n in zip(mask.factors, factors, strict=True))
        inside &= replace(mask, factors=(c, b, a)).inside(box)
    return inside.astype(np.uint8), factors, box.start


def _scaled(box: Box, factors: Vec) -> Box:
    z, y, x = (a // f for a, f in zip(box.start, factors, strict=True))
    c, b, a = (-(-n // f) for n, f in zip(box.stop, factors, strict=True))
    return Box((z, y, x), (c, b, a))


def share(plan: "Plan", blocks: Sequence[int]) -> float:
    """Return the fraction of the region of interest that some blocks cover."""
    return sum(plan.grid.box(block).volume for block in blocks) / volume_of(plan.roi.shape)
