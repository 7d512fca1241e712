"""Joined traces made whole: loops that arose where cells meet are cut, and branches that lead nowhere are left out."""

from dataclasses import dataclass

import numpy as np

from connectomake.compiled import njit
from connectomake.skeletons.adjacency import neighbours
from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.paths import pop, push
from connectomake.skeletons.prune import prune
from connectomake.skeletons.table import Traces

_EARLIER = 13
_UNIT = 256


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

    Where an object is wider than a cell, the trees of cells around it close loops. Only what lies on
    the cheapest paths from the widest vertex of a piece stays, where an edge costs its length over the smaller radius of its
    two ends. So a loop is cut where the two ways round it meet. Then branches that lead nowhere are left out; see `prune`.

    Parameters
    ----------
    traces
        Merged; every piece whole.
    spec
        The skeletons.
    """
    edges, direction = _edges(traces, spec)
    thin = np.minimum(traces.radius[edges[:, 0]], traces.radius[edges[:, 1]]).astype(np.float64)
    costs = np.rint(_UNIT * spec.lengths[direction] / thin).astype(np.int64)
    kept = _forest(np.argsort(-traces.radius, kind="stable"), edges, costs)
    edges, direction = edges[kept], direction[kept]
    stays = prune(traces, edges, spec.lengths[direction], spec)
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
def _forest(roots, edges, costs):  # type: ignore[no-untyped-def]
    """Tell which edges lie on the cheapest paths from the first of ``roots`` in each piece; of equally cheap ones the first."""
    count, bits = len(roots), 1
    while count >> bits:
        bits += 1
    most, low = (np.int64(1) << (62 - bits)) - 1, (np.int64(1) << bits) - 1
    first, other, number = neighbours(count, edges)
    cost, above = np.full(count, most + 1, np.int64), np.full(count, -1, np.int64)
    heap, kept = np.empty(1024, np.int64), np.zeros(len(edges), np.bool_)
    for root in roots:
        if cost[root] <= most:
            continue
        heap[0], size, cost[root] = root, 1, 0
        while size:
            size -= 1
            key = pop(heap, size)
            v, c = key & low, key >> bits
            if c > cost[v]:
                continue
            for i in range(first[v], first[v + 1]):
                new = min(c + costs[number[i]], most)
                if new < cost[other[i]]:
                    cost[other[i]], above[other[i]] = new, number[i]
                    heap = push(heap, size, new << bits | other[i])
                    size += 1
    for v in range(count):
        if above[v] >= 0:
            kept[above[v]] = True
    return kept


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
