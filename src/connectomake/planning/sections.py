"""Which sections a report shows, and which part of each."""

from connectomake.geometry import Box
from connectomake.planning.plan import Plan

WINDOW = 1024
"""Voxels of a section that are shown along y and x, at most."""
MOST_SPOTS = 24
"""Blocks that a mask leaves, of which each is shown."""


def window(roi: Box, z: int, middle: tuple[int, int] | None = None, limit: int = WINDOW) -> Box:
    """Return the part of a section that is shown: around `middle` (y, x), or in the middle of the region.

    Parameters
    ----------
    roi
        Region of interest.
    z
        The section.
    middle
        Default: of the region.
    limit
        Voxels along y and x, at most.
    """
    starts, stops = [z], [z + 1]
    for axis in (1, 2):
        low, high = roi.start[axis], roi.stop[axis]
        size = min(limit, high - low)
        centre = (low + high) // 2 if middle is None else middle[axis - 1]
        start = min(max(centre - size // 2, low), high - size)
        starts.append(start)
        stops.append(start + size)
    return Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))


def spread(roi: Box, count: int) -> list[int]:
    """Return the z of sections spread evenly over the region."""
    depth = roi.shape[0]
    return sorted({roi.start[0] + (2 * i + 1) * depth // (2 * count) for i in range(count)})


def section_boxes(plan: Plan, count: int = 3) -> list[Box]:
    """Return what a report shows of a run: sections spread evenly over the region.

    Where a mask leaves only some blocks, those: each by a section through its middle if they are few, else `count` of them.
    """
    inside = [block for block in plan.grid.ids if not plan.is_outside(block)]
    if len(inside) == plan.grid.count:
        return [window(plan.roi, z) for z in spread(plan.roi, count)]
    if len(inside) > max(count, MOST_SPOTS):
        inside = [inside[(2 * i + 1) * len(inside) // (2 * count)] for i in range(count)]
    boxes = [plan.grid.box(block) for block in inside]
    return [window(box, (box.start[0] + box.stop[0]) // 2) for box in boxes]


def section_blocks(plan: Plan, count: int = 3) -> list[int]:
    """Return the blocks that the sections of a report show."""
    return sorted({block for box in section_boxes(plan, count) for block in plan.grid.ids_meeting(box)})
