"""Agglomeration of a whole volume in plain Python, from its voxel edges, and the same by blocks and octree."""

from fractions import Fraction
from typing import Any

import numpy as np

from connectomake.agglomeration import (
    MemoryGraph,
    agglomerate_blocks,
    agglomerate_nodes,
    graph_tables,
)
from connectomake.agglomeration.files import canonical
from connectomake.agglomeration.node import Up
from connectomake.agglomeration.rule import Rule
from connectomake.agglomeration.solve import concat
from connectomake.components import block_tables
from connectomake.components.block import BlockLabels
from connectomake.geometry import Octree
from connectomake.octree import lower_neighbours
from tests.octree_reference import assemble
from tests.watershed_reference import reached, watershed_by_octree


def voxel_edges(ids: np.ndarray, affinity: np.ndarray) -> list[tuple[np.float32 | np.uint8, int, int, int]]:
    """List (value, index, u, v) of all voxel edges between different supervoxels; values as integers that sum exactly."""
    found = []
    for axis in range(3):
        for v in np.ndindex(ids.shape):
            if v[axis] == 0:
                continue
            u = tuple(p - (i == axis) for i, p in enumerate(v))
            if ids[u] != ids[v] and ids[u] and ids[v]:
                index = 3 * int(np.ravel_multi_index(v, ids.shape)) + axis
                found.append((affinity[(axis, *v)], index, int(ids[u]), int(ids[v])))
    return found


def exact(value: np.float32 | np.uint8) -> int:
    """A voxel edge's affinity as the integer that is summed."""
    return int(value) if value.dtype == np.uint8 else int(np.floor(np.float64(value) * 2**24 + 0.5))


def threshold(value: float | float | None, dtype: Any) -> Fraction:
    return Fraction(str(value)) * (255 if dtype == np.uint8 else 2**24)


class Sets:
    """Sets of supervoxels, named by their smallest key."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self.of = {k: k for k in sizes}
        self.size = dict(sizes)

    def join(self, a: int, b: int) -> None:
        low, high = min(a, b), max(a, b)
        self.size[low] += self.size.pop(high)
        self.of = {k: low if s == high else s for k, s in self.of.items()}


def graph(edges: list[tuple[np.float32 | np.uint8, int, int, int]], sets: Sets) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Sum, count and smallest index per pair of sets."""
    pairs: dict[Any, Any] = {}
    for value, index, u, v in edges:
        pair = tuple(sorted((sets.of[u], sets.of[v])))
        if pair[0] != pair[1]:
            total, count, least = pairs.get(pair, (0, 0, index))
            pairs[pair] = (total + exact(value), count + 1, min(least, index))
    return pairs


def order(item: tuple[tuple[int, int], tuple[int, int, int]]) -> tuple[Fraction, int]:
    total, count, index = item[1]
    return (-Fraction(total, count), index)


def reference_segments(
    ids: np.ndarray, affinity: np.ndarray, rule: Rule, min_size: int = 0
) -> tuple[np.ndarray, set[tuple[int, ...]]]:
    """Return segments (z, y, x) uint64 by smallest key, and the set of merges (kind, a, b, total, count, index)."""
    keys, counts = np.unique(ids[ids > 0], return_counts=True)
    sets = Sets({int(k): int(c) for k, c in zip(keys, counts, strict=True)})
    merges: set[Any]
    edges, merges = voxel_edges(ids, affinity), set()
    for value, _, u, v in sorted(edges, key=lambda e: (-float(e[0]), e[1])):
        a, b = sets.of[u], sets.of[v]
        small = min(sets.size[a], sets.size[b]) < rule.min_supervoxel
        if a != b and small and reached(value, rule.t_low, affinity.dtype):
            sets.join(a, b)
    merges.update((0, s, k, 0, 0, 0) for k, s in sets.of.items() if s != k)
    link(edges, sets, affinity.dtype, rule, merges)
    absorb(edges, sets, rule, merges)
    of = np.zeros(ids.size + 1, np.uint64)
    for k, s in sets.of.items():
        of[k] = s if sets.size[s] >= min_size else 0
    return of[ids.astype(np.int64)], merges


def link(
    edges: list[tuple[np.float32 | np.uint8, int, int, int]], sets: Sets, dtype: Any, rule: Rule, merges: set[tuple[int, ...]]
) -> None:
    void = set()
    while rule.threshold is not None:
        pairs = {p: v for p, v in graph(edges, sets).items() if p not in void}
        if not pairs:
            return
        (a, b), (total, count, index) = min(pairs.items(), key=order)
        if Fraction(total, count) < threshold(rule.threshold, dtype):
            return
        large = rule.large_voxels is not None and min(sets.size[a], sets.size[b]) >= rule.large_voxels
        if large and Fraction(total, count) < threshold(rule.large_threshold, dtype):
            void.add((a, b))
            continue
        merges.add((1, a, b, total, count, index))
        sets.join(a, b)


def absorb(
    edges: list[tuple[np.float32 | np.uint8, int, int, int]], sets: Sets, rule: Rule, merges: set[tuple[int, ...]]
) -> None:
    pairs = graph(edges, sets)
    votes = []
    for small in [s for s, size in sets.size.items() if size < rule.absorb]:
        mine = [item for item in pairs.items() if small in item[0]]
        if mine:
            (a, b), value = min(mine, key=order)
            votes.append((a, b))
            merges.add((2, a, b, *value))
    for a, b in votes:
        if sets.of[a] != sets.of[b]:
            sets.join(sets.of[a], sets.of[b])


def supervoxels_by_octree(
    affinity: np.ndarray, octree: Octree, t_low: float, t_high: float
) -> tuple[np.ndarray, dict[int, BlockLabels], MemoryGraph]:
    """Return ids of the whole volume, the labels of each block, and the blocks for agglomeration."""
    ids, results, tables, _ = watershed_by_octree(affinity, octree, t_low, t_high)
    grid, arrays = octree.grid, {}
    for b, result in results.items():
        cut = affinity[(slice(None), *grid.box(b).slices(grid.roi.start))]
        arrays[b] = {**block_tables(result), **graph_tables(result.labels, cut, grid.box(b), grid.roi)}
    return ids, results, MemoryGraph(arrays, tables)


def segments_by_octree(
    results: dict[int, BlockLabels], blocks: MemoryGraph, octree: Octree, rule: Rule, min_size: int
) -> tuple[np.ndarray, dict[tuple[int, int], Up], set[tuple[int, ...]]]:
    """Return the segments of the whole volume, the closed table, the merges and what every node passed up."""
    ups = {}
    for node in octree.nodes(1):
        needed = [*octree.children(1, node), *lower_neighbours(octree, node, [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])]
        part = MemoryGraph({b: blocks.arrays[b] for b in needed}, {b: blocks.look_up[b] for b in needed})
        ups[1, node] = agglomerate_blocks(octree, node, part, rule, min_size)
    for level in range(2, octree.levels + 1):
        for node in octree.nodes(level):
            below = {c: (ups[level - 1, c].open, ups[level - 1, c].edges) for c in octree.children(level, node)}
            ups[level, node] = agglomerate_nodes(octree, level, node, below, rule, min_size)
    ids = {(octree.levels, 0): np.zeros(0, np.uint64)}
    for level in range(octree.levels, 0, -1):
        for node in octree.nodes(level):
            up, own = ups[level, node], ids[level, node]
            assert len(own) == len(up.open.name)
            every = np.concatenate([np.zeros(1, np.uint64), own, up.closed.key])
            ids |= {(level - 1, child): every[slot] for child, slot in up.slots.items()}
    tables = {b: ids[0, b] for b in octree.grid.ids}
    merges = canonical(concat([up.merges for up in ups.values()]))
    columns = (merges.kind, merges.a, merges.b, merges.total, merges.count, merges.index)
    rows = list(zip(*(c.tolist() for c in columns), strict=True))
    assert len(set(rows)) == len(rows)
    return assemble(results, tables, octree), ups, set(rows)
