"""How a box is cut for streaming through it."""

import itertools

from connectomake.geometry import Box, Vec

TILE_VOXELS = 1 << 23


def tiles_of(box: Box, shape: Vec | None) -> list[Box]:
    """Cut a box into tiles, in raster order.

    Parameters
    ----------
    box
        What to cut.
    shape
        Of a tile; None for whole sections, as many as make 8 million voxels.
    """
    if shape is None:
        plane = max(box.shape[1] * box.shape[2], 1)
        shape = (max(TILE_VOXELS // plane, 1), max(box.shape[1], 1), max(box.shape[2], 1))
    steps = [range(a, b, s) for a, b, s in zip(box.start, box.stop, shape, strict=True)]
    return [Box.of_shape(shape, (z, y, x)).intersect(box) for z, y, x in itertools.product(*steps)]
