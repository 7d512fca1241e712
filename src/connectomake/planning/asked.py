"""Blocks that a masked run computes: of the image and the network's output where these are not kept, and of later stages."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry import BlockGrid, Vec, sparse, spread
from connectomake.planning.fan_out import fan_out_bits
from connectomake.planning.group_tree import GroupTree

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan


def inside_blocks(plan: "Plan") -> NDArray[np.bool_]:
    """Return the blocks with a voxel inside the mask, as a boolean array (z, y, x) in blocks."""
    if plan.mask is None:
        return np.ones(plan.grid.shape, bool)
    ids, outside = plan.grid.id_array, plan.mask.bits
    return ~outside[np.minimum(ids, len(outside) - 1)] | (ids >= len(outside))


def inside_grid(plan: "Plan") -> BlockGrid:
    """Return the blocks that are labelled and merged: blocks entirely outside the mask have no objects."""
    return plan.grid if plan.mask is None else sparse(plan.grid, inside_blocks(plan))


def grid_around(plan: "Plan", low: Vec, high: Vec) -> BlockGrid | None:
    """Return the blocks with a voxel inside the mask within so many blocks below or above; None if there is no mask."""
    return None if plan.mask is None else sparse(plan.grid, spread(inside_blocks(plan), low, high))


def surface_tree(plan: "Plan", voxels_per_job: int) -> GroupTree:
    """Return the groups of blocks that have surfaces of objects; a surface between two blocks belongs to the lower one."""
    return GroupTree.of(plan.grid, voxels_per_job, fan_out_bits(plan), grid_around(plan, (0, 0, 0), (1, 1, 1)))


def asked_blocks(plan: "Plan") -> dict[str, tuple[int, ...]]:
    """Return the blocks of `image`, `affinity` and `components` that later jobs need, ascending; empty if all are needed.

    A block of affinity or components is needed if one of its voxels is inside; a block of the image if the network reads it
    for such a block.
    """
    if plan.mask is None:
        return {}
    inside = inside_grid(plan).ids
    found = {"components": inside} | ({"affinity": inside} if plan.inference is not None else {})
    if plan.ingests:
        found["image"] = inside if plan.inference is None else _images(plan)
    return found


def _images(plan: "Plan") -> tuple[int, ...]:
    """Return the blocks of the image that the needed blocks of the affinity read: each reads a box, so axis by axis."""
    grid, asked = plan.layers["image"].grid, inside_blocks(plan)
    for axis in range(3):
        found = np.zeros((*asked.shape[:axis], grid.shape[axis], *asked.shape[axis + 1 :]), bool)
        cut = (slice(None),) * axis
        for i in range(asked.shape[axis]):
            position = [0, 0, 0]
            position[axis] = i
            box = plan.read_box(plan.grid.id_at((position[0], position[1], position[2]))).intersect(grid.roi)
            first, last = ((n - grid.roi.start[axis]) // grid.block[axis] for n in (box.start[axis], box.stop[axis] - 1))
            found[(*cut, slice(first, last + 1))] |= asked[(*cut, slice(i, i + 1))]
        asked = found
    return tuple(np.sort(grid.id_array[asked]).tolist())
