"""The measures of a group of blocks, from their shards and the halo files of their high-side neighbours."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectomake.geometry import Box, Vec
from connectomake.layers import LayerSpec, write_tables
from connectomake.layers.slabs import block_slabs
from connectomake.measures.depth import find_deepest, steps_of
from connectomake.measures.surface import add_areas, patch_areas
from connectomake.tables import MeasureTable

PathLike = str | os.PathLike[str]


def measure_slab(own: Box, labels: np.ndarray, box: Box, layer: LayerSpec, cell: Vec | None) -> MeasureTable:
    """Measure the objects in a slab of a block.

    Parameters
    ----------
    own
        The slab; begins at a cell.
    labels : (z, y, x) uint64
        Voxels of `box`: the slab and what `block_slabs` adds.
    box
        See `labels`.
    layer
        The segmentation.
    cell
        Shape of a cell, for a point deep inside; None: the first voxel is taken instead.
    """
    ids, numbers = _numbered(labels)
    table = MeasureTable.of_ids(ids)
    add_areas(numbers, patch_areas(layer.voxel_size), table.area)
    if cell is not None:
        _, height, width = layer.roi.shape
        z, y, x = (a - r for a, r in zip(own.start, layer.roi.start, strict=True))
        strides = np.array([height * width, width], np.int64)
        first = 1 + (z * height + y) * width + x
        inner = np.ascontiguousarray(numbers[own.slices(box.start)])
        find_deepest(inner, np.array(cell, np.int64), steps_of(layer.voxel_size), first, strides, table.depth, table.inside)
    return MeasureTable.merge([table.take(ids > 0)])


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (n,) uint64, the first 0, and an array of the labels' places among them, uint32."""
    import fastremap

    numbers, places = fastremap.renumber(labels, start=1, preserve_zero=True, in_place=False)
    ids = np.zeros(len(places) + (0 not in places), np.uint64)
    ids[np.fromiter(places.values(), np.int64, len(places))] = np.fromiter(places.keys(), np.uint64, len(places))
    return ids, np.ascontiguousarray(numbers, np.uint32)


def measure_blocks(
    path: PathLike,
    layer: LayerSpec,
    cell: Vec | None,
    shards: Mapping[int, PathLike],
    halos: Mapping[int, PathLike],
    record: dict[str, Any] | None = None,
) -> None:
    """Atomically write the measures of a group of blocks. One slab of one block is in memory at a time.

    Parameters
    ----------
    path
        The table.
    layer
        The segmentation.
    cell
        Shape of a cell, which divides the block; None: no points deep inside.
    shards
        Shard of each block of the group, by id.
    halos
        Halo file of each block in ``halo_blocks(layer.grid, shards)``, by id.
    record
        What to note in the file.

    Raises
    ------
    LayerError
        If a file is missing or damaged.
    """
    thickness = layer.chunk[0] if cell is None else math.lcm(cell[0], layer.chunk[0])
    tables = [MeasureTable.empty()]
    for block in sorted(shards):
        for own, labels, box in block_slabs(shards[block], layer, block, halos, thickness):
            tables = [MeasureTable.merge([*tables, measure_slab(own, labels, box, layer, cell)])]
    write_tables(path, tables[0].arrays("measures"), record or {})
