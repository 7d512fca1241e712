"""Branches of whole skeletons that lead nowhere: too short, or beside a wider one in the same part of the object."""

import numpy as np

from connectomake.compiled import njit
from connectomake.skeletons.adjacency import MOST_DETOUR, WITHIN, neighbours
from connectomake.skeletons.hairpins import cut_hairpins
from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.table import Traces


def prune(traces: Traces, edges: np.ndarray, lengths: np.ndarray, spec: SkeletonSpec) -> np.ndarray:
    """Tell which voxels stay, (n,) bool, when branches from a tip to a junction are left out, the shortest first.

    A branch is left out if its tip lies no farther than what a path covers, ``scale * radius + const``, from the junction or
    from another vertex that is as near to the junction along the skeleton, for no tip would have been sought there, unless the
    branch is more than `MOST_DETOUR` times as long; or if every voxel of it lies within `WITHIN` times the radius of another
    voxel of the skeleton, and a voxel's diagonal, as happens where an object runs along the border of cells and each cell has
    traced its part of it.

    Parameters
    ----------
    traces
        Merged; rows by id.
    edges : (m, 2) int64
        Rows of their ends, by the first one; without loops.
    lengths : (m,) float64
        Of the edges, in nm.
    spec
        The skeletons.
    """
    _, first = np.unique(traces.id, return_index=True)
    bounds = np.append(first, len(traces.id)).astype(np.int64)
    places = np.stack(np.unravel_index(traces.key - 1, spec.roi.shape), axis=1)
    points = places * np.array(spec.voxel_size, np.float64)
    radius = traces.radius.astype(np.float64)
    slack = float(np.linalg.norm(spec.voxel_size))
    edge_bounds = np.searchsorted(edges[:, 0], bounds)
    stays: np.ndarray = _prune_all(bounds, edge_bounds, edges, lengths, points, radius, spec.scale * radius + spec.const, slack)
    cut_hairpins(bounds, edge_bounds, edges, lengths, points, radius, slack, stays)
    return stays


@njit(cache=True, nogil=True)
def _branch(tip, stays, degree, first, other, number, lengths, path):  # type: ignore[no-untyped-def]
    """Write a branch, from its tip on, to ``path``; return its vertices, the junction or tip where it ends, its length."""
    v, before, length, count = tip, -1, 0.0, 0
    while True:
        path[count] = v
        count += 1
        for i in range(first[v], first[v + 1]):
            if stays[other[i]] and other[i] != before:
                before, v = v, other[i]
                length += lengths[number[i]]
                break
        if degree[v] != 2:
            return count, v, length


@njit(cache=True, nogil=True)
def _is_covered(tip, end, span, points, limits, stays, first, other, number, lengths, queue, before, away):  # type: ignore[no-untyped-def]
    """Whether a tip lies within the limit of a vertex near the junction where its branch, ``span`` long, ends."""
    queue[0], before[0], away[0], count, done = end, -1, 0.0, 1, 0
    while done < count:
        v, last, far = queue[done], before[done], away[done]
        done += 1
        if span <= MOST_DETOUR * limits[v] and np.sqrt(((points[tip] - points[v]) ** 2).sum()) <= limits[v]:
            return True
        for i in range(first[v], first[v + 1]):
            further = far + lengths[number[i]]
            if stays[other[i]] and other[i] != last and further <= limits[end]:
                queue[count], before[count], away[count] = other[i], v, further
                count += 1
    return False


@njit(cache=True, nogil=True)
def _bins(points, side):  # type: ignore[no-untyped-def]
    """Sort points into boxes of a side: their boxes (n, 3), numbers of boxes (3,), sorted numbers of the boxes, their order."""
    places = np.empty(points.shape, np.int64)
    for axis in range(3):
        places[:, axis] = (points[:, axis] - points[:, axis].min()) // side
    extent = np.array([places[:, 0].max() + 1, places[:, 1].max() + 1, places[:, 2].max() + 1])
    numbers = (places[:, 0] * extent[1] + places[:, 1]) * extent[2] + places[:, 2]
    order = np.argsort(numbers, kind="mergesort")
    return places, extent, numbers[order], order


@njit(cache=True, nogil=True)
def _is_within(v, points, radius, slack, counts, places, extent, numbers, order):  # type: ignore[no-untyped-def]
    """Whether a vertex lies within the radius of one that counts, as `prune` has it."""
    z, y, x = places[v]
    for w in range(max(z - 1, 0), min(z + 2, extent[0])):
        for u in range(max(y - 1, 0), min(y + 2, extent[1])):
            row = (w * extent[1] + u) * extent[2]
            start = np.searchsorted(numbers, row + max(x - 1, 0))
            stop = np.searchsorted(numbers, row + min(x + 2, extent[2]))
            for a in order[start:stop]:
                if counts[a]:
                    away = points[a] - points[v]
                    if away[0] ** 2 + away[1] ** 2 + away[2] ** 2 <= (WITHIN * radius[a] + slack) ** 2:
                        return True
    return False


@njit(cache=True, nogil=True)
def _prune_object(edges, lengths, points, radius, limits, slack, stays):  # type: ignore[no-untyped-def]
    """Prune one object; ``stays`` is brought up to date."""
    first, other, number = neighbours(len(points), edges)
    degree = np.diff(first)
    if degree.max() < 3:
        return
    places, extent, numbers, order = _bins(points, WITHIN * radius.max() + slack)
    path, queue, before = np.empty(len(points), np.int64), np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    away = np.empty(len(points), np.float64)
    while True:
        tips = np.flatnonzero(stays & (degree == 1))
        spans = np.empty(len(tips), np.float64)
        for i in range(len(tips)):
            spans[i] = _branch(tips[i], stays, degree, first, other, number, lengths, path)[2]
        dropped = False
        for i in np.argsort(spans, kind="mergesort"):
            count, end, span = _branch(tips[i], stays, degree, first, other, number, lengths, path)
            if degree[end] < 3:
                continue
            branch = path[:count]
            stays[branch] = False
            tip = tips[i]
            drop = _is_covered(tip, end, span, points, limits, stays, first, other, number, lengths, queue, before, away)
            if not drop:
                drop = True
                for v in branch:
                    if not _is_within(v, points, radius, slack, stays, places, extent, numbers, order):
                        drop = False
                        break
            if drop:
                degree[end] -= 1
                dropped = True
            else:
                stays[branch] = True
        if not dropped:
            return


@njit(cache=True, nogil=True)
def _prune_all(bounds, edge_bounds, edges, lengths, points, radius, limits, slack):  # type: ignore[no-untyped-def]
    """Prune object by object: those between ``bounds`` of the vertices and ``edge_bounds`` of the edges."""
    stays = np.ones(len(points), np.bool_)
    for i in range(len(bounds) - 1):
        a, b = bounds[i], bounds[i + 1]
        e, f = edge_bounds[i], edge_bounds[i + 1]
        if f - e > 2:
            _prune_object(edges[e:f] - a, lengths[e:f], points[a:b], radius[a:b], limits[a:b], slack, stays[a:b])
    return stays
