"""Cutting a box into tiles and blocks, to stream through it."""

import itertools

from connectomake.geometry import Box, Vec

TILE_VOXELS = 1 << 23
BLOCK_TILES = 4


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


def blocks_of(box: Box, tile: Vec | None) -> list[Box]:
    """Cut a box into blocks of four tiles a side, in raster order.

    Parameters
    ----------
    box
        What to cut.
    tile
        Shape of a tile (z, y, x) in voxels; None, for whole sections, gives the box as one block.
    """
    return [box] if tile is None else tiles_of(box, (tile[0] * BLOCK_TILES, tile[1] * BLOCK_TILES, tile[2] * BLOCK_TILES))


def tile_of_chunks(chunk: Vec, block: Vec) -> Vec:
    """Return the shape of a tile of whole storage chunks, of at most 8 million voxels; it grows along x first, then y, then z.

    Parameters
    ----------
    chunk
        Shape of a storage chunk (z, y, x), in voxels.
    block
        Shape that the tile may not exceed, in voxels.
    """
    tile = list(chunk)
    for axis in (2, 1, 0):
        while 2 * tile[0] * tile[1] * tile[2] <= TILE_VOXELS and tile[axis] * 2 <= block[axis]:
            tile[axis] *= 2
    return (tile[0], tile[1], tile[2])
