"""The graph of a finished run: its supervoxels, and the edges between them or between its objects, block by block."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from connectomake.errors import ConfigError, RunError, SourceError
from connectomake.geometry import BlockGrid, Box, lower_offsets
from connectomake.pipeline.agglomeration import ids_path
from connectomake.planning.paths import Paths
from connectomake.planning.plan import Plan

if TYPE_CHECKING:
    from connectomake.agglomeration import Edges, Merges

_JOINED_AT = 1 << 22
"""Rows that wait until equal pairs are joined."""


def suffix_of(plan: Plan, layer: str) -> str:
    """Return the suffix of a layer's threshold: "" of ``segmentation``.

    Raises
    ------
    ConfigError
        If the run has no such segmentation, or it is not made by agglomeration.
    """
    if not plan.method.graph:
        raise ConfigError(f"segmentation.method {plan.method.name} leaves no graph of supervoxels; this needs a watershed")
    names = {f"segmentation{suffix}": suffix for suffix in plan.thresholds}
    if layer not in names:
        raise ConfigError(f"the run has no segmentation {layer!r}; there are: {', '.join(names)}")
    return names[layer]


def blocks(plan: Plan) -> BlockGrid:
    """Return the blocks that a run has tables of: those inside the mask."""
    return plan.octree.grid


def supervoxels(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all supervoxels, ascending, and their voxels, (n,) uint64.

    Raises
    ------
    LayerError, RunError
        If a file of the run is missing or damaged.
    """
    from connectomake.layers import read_tables

    keys, voxels = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for level in range(1, plan.octree.levels + 1):
        for node in plan.octree.nodes(level):
            found = read_tables(needed(Paths(plan).merge(level, node)), ["closed/key", "closed/voxels"])
            keys.append(found["closed/key"])
            voxels.append(found["closed/voxels"])
    key, voxel = np.concatenate(keys), np.concatenate(voxels)
    order = np.argsort(key)
    return key[order], voxel[order]


def supervoxel_ids(plan: Plan, block: int) -> np.ndarray:
    """Return the supervoxel of each label of a block, (labels + 1,) uint64; that of 0 is 0."""
    from connectomake.octree import read_ids

    return read_ids(needed(Paths(plan).lookup(1, plan.octree.parent(0, block))), plan.grid.name(block))


def object_ids(plan: Plan, block: int, suffix: str) -> np.ndarray:
    """Return the object of each label of a block, (labels + 1,) uint64; 0 is background, or an object that was left out."""
    from connectomake.octree import read_ids

    return read_ids(needed(ids_path(plan, block, suffix)), plan.grid.name(block))


def edges_between(plan: Plan, ids: Callable[[int], np.ndarray]) -> "Edges":
    """Return the edges between all that the labels of blocks stand for, each pair once, ascending; nothing touches 0.

    Parameters
    ----------
    plan
        The plan.
    ids
        Returns what each label of a block stands for, such as `supervoxel_ids`.
    """
    from connectomake.agglomeration import Edges

    waiting: list[Edges] = []
    for part in _parts(plan, ids):
        waiting.append(part)
        if sum(map(len, waiting)) > _JOINED_AT:
            waiting = [_joined(waiting)]
    return _joined(waiting)


def _joined(parts: "list[Edges]") -> "Edges":
    from connectomake.agglomeration import Edges

    rows = Edges.concat(parts)
    return rows.between(rows.u, rows.v)


def _parts(plan: Plan, ids: Callable[[int], np.ndarray]) -> "Iterator[Edges]":
    from connectomake.agglomeration import FileGraph
    from connectomake.agglomeration.blocks import block_edges, face_edges

    paths, grid = Paths(plan), blocks(plan)
    graph = FileGraph({block: needed(paths.tables("components", block)) for block in grid.ids}, ids)
    for block in grid.ids:
        parts = [block_edges(graph, block)]
        for offset in lower_offsets(6):
            parts += [face_edges(grid, graph, block, far, offset) for far in grid.neighbours(block, [offset])]
        yield from (part.take(part.u > 0) for part in parts)


def history(plan: Plan, suffix: str) -> "Merges":
    """Return all merges of the agglomeration."""
    from connectomake.agglomeration import read_merges

    return read_merges(needed(Paths(plan).history(suffix)))


def needed(path: str) -> str:
    """Return the path of a file of the run.

    Raises
    ------
    RunError
        If it is not there.
    """
    if not Path(path).exists():
        raise RunError(f"{path} is missing; run snakemake first")
    return path


def affinities(plan: Plan) -> Callable[[Box], np.ndarray]:
    """Return what reads the affinities (3, z, y, x) of a box, in the order z, y, x; 0 in blocks wholly outside the mask.

    Raises
    ------
    RunError
        If the run has made them and does not keep them.
    SourceError
        If the source holds them and cannot be reached, or another lies in its place.
    """
    read, channels = _probability(plan), plan.segmented_channels

    def values(box: Box) -> np.ndarray:
        parts = [plan.grid.box(block).intersect(box) for block in plan.grid.ids_meeting(box) if not plan.is_outside(block)]
        out: np.ndarray | None = None
        for part in parts:
            found = read(part)[channels]
            out = np.zeros((len(channels), *box.shape), found.dtype) if out is None else out
            out[(slice(None), *part.slices(box.start))] = found
        return np.zeros((len(channels), *box.shape), np.uint8) if out is None else out

    return values


def _probability(plan: Plan) -> Callable[[Box], np.ndarray]:
    from connectomake.layers import read_box

    layer = plan.probability
    if layer is None:
        source = plan.source.open()
        if not plan.source.is_like(source.identity):
            raise SourceError(f"source {plan.source.path} is not the one that the run was made from; restore that one")
        return source.read
    folder = f"{plan.outdir}/{layer}"
    if not Path(folder, plan.layers[layer].scale_key).is_dir():
        raise RunError(f"{folder} is not there; add {layer} to `keep` and make it: snakemake --profile profiles/local kept")
    return lambda box: read_box(folder, plan.layers[layer], box)
