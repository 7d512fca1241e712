"""CPU time of label + merge + remap by blocks over one in-core cc3d call; reading, writing and encoding left out.

The volume is the real 512³ segmentation of `data/connectomics` (foreground: voxels whose six neighbours carry the same
nonzero label) where that folder is given, else a synthetic one: smoothed noise, thresholded.
"""

import gc
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np

from benchmarks.data import load_foreground
from benchmarks.rows import Row
from connectomake.components import label_block
from connectomake.components.block import BlockLabels
from connectomake.geometry import BlockGrid, Box, Octree
from connectomake.octree import Adjacency, MemoryBlocks, merge_blocks, merge_nodes, tables_for_children
from connectomake.segmentation import halo_planes, remap

T = TypeVar("T")
CONNECTIVITY: Literal[26] = 26
MIN_SIZE = 0
REPEATS = int(os.environ.get("CONNECTOMAKE_REPEATS", "5"))


def _timed(times: dict[str, float], name: str, function: Callable[[], T]) -> T:
    before = time.process_time()
    result = function()
    times[name] = times.get(name, 0.0) + time.process_time() - before
    return result


def _merge(octree: Octree, results: dict[int, BlockLabels]) -> dict[int, np.ndarray]:
    """Go up and down the whole octree; return the look-up table of each block."""
    blocks = MemoryBlocks({b: r.table for b, r in results.items()}, {b: r.faces for b, r in results.items()})
    rule = Adjacency(CONNECTIVITY)
    up = {(1, node): merge_blocks(octree, node, blocks, rule, MIN_SIZE) for node in octree.nodes(1)}
    for level in range(2, octree.levels + 1):
        for node in octree.nodes(level):
            below = {child: up[level - 1, child].passed for child in octree.children(level, node)}
            up[level, node] = merge_nodes(octree, level, node, below, MIN_SIZE)
    ids = {(octree.levels, node): np.zeros(0, np.uint64) for node in octree.nodes(octree.levels)}
    for level in range(octree.levels, 0, -1):
        for node in octree.nodes(level):
            found = up[level, node]
            tables = tables_for_children(found.slots, len(found.passed.open), found.closed.key, ids[level, node])
            ids |= {(level - 1, child): table for child, table in tables.items()}
    return {block: ids[0, block] for block in octree.grid.ids}


def _by_blocks(foreground: np.ndarray, octree: Octree) -> tuple[dict[str, float], int]:
    """Return the CPU seconds of each step, and the number of objects."""
    times: dict[str, float] = {}
    grid = octree.grid
    cut = {b: np.ascontiguousarray(foreground[grid.box(b).slices()]) for b in grid.ids}
    results = {
        b: _timed(times, "label", partial(label_block, cut[b], 0, CONNECTIVITY, grid.box(b), grid.roi)) for b in grid.ids
    }
    tables = _timed(times, "merge", lambda: _merge(octree, results))
    for b in grid.ids:
        segmentation = _timed(times, "remap", partial(remap, results[b].labels, tables[b]))
        _timed(times, "remap", partial(halo_planes, segmentation))
        del segmentation
    return times, len(np.unique(np.concatenate(list(tables.values())))) - 1


def _in_core(foreground: np.ndarray) -> tuple[float, int]:
    import cc3d

    before = time.process_time()
    _, count = cc3d.connected_components(foreground, connectivity=CONNECTIVITY, return_N=True)
    return time.process_time() - before, count


def run() -> dict[str, Any]:
    """Measure 8 and 64 blocks; every repeat times cc3d and both block counts, one after another."""
    foreground, source = load_foreground()
    roi = Box.of_shape(foreground.shape)
    side = foreground.shape[0]
    octrees = {n**3: Octree(BlockGrid(roi, (side // n,) * 3), 3) for n in (2, 4)}
    warm = foreground[:64, :64, :64]
    _by_blocks(warm, Octree(BlockGrid(Box.of_shape(warm.shape), (32, 32, 32)), 1))
    core: list[float] = []
    steps: dict[int, list[dict[str, float]]] = {n: [] for n in octrees}
    for _ in range(REPEATS):
        gc.collect()
        seconds, expected = _in_core(foreground)
        core.append(seconds)
        for n, octree in octrees.items():
            times, objects = _by_blocks(foreground, octree)
            if objects != expected:
                raise RuntimeError(f"{n} blocks gave {objects} objects, cc3d {expected}")
            steps[n].append(times)
    return {
        "title": f"Label, merge and remap by blocks, CPU time: {source} {side}³, {CONNECTIVITY}-connected",
        "volume": source,
        "shape": list(foreground.shape),
        "objects": expected,
        "rows": [_row(n, steps[n], core) for n in octrees],
    }


def _row(blocks: int, repeats: list[dict[str, float]], core: list[float]) -> Row:
    totals = [sum(times.values()) for times in repeats]
    medians = {f"{step}_s": statistics.median(t[step] for t in repeats) for step in repeats[0]}
    return Row(
        f"{blocks} blocks",
        statistics.median(totals),
        "s",
        statistics.median(core),
        "one in-core cc3d call",
        limit=3.0,
        samples=totals,
        details=medians,
    )
