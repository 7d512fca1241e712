"""The watershed of a whole volume in plain Python, and the same by blocks and octree."""

from typing import Any

import numpy as np

from connectomake.components import WatershedRule, high_boxes, watershed_block
from connectomake.components.block import BlockLabels
from connectomake.geometry import Box, Octree
from connectomake.octree import KeptEdges
from connectomake.octree.summary import NodeSummary
from tests.octree_reference import assemble, merge_in_memory

STEPS = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
TIES = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (1, 0, 0), (0, 1, 0), (0, 0, 1)]


def edges_of(affinity: np.ndarray) -> dict[tuple[tuple[int, int, int], tuple[int, int, int]], Any]:
    """Return {(lower voxel, upper voxel): value} of all edges of a volume."""
    shape = affinity.shape[1:]
    found = {}
    for axis in range(3):
        for v in np.ndindex(shape):
            if v[axis]:
                u = tuple(p - (i == axis) for i, p in enumerate(v))
                found[u, v] = affinity[(axis, *v)]
    return found


def reached(value: np.float32 | np.uint8, threshold: float, dtype: Any) -> bool:
    """Compare as the config says: uint8 is value/255, of the threshold's decimal; float32 compares as float32."""
    from fractions import Fraction

    if dtype == np.uint8:
        return Fraction(int(value), 255) >= Fraction(str(threshold))
    return bool(value >= np.float32(threshold))


def reference_watershed(affinity: np.ndarray, t_low: float, t_high: float) -> np.ndarray:
    """Return ids (z, y, x) uint64: 1 + raster index of the basin's first voxel; 0 without a kept edge."""
    shape, dtype = affinity.shape[1:], affinity.dtype
    edges = edges_of(affinity)
    of_voxel: Any = {v: [] for v in np.ndindex(shape)}
    for (u, v), value in edges.items():
        axis = next(i for i in range(3) if u[i] != v[i])
        of_voxel[v].append((-float(value), axis, (u, v)))
        of_voxel[u].append((-float(value), 3 + axis, (u, v)))
    votes = {min(found)[2] for found in of_voxel.values() if found}
    parent = {v: v for v in of_voxel}

    def find(v: tuple[int, int, int]) -> tuple[int, int, int]:
        while parent[v] != v:
            v = parent[v]
        return v

    labelled: set[Any] = set()
    for edge, value in edges.items():
        if reached(value, t_low, dtype) and (edge in votes or reached(value, t_high, dtype)):
            a, b = sorted(map(find, edge))
            parent[b] = a
            labelled.update(edge)
    out = np.zeros(shape, np.uint64)
    for v in labelled:
        out[v] = 1 + np.ravel_multi_index(find(v), shape)
    return out


def high_planes(affinity: np.ndarray, box: Box, roi: Box) -> tuple[np.ndarray | None, ...]:
    """Return the edges across a block's high faces, of the affinities of the whole region."""
    planes = (None if p is None else p.slices(roi.start) for p in high_boxes(box, roi))
    return tuple(None if p is None else affinity[(axis, *p)].squeeze(axis) for axis, p in enumerate(planes))


def watershed_blocks(affinity: np.ndarray, octree: Octree, t_low: float, t_high: float) -> dict[int, BlockLabels]:
    """Label every block of a volume, with the planes of its high neighbours."""
    grid, rule = octree.grid, WatershedRule(t_low, t_high)
    results = {}
    for b in grid.ids:
        box = grid.box(b)
        cut = np.ascontiguousarray(affinity[(slice(None), *box.slices(grid.roi.start))])
        results[b] = watershed_block(cut, high_planes(affinity, box, grid.roi), rule, box, grid.roi)
    return results


def watershed_by_octree(
    affinity: np.ndarray, octree: Octree, t_low: float, t_high: float
) -> tuple[np.ndarray, dict[int, BlockLabels], dict[int, np.ndarray], dict[tuple[int, int], NodeSummary]]:
    """Return the ids of the whole volume, by blocks and octree."""
    results = watershed_blocks(affinity, octree, t_low, t_high)
    tables, summaries = merge_in_memory(results, octree, KeptEdges(), 0)
    return assemble(results, tables, octree), results, tables, summaries


def random_affinity(rng: np.random.Generator, shape: tuple[int, int, int], kind: str) -> np.ndarray:
    """Random affinities: float32 or uint8, noise or smooth, or with few values, so that ties abound."""
    values = rng.random((3, *shape))
    if "smooth" in kind:
        from scipy.ndimage import uniform_filter

        values = np.stack([uniform_filter(v, 3) for v in values])
        values = (values - values.min()) / max(np.ptp(values), 1e-9)
    if "few" in kind:
        values = np.round(values * 3) / 3
    if "uint8" in kind:
        return np.floor(values * 255 + 0.5).astype(np.uint8)
    return values.astype(np.float32)


KINDS = ["float", "float smooth", "float few", "uint8", "uint8 smooth", "uint8 few", "uint8 few smooth"]
