"""The whole way label → merge → remap in memory or on files, and its reference on the whole volume."""

from pathlib import Path
from typing import Any

import cc3d
import numpy as np

from connectomake.components import label_block, write_block_tables
from connectomake.components.block import BlockLabels
from connectomake.geometry import Octree
from connectomake.octree import (
    Adjacency,
    KeptEdges,
    MemoryBlocks,
    down_node,
    lower_neighbours,
    merge_blocks,
    merge_nodes,
    read_ids,
    tables_for_children,
    up_blocks,
    up_nodes,
)
from connectomake.octree.summary import NodeSummary
from connectomake.segmentation import remap
from connectomake.tables import ComponentTable


def components_of(foreground: np.ndarray, connectivity: Any) -> np.ndarray:
    """Label with cc3d, within a rim of background: on arrays of a few voxels cc3d 3's table of labels may be too short."""
    inner = (slice(1, -1),) * foreground.ndim
    return np.asarray(cc3d.connected_components(np.pad(foreground, 1), connectivity=connectivity)[inner])


def reference(foreground: np.ndarray, connectivity: Any, min_size: int) -> np.ndarray:
    """Label the whole volume; ids are 1 + raster index of the first voxel, 0 below `min_size`."""
    labels = components_of(foreground, connectivity)
    values, first, count = np.unique(labels, return_index=True, return_counts=True)
    ids = np.where((values == 0) | (count < min_size), 0, first + 1).astype(np.uint64)
    return ids[np.searchsorted(values, labels)]


def label_blocks(values: np.ndarray, octree: Octree, threshold: float, connectivity: Any) -> dict[int, BlockLabels]:
    grid = octree.grid
    cut = {b: values[grid.box(b).slices(grid.roi.start)] for b in grid.ids}
    return {b: label_block(v, threshold, connectivity, grid.box(b), grid.roi) for b, v in cut.items()}


def merge_in_memory(
    results: dict[int, BlockLabels], octree: Octree, rule: int | KeptEdges, min_size: int
) -> tuple[dict[int, np.ndarray], dict[tuple[int, int], NodeSummary]]:
    """Return look-up tables per block and the closed table of every node; a rule is an `EdgeRule` or a connectivity."""
    edges = Adjacency(rule) if isinstance(rule, int) else rule
    summaries = {}
    for node in octree.nodes(1):
        needed = [*octree.children(1, node), *lower_neighbours(octree, node, edges.offsets)]
        blocks = MemoryBlocks({b: results[b].table for b in needed}, {b: results[b].faces for b in needed})
        summaries[1, node] = merge_blocks(octree, node, blocks, edges, min_size)
    for level in range(2, octree.levels + 1):
        for node in octree.nodes(level):
            below = {c: summaries[level - 1, c].passed for c in octree.children(level, node)}
            summaries[level, node] = merge_nodes(octree, level, node, below, min_size)
    ids = {(octree.levels, node): np.zeros(0, np.uint64) for node in octree.nodes(octree.levels)}
    for level in range(octree.levels, 0, -1):
        for node in octree.nodes(level):
            up = summaries[level, node]
            tables = tables_for_children(up.slots, len(up.passed.open), up.closed.key, ids[level, node])
            ids |= {(level - 1, child): table for child, table in tables.items()}
    return {b: ids[0, b] for b in octree.grid.ids}, summaries


def assemble(results: dict[int, BlockLabels], tables: dict[int, np.ndarray], octree: Octree) -> np.ndarray:
    out = np.full(octree.grid.roi.shape, 2**63, np.uint64)
    for block, result in results.items():
        out[octree.grid.box(block).slices(octree.grid.roi.start)] = remap(result.labels, tables[block])
    return out


def segment(
    values: np.ndarray, octree: Octree, threshold: float, connectivity: Any, min_size: int
) -> tuple[np.ndarray, ComponentTable, dict[tuple[int, int], NodeSummary]]:
    """Return the segmentation and the object table, by blocks and octree."""
    results = label_blocks(values, octree, threshold, connectivity)
    tables, summaries = merge_in_memory(results, octree, connectivity, min_size)
    objects = ComponentTable.concat(s.closed for s in summaries.values())
    return assemble(results, tables, octree), objects.take(np.argsort(objects.key)), summaries


def merge_on_files(
    results: dict[int, BlockLabels], octree: Octree, connectivity: Any, min_size: int, folder: Path
) -> tuple[dict[int, np.ndarray], dict[tuple[int, int], Path]]:
    """Write every file of the merge; return look-up tables per block and the up files."""
    rule, record = Adjacency(connectivity), {"stage": "test"}
    files = {b: folder / f"{octree.grid.name(b)}.h5" for b in results}
    for block, result in results.items():
        write_block_tables(files[block], result, record)
    up = {}
    for node in octree.nodes(1):
        needed = [*octree.children(1, node), *lower_neighbours(octree, node, rule.offsets)]
        up[1, node] = folder / "up1" / f"{octree.name(1, node)}.h5"
        up_blocks(up[1, node], octree, node, {b: files[b] for b in needed}, rule, min_size, record)
    for level in range(2, octree.levels + 1):
        for node in octree.nodes(level):
            up[level, node] = folder / f"up{level}" / f"{octree.name(level, node)}.h5"
            below = {c: up[level - 1, c] for c in octree.children(level, node)}
            up_nodes(up[level, node], octree, level, node, below, min_size, record)
    for level in range(octree.levels, 0, -1):
        for node in octree.nodes(level):
            top = level == octree.levels
            parent = None if top else down_path(folder, octree, level + 1, octree.parent(level, node))
            down_node(down_path(folder, octree, level, node), octree, level, node, up[level, node], parent, record)
    tables = {}
    for block in octree.grid.ids:
        tables[block] = read_ids(down_path(folder, octree, 1, octree.parent(0, block)), octree.grid.name(block))
    return tables, up


def down_path(folder: Path, octree: Octree, level: int, node: int) -> Path:
    return folder / f"down{level}" / f"{octree.name(level, node)}.h5"
