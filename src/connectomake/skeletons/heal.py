"""Joined traces made whole: loops that arose where cells meet are cut, and branches that lead nowhere are left out."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.table import Traces

_EARLIER = 13


@dataclass(frozen=True, slots=True)
class Forest:
    """Skeletons as graphs without loops.

    Parameters
    ----------
    id : (n,) uint64
        Object of each vertex, ascending.
    key : (n,) int64
        1 + raster index in the region, ascending within an object.
    radius : (n,) float32
        In nm.
    edges : (m, 2) int64
        Rows of the two ends; by the first, which has the greater key.
    direction : (m,) int64
        From the first to the second, one of the 13 earlier ones.
    """

    id: np.ndarray
    key: np.ndarray
    radius: np.ndarray
    edges: np.ndarray
    direction: np.ndarray


def heal(traces: Traces, spec: SkeletonSpec) -> Forest:
    """Cut loops and short branches of whole objects.

    Where an object is wider than a cell, the trees of cells around it close loops. Of each loop the thinnest edge is cut (the
    smaller radius of its two ends; of equal ones, the last). Then branches not longer than a path would cover where they
    begin, ``scale * radius + const``, are left out, the shortest first.

    Parameters
    ----------
    traces
        Merged; every piece whole.
    spec
        The skeletons.
    """
    edges, direction = _edges(traces, spec)
    thin = np.minimum(traces.radius[edges[:, 0]], traces.radius[edges[:, 1]])
    order = np.lexsort((direction, edges[:, 0], -thin.astype(np.float64)))
    kept = np.zeros(len(edges), np.bool_)
    kept[order] = _spanning(len(traces.key), edges[order])
    edges, direction = edges[kept], direction[kept]
    limits = spec.scale * traces.radius.astype(np.float64) + spec.const
    stays = _pruned(len(traces.key), edges, spec.lengths[direction], limits)
    rows = np.cumsum(stays) - 1
    both = stays[edges].all(axis=1)
    return Forest(traces.id[stays], traces.key[stays], traces.radius[stays], rows[edges[both]], direction[both])


def _edges(traces: Traces, spec: SkeletonSpec) -> tuple[np.ndarray, np.ndarray]:
    """Return the links as pairs of rows, (m, 2), by first row and direction, and their directions, (m,)."""
    order = np.argsort(traces.key)
    keys = traces.key[order]
    rows, directions = np.nonzero(traces.links[:, None] >> np.arange(_EARLIER, dtype=np.uint16) & np.uint16(1))
    ends = np.searchsorted(keys, traces.key[rows] + spec.key_steps[directions])
    return np.stack([rows, order[ends]], axis=1) if len(rows) else np.zeros((0, 2), np.int64), directions


@njit(cache=True, nogil=True)
def _spanning(count, edges):  # type: ignore[no-untyped-def]
    """Tell which edges, taken in order, close no loop."""
    above, kept = np.arange(count), np.zeros(len(edges), np.bool_)
    for i in range(len(edges)):
        a, b = edges[i, 0], edges[i, 1]
        while above[a] != a:
            above[a] = above[above[a]]
            a = above[a]
        while above[b] != b:
            above[b] = above[above[b]]
            b = above[b]
        if a != b:
            above[max(a, b)] = min(a, b)
            kept[i] = True
    return kept


@njit(cache=True, nogil=True)
def _neighbours(count, edges):  # type: ignore[no-untyped-def]
    """Return where the edges of each vertex begin (count + 1,), and (2 m,) the other ends and the numbers of the edges."""
    first = np.zeros(count + 1, np.int64)
    for i in range(len(edges)):
        first[edges[i, 0] + 1] += 1
        first[edges[i, 1] + 1] += 1
    first = np.cumsum(first)
    place, other, number = first[:-1].copy(), np.empty(2 * len(edges), np.int64), np.empty(2 * len(edges), np.int64)
    for i in range(len(edges)):
        for a, b in ((edges[i, 0], edges[i, 1]), (edges[i, 1], edges[i, 0])):
            other[place[a]], number[place[a]] = b, i
            place[a] += 1
    return first, other, number


@njit(cache=True, nogil=True)
def _branch(tip, stays, degree, first, other, number, lengths):  # type: ignore[no-untyped-def]
    """Follow a branch from its tip; return the vertex where it ends, a junction or another tip, and its length."""
    v, before, length = tip, -1, 0.0
    while True:
        for i in range(first[v], first[v + 1]):
            if stays[other[i]] and other[i] != before:
                before, v = v, other[i]
                length += lengths[number[i]]
                break
        if degree[v] != 2:
            return v, length


@njit(cache=True, nogil=True)
def _drop(tip, end, stays, degree, first, other):  # type: ignore[no-untyped-def]
    """Take a branch off, up to its junction."""
    v = tip
    while v != end:
        stays[v] = False
        for i in range(first[v], first[v + 1]):
            if stays[other[i]]:
                v = other[i]
                break
    degree[end] -= 1


@njit(cache=True, nogil=True)
def _pruned(count, edges, lengths, limits):  # type: ignore[no-untyped-def]
    """Tell which vertices stay when short branches are taken off, the shortest first, until none is left."""
    first, other, number = _neighbours(count, edges)
    degree, stays = np.diff(first), np.ones(count, np.bool_)
    while True:
        tips = np.flatnonzero(stays & (degree == 1))
        ends, spans = np.empty(len(tips), np.int64), np.empty(len(tips), np.float64)
        for i in range(len(tips)):
            ends[i], spans[i] = _branch(tips[i], stays, degree, first, other, number, lengths)
        dropped = 0
        for i in np.argsort(spans, kind="mergesort"):
            if degree[ends[i]] > 2 and spans[i] <= limits[ends[i]]:
                _drop(tips[i], ends[i], stays, degree, first, other)
                dropped += 1
        if not dropped:
            return stays


def lengths_of(forest: Forest, spec: SkeletonSpec) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids that have a skeleton, (n,) uint64, ascending, and the lengths of all its branches in nm, (n,) float64.

    The steps in each direction are counted, so the sum does not depend on their order.
    """
    ids, rows = np.unique(forest.id, return_inverse=True)
    counts = np.zeros((len(ids), _EARLIER), np.int64)
    np.add.at(counts, (rows[forest.edges[:, 0]], forest.direction), 1)
    total = np.zeros(len(ids), np.float64)
    for d in range(_EARLIER):
        total += counts[:, d] * spec.lengths[d]
    return ids, total
