"""Blocks of a layer read in slabs, with the voxels around them, from shards and the halo files of high-side neighbours."""

import functools
import os
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from connectomake.errors import LayerError
from connectomake.geometry import BlockGrid, Box, Vec, upper_offsets
from connectomake.layers.shard_reader import ShardReader
from connectomake.layers.sidecar import read_tables
from connectomake.layers.spec import LayerSpec

PathLike = str | os.PathLike[str]


def halo_blocks(grid: BlockGrid, blocks: Iterable[int]) -> list[int]:
    """Return the high-side neighbours of some blocks, ascending: those whose halo files their fragments need.

    Parameters
    ----------
    grid
        The blocks of the layer.
    blocks
        Ids of the blocks.
    """
    return sorted({n for block in blocks for n in grid.neighbours(block, upper_offsets())})


def box_of(grid: BlockGrid, blocks: Iterable[int]) -> Box:
    """Return the box, in voxels, of a group of blocks that share a prefix of their ids.

    Parameters
    ----------
    grid
        The blocks of the layer.
    blocks
        Ids of the group; at least one.
    """
    return functools.reduce(Box.union, (grid.box(block) for block in blocks))


def _low_part(path: PathLike, offset: Vec) -> np.ndarray:
    """Read the voxels of a block at its low faces on the axes where `offset` is 1, from its halo file."""
    axis = offset.index(1)
    plane = np.expand_dims(read_tables(path, [f"halo/{'zyx'[axis]}"])[f"halo/{'zyx'[axis]}"], axis)
    return plane[tuple(slice(0, 1) if o else slice(None) for o in offset)]


def _halo_parts(layer: LayerSpec, block: int, halos: Mapping[int, PathLike]) -> list[tuple[Box, np.ndarray]]:
    """Read the voxels one beyond the block's high sides, as boxes and their labels."""
    grid = layer.grid
    z, y, x = grid.position(block)
    around = grid.box(block).grow(0, 1)
    parts = []
    for offset in upper_offsets():
        position = (z + offset[0], y + offset[1], x + offset[2])
        if not grid.exists(position):
            continue
        common = grid.box_at(position).intersect(around)
        path = halos[grid.id_at(position)]
        part = _low_part(path, offset)
        if part.shape != common.shape:
            raise LayerError(f"{path} has a halo of {part.shape}, not {common.shape}; delete it and rerun")
        parts.append((common, part))
    return parts


def block_slabs(
    shard: PathLike, layer: LayerSpec, block: int, halos: Mapping[int, PathLike], thickness: int
) -> Iterator[tuple[Box, np.ndarray, Box]]:
    """Yield a block in slabs along z, each with one voxel more at its high sides, and at low sides where the region begins.

    Slabs come from high z to low, so that the first plane of one is kept as the halo of the next and nothing is read twice.

    Parameters
    ----------
    shard
        The block's shard.
    layer
        The segmentation.
    block
        The block's id.
    halos
        Halo file of every high-side neighbour; see `halo_blocks`.
    thickness
        Planes of a slab.

    Yields
    ------
    own : Box
        The slab.
    labels : (z, y, x) uint64
        The slab and the voxels around it; background beyond the region.
    box : Box
        Which voxels `labels` are.

    Raises
    ------
    LayerError
        If a file is missing, damaged or of the wrong shape.
    """
    inner = layer.grid.box(block)
    low_z, low_y, low_x = (int(a == r) for a, r in zip(inner.start, layer.roi.start, strict=True))
    parts = _halo_parts(layer, block, halos)
    reader = ShardReader(shard, layer, block)
    above: np.ndarray | None = None
    for z in reversed(range(inner.start[0], inner.stop[0], thickness)):
        own = Box((z, *inner.start[1:]), (min(z + thickness, inner.stop[0]), *inner.stop[1:]))
        below = low_z if z == inner.start[0] else 0
        box = own.grow((below, low_y, low_x), 1)
        labels = np.zeros(box.shape, np.uint64)
        labels[own.slices(box.start)] = reader.read(own)[0]
        for place, part in parts:
            common = place.intersect(box)
            if not common.empty:
                labels[common.slices(box.start)] = part[common.slices(place.start)]
        if above is not None:
            labels[-1] = above
        above = labels[below].copy()
        yield own, labels, box
