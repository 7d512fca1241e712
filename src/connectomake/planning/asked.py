"""Which blocks of the image and of the network's output a masked run needs, where these layers are not kept."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry import BlockGrid

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan


def asked_blocks(plan: "Plan") -> dict[str, tuple[int, ...]]:
    """Return the blocks of `image` and `affinity` that jobs behind them ask for, ascending; empty if all are asked for.

    A block of the affinity is asked for where a voxel of it is inside; of the image, where the network looks from there.
    """
    if plan.mask is None:
        return {}
    inside = tuple(block for block in plan.grid.ids if not plan.mask.is_outside(block))
    found = {"affinity": inside} if plan.inference is not None else {}
    if plan.ingests:
        found["image"] = inside if plan.inference is None else _images(plan, inside)
    return found


def _images(plan: "Plan", inside: tuple[int, ...]) -> tuple[int, ...]:
    """Return the blocks of the image that some blocks of the affinity read: what is read is a box, so axis by axis."""
    grid, asked = plan.layers["image"].grid, _as_array(plan.grid, inside)
    for axis in range(3):
        spread = np.zeros((*asked.shape[:axis], grid.shape[axis], *asked.shape[axis + 1 :]), bool)
        cut = (slice(None),) * axis
        for i in range(asked.shape[axis]):
            position = [0, 0, 0]
            position[axis] = i
            box = plan.read_box(plan.grid.id_at((position[0], position[1], position[2]))).intersect(grid.roi)
            first, last = ((n - grid.roi.start[axis]) // grid.block[axis] for n in (box.start[axis], box.stop[axis] - 1))
            spread[(*cut, slice(first, last + 1))] |= asked[(*cut, slice(i, i + 1))]
        asked = spread
    return tuple(sorted(grid.id_at((int(z), int(y), int(x))) for z, y, x in np.argwhere(asked)))


def _as_array(grid: BlockGrid, blocks: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which blocks of a grid are among some, (z, y, x) in blocks."""
    some, found = set(blocks), np.zeros(grid.shape, bool)
    for place in itertools.product(*map(range, grid.shape)):
        found[place] = grid.id_at((place[0], place[1], place[2])) in some
    return found
