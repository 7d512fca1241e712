"""The fragments of a group of blocks, from their shards and the halo files of their high-side neighbours."""

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from connectomake.geometry import Box
from connectomake.layers import LayerSpec
from connectomake.layers.slabs import block_slabs, box_of
from connectomake.meshes.cells import Fragment, mesh_cell
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.pack import write_pack

PathLike = str | os.PathLike[str]


def slab_fragments(
    own: Box, labels: np.ndarray, box: Box, spec: MeshSpec, keep: np.ndarray | None = None
) -> Iterator[Fragment]:
    """Yield the fragments of a slab or block, cell by cell.

    Parameters
    ----------
    own
        The slab.
    labels : (z, y, x) uint64
        Voxels of `box`, which is the slab and what its cells reach beyond it.
    box
        See `labels`.
    spec
        The meshes.
    keep : (n,) uint64, optional
        Ascending ids of the objects to mesh; default all.
    """
    for position in spec.positions(own):
        reach = spec.reach(position)
        yield from mesh_cell(labels[reach.slices(box.start)], spec, position, keep)


def mesh_fragments(
    path: PathLike,
    layer: LayerSpec,
    spec: MeshSpec,
    shards: Mapping[int, PathLike],
    halos: Mapping[int, PathLike],
    keep: np.ndarray | None = None,
    record: dict[str, Any] | None = None,
) -> None:
    """Atomically write the pack of a group of blocks. One slab of one block is in memory at a time.

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

    Raises
    ------
    ConfigError
        If the cell does not divide the block.
    LayerError
        If a file is missing or damaged.
    """
    thickness = math.lcm(spec.cell[0], layer.chunk[0])

    def fragments() -> Iterator[Fragment]:
        for block in sorted(shards):
            for own, labels, box in block_slabs(shards[block], layer, block, halos, thickness):
                yield from slab_fragments(own, labels, box, spec, keep)

    write_pack(path, spec, fragments(), spec.cells_of(box_of(layer.grid, shards)), record)
