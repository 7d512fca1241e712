"""Block shapes that are legal for a config: multiples of the mesh cell that fall into storage chunks."""

import math
from collections.abc import Iterator

from connectomake.config import default_chunk
from connectomake.errors import ConfigError
from connectomake.geometry import Vec, as_vec, volume_of
from connectomake.layers.spec import chunk_levels
from connectomake.planning.plan import Plan

FACTORS = (1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 1.5, 2, 3, 4, 6, 8, 12, 16)
UNEVEN = 2.0
MOST, LEAST = 1 << 30, 1 << 9
CHUNKS = range(1 << 12, (1 << 22) + 1)
"""Voxels of a storage chunk that suit viewers."""


def blocks_of(plan: Plan) -> list[Vec]:
    """Return block shapes to try, smallest first: the config's own, and those grown or shrunk alike along all axes.

    An axis may stay behind where the region ends or the mesh cell is reached.
    """
    found = {plan.block, *(b for b in _shapes(plan) if LEAST <= volume_of(b) <= MOST and _storable(plan, b))}
    return sorted(found, key=lambda b: (volume_of(b), b))


def chunk_for(plan: Plan, block: Vec) -> list[int] | None:
    """Return the `chunk` to use with a block: the config's, if legal; else one near 64 a side."""
    chunk = plan.config["chunk"]
    if chunk is None:
        return None
    try:
        chunk_levels(block, as_vec(chunk))
    except ConfigError:
        return list(default_chunk(block))
    return list(chunk)


def _storable(plan: Plan, block: Vec) -> bool:
    chunk = chunk_for(plan, block)
    if chunk is not None and chunk == plan.config["chunk"]:
        return True
    return volume_of(default_chunk(block)) in CHUNKS


def _shapes(plan: Plan) -> Iterator[Vec]:
    axes = [_sizes(plan, axis) for axis in range(3)]
    for z, one in axes[0].items():
        for y, two in axes[1].items():
            for x, three in axes[2].items():
                if _even((one, two, three)):
                    yield (z, y, x)


def _even(growths: tuple[tuple[float, float], ...]) -> bool:
    """Tell whether ranges of growth, from least to most, meet within `UNEVEN`."""
    return max(low for low, _ in growths) <= UNEVEN * min(high for _, high in growths)


def _sizes(plan: Plan, axis: int) -> dict[int, tuple[float, float]]:
    """Return lengths along an axis, and the growth that each stands for: of one that covers the region, any above."""
    size, extent = plan.block[axis], plan.roi.shape[axis]
    unit = as_vec(plan.config["meshes"]["cell"])[axis] if plan.meshes_enabled else math.gcd(size, plan.chunk[axis])
    enough = max(-(-extent // unit) * unit, unit)
    found = {}
    for length in {min(max(round(size * f / unit), 1) * unit, enough) for f in FACTORS} | {size}:
        high = math.inf if length >= enough else length / size
        found[length] = (0.0 if length == unit else length / size, high)
    return found
