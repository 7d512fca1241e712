"""The traces of a group of blocks, from all shards that its cells and their halos meet."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box
from connectomake.skeletons.cells import trace_cell
from connectomake.skeletons.files import write_traces
from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.table import Traces

PathLike = str | os.PathLike[str]


def trace_blocks(
    path: PathLike,
    layer: LayerSpec,
    spec: SkeletonSpec,
    box: Box,
    shards: Mapping[int, PathLike],
    keep: np.ndarray | None = None,
    record: dict[str, Any] | None = None,
) -> None:
    """Trace the cells that begin in a box of blocks; write them atomically. One cell's voxels are in memory at a time.

    Parameters
    ----------
    path
        The file of traces.
    layer
        The segmentation.
    spec
        The skeletons.
    box
        The blocks' voxels.
    shards
        Shard of each block that ``spec.needed(box)`` meets, by id.
    keep : (n,) uint64, optional
        Ascending ids of the objects to trace; default all.
    record
        What to note in the file.

    Raises
    ------
    LayerError
        If a shard is missing or damaged.
    """
    paths = {block: str(shard) for block, shard in shards.items()}
    found = [Traces.empty()]
    for position in spec.positions(box):
        labels = read_box(paths, layer, spec.around(position))[0]
        found.append(trace_cell(labels, spec, position, keep))
    write_traces(path, Traces.merge(found), spec.sharding, record)
