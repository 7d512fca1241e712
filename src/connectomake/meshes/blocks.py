"""The fragments of a group of blocks, from their shards and the halo files of their high-side neighbours."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from connectomake.errors import LayerError
from connectomake.geometry import BlockGrid, Box, Vec, upper_offsets
from connectomake.layers import LayerSpec, read_block, read_tables
from connectomake.meshes.cells import Fragment, mesh_cell
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.pack import write_pack

PathLike = str | os.PathLike[str]


def halo_blocks(grid: BlockGrid, blocks: Iterable[int]) -> list[int]:
    """Return the blocks whose halo files the fragments of `blocks` need: their high-side neighbours, ascending."""
    return sorted({n for block in blocks for n in grid.neighbours(block, upper_offsets())})


def _low_part(path: PathLike, offset: Vec) -> np.ndarray:
    """Read the voxels of a block at its low faces on the axes where `offset` is 1, from its halo file."""
    axis = offset.index(1)
    plane = np.expand_dims(read_tables(path, [f"halo/{'zyx'[axis]}"])[f"halo/{'zyx'[axis]}"], axis)
    return plane[tuple(slice(0, 1) if o else slice(None) for o in offset)]


def block_labels(shard: PathLike, layer: LayerSpec, block: int, halos: Mapping[int, PathLike]) -> tuple[np.ndarray, Box]:
    """Read a block with one voxel more at its high sides, and at its low sides where the region begins.

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

    Returns
    -------
    labels : (z, y, x) uint64
        Background beyond the region.
    box : Box
        Which voxels they are.

    Raises
    ------
    LayerError
        If a file is missing, damaged or of the wrong shape.
    """
    grid = layer.grid
    inner = grid.box(block)
    z, y, x = (int(a == r) for a, r in zip(inner.start, layer.roi.start, strict=True))
    outer = inner.grow((z, y, x), 1)
    labels = np.zeros(outer.shape, np.uint64)
    labels[inner.slices(outer.start)] = read_block(shard, layer, block)[0]
    position = grid.position(block)
    for offset in upper_offsets():
        neighbour = (position[0] + offset[0], position[1] + offset[1], position[2] + offset[2])
        if not grid.exists(neighbour):
            continue
        common = grid.box_at(neighbour).intersect(outer)
        halo = halos[grid.id_at(neighbour)]
        part = _low_part(halo, offset)
        if part.shape != common.shape:
            raise LayerError(f"{halo} has a halo of {part.shape}, not {common.shape}; delete it and rerun")
        labels[common.slices(outer.start)] = part
    return labels, outer


def block_fragments(labels: np.ndarray, box: Box, block: Box, spec: MeshSpec) -> Iterator[Fragment]:
    """Yield the fragments of a block, cell by cell.

    Parameters
    ----------
    labels : (z, y, x) uint64
        Voxels of `box`, which is the block and what its cells reach beyond it.
    box, block
        The voxels read and those of the block.
    spec
        The meshes.
    """
    for position in spec.positions(block):
        reach = spec.reach(position)
        yield from mesh_cell(labels[reach.slices(box.start)], spec, position)


def mesh_fragments(
    path: PathLike,
    layer: LayerSpec,
    spec: MeshSpec,
    shards: Mapping[int, PathLike],
    halos: Mapping[int, PathLike],
    keep: np.ndarray | None = None,
    record: dict[str, Any] | None = None,
) -> None:
    """Write the pack of a group of blocks; whole or not at all. One block is in memory at a time.

    Parameters
    ----------
    path
        The pack.
    layer
        The segmentation.
    spec
        The meshes.
    shards
        Shard of each block of the group, by id.
    halos
        Halo file of each block in ``halo_blocks(layer.grid, shards)``, by id.
    keep : (n,) uint64, optional
        Ascending ids of the objects to mesh; default all.
    record
        What to note at the end of the file.
    """

    def fragments() -> Iterator[Fragment]:
        for block in sorted(shards):
            labels, box = block_labels(shards[block], layer, block, halos)
            if keep is not None:
                labels[~is_in(labels, keep)] = 0
            yield from block_fragments(labels, box, layer.grid.box(block), spec)

    write_pack(path, spec.sharding, fragments(), record)


def is_in(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return where `labels` is one of the ascending `ids`, as bool of the same shape."""
    if not len(ids):
        return np.zeros(labels.shape, bool)
    place = np.minimum(np.searchsorted(ids, labels), len(ids) - 1)
    return np.asarray(ids[place] == labels)
