"""The three steps on one graph, whole or the part that a node of the octree knows.

::

    regions ─► join small ones along their strongest voxel edges ─► merge best-first by mean affinity ─► small ones vote
               (`min_supervoxel`)                                   (down to `threshold`)                (`absorb`)

Regions on the node's boundary have unknown edges. What depends on them is left *open* for the node above; everything else is
decided here, and is the same as if the whole graph had been there.
"""

from dataclasses import dataclass

import numpy as np

from connectomake.agglomeration.graph import Edges
from connectomake.agglomeration.rule import Rule
from connectomake.columns import Columns

SMALL, MEAN, ABSORBED = 0, 1, 2
"""Kinds of merges: a small supervoxel joined, two segments by their mean affinity, a small segment absorbed."""


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of a graph; row i is node i.

    Parameters
    ----------
    first
        (n,) uint64: smallest key of the supervoxels that a region is made of.
    voxels
        (n,) uint64: their voxels, as far as known.
    boundary
        (n,) bool: whether there may be further voxels and edges.
    decided
        (n,) bool: whether it is decided already and only may receive votes.
    """

    first: np.ndarray
    voxels: np.ndarray
    boundary: np.ndarray
    decided: np.ndarray

    @classmethod
    def whole(cls, first: np.ndarray, voxels: np.ndarray) -> "Regions":
        """Return the regions of a graph that is known as a whole."""
        none = np.zeros(len(first), bool)
        return cls(first, voxels, none, none)


@dataclass(frozen=True, slots=True)
class Merges(Columns):
    """Merges that were decided, one per row.

    Parameters
    ----------
    kind
        (m,) uint8: `SMALL`, `MEAN` or `ABSORBED`.
    a, b
        (m,) uint64: smallest keys of the two clusters, a < b.
    total, count, index
        (m,) uint64: sum, number and smallest index of the voxel edges between them; 0 for `SMALL`.
    """

    kind: np.ndarray
    a: np.ndarray
    b: np.ndarray
    total: np.ndarray
    count: np.ndarray
    index: np.ndarray


@dataclass(frozen=True, slots=True)
class Solution:
    """The result of agglomerating a graph.

    Parameters
    ----------
    cluster
        (n,) int64: number of the cluster that each region is in.
    regions
        The clusters; `boundary` says which are open, `decided` which are decided.
    edges
        Between clusters (u, v are their numbers), as far as they still matter.
    needed
        (clusters,) bool: which must be known to the node above.
    votes
        (k, 2) int64: clusters that become one segment by absorption.
    merges
        All that was decided.
    """

    cluster: np.ndarray
    regions: Regions
    edges: Edges
    passed_up: np.ndarray
    votes: np.ndarray
    merges: Merges


def solve(edges: Edges, regions: Regions, rule: Rule) -> Solution:
    """Join, merge and absorb what can be decided.

    Parameters
    ----------
    edges
        Between regions: u and v are their numbers; each pair once.
    regions
        The regions.
    rule
        What is joined.
    """
    cluster, joined, small_edges, undecided, small = _join_small(edges, regions, rule)
    frozen = joined.boundary | _with_neighbours(small_edges, undecided, rule)
    merged, linked, linked_edges, means = _link(small_edges, joined, frozen, rule)
    votes, absorbed, passed_up, kept = _absorb(linked_edges, linked, rule)
    settled = Regions(
        linked.first, linked.voxels, linked.boundary, linked.decided | ~(linked.boundary | _waiting(kept, linked, rule))
    )
    return Solution(merged[cluster], settled, kept, passed_up, votes, concat([small, means, absorbed]))


def _join_small(edges: Edges, regions: Regions, rule: Rule) -> tuple[np.ndarray, Regions, Edges, np.ndarray, Merges]:
    """Return the cluster of each region, the clusters, their edges, which clusters are undecided, and the joins."""
    from connectomake.agglomeration.small import join_small
    from connectomake.union_find import roots

    count = len(regions.first)
    if rule.min_supervoxel <= 1:
        return np.arange(count), regions, edges, np.zeros(count, bool), _no_merges()
    least = np.uint64(rule.min_supervoxel)
    size, unsure = regions.voxels.copy(), regions.boundary & (regions.voxels < least)
    u, v = edges.u.astype(np.int64), edges.v.astype(np.int64)
    rows = np.flatnonzero((edges.best >= rule.least_edge) & ((size[u] < least) | (size[v] < least)))
    rows = rows[np.lexsort((edges.best_index[rows], np.iinfo(np.uint32).max - edges.best[rows]))]
    parent, joins = join_small(u[rows], v[rows], size, unsure, least)
    first = regions.first.copy()
    low, high = _record(first, joins)
    zero = np.zeros(len(joins), np.uint64)
    merges = Merges(np.full(len(joins), SMALL, np.uint8), low, high, zero, zero, zero)
    cluster, clusters = _numbered(roots(parent), first, size, regions)
    joined = edges.between(cluster[u], cluster[v]) if len(joins) else edges
    undecided = np.zeros(len(clusters.first), bool)
    undecided[cluster[unsure & (regions.voxels < least)]] = True
    undecided &= clusters.voxels < least
    return cluster, clusters, joined, undecided, merges


def _with_neighbours(edges: Edges, undecided: np.ndarray, rule: Rule) -> np.ndarray:
    """Return the undecided clusters and those that they may still be joined to."""
    found = undecided.copy()
    if undecided.any():
        u, v = (side[edges.best >= rule.least_edge].astype(np.int64) for side in (edges.u, edges.v))
        found[u[undecided[v]]] = True
        found[v[undecided[u]]] = True
    return found


def _link(edges: Edges, regions: Regions, frozen: np.ndarray, rule: Rule) -> tuple[np.ndarray, Regions, Edges, Merges]:
    """Return the cluster of each region, the clusters, their edges and the merges."""
    from connectomake.agglomeration.linkage import link
    from connectomake.union_find import roots

    room = np.zeros(len(edges), np.uint64)
    total, count, index = (np.concatenate([column, room]) for column in (edges.total, edges.count, edges.index))
    ends = np.concatenate([np.stack([edges.u, edges.v], axis=-1).ravel(), room, room]).astype(np.int64)
    size, frozen = regions.voxels.copy(), frozen.copy()
    parent, merged, _ = link(ends, total, count, index, size, frozen, rule.floor, rule.large)
    first = regions.first.copy()
    low, high = _record(first, merged[:, 1:])
    rows = merged[:, 0]
    merges = Merges(np.full(len(rows), MEAN, np.uint8), low, high, total[rows], count[rows], index[rows])
    cluster, clusters = _numbered(roots(parent), first, size, regions)
    still = np.zeros(len(clusters.first), bool)
    still[cluster[frozen]] = True
    linked = Regions(clusters.first, clusters.voxels, still, clusters.decided)
    return cluster, linked, _mattering(edges, cluster, linked, rule), merges


def _mattering(edges: Edges, cluster: np.ndarray, regions: Regions, rule: Rule) -> Edges:
    """Return the edges between clusters that are open, or of which one may be absorbed."""
    u, v = cluster[edges.u.astype(np.int64)], cluster[edges.v.astype(np.int64)]
    small = regions.voxels < np.uint64(rule.absorb)
    rows = np.flatnonzero((regions.boundary[u] & regions.boundary[v]) | small[u] | small[v])
    return edges.take(rows).between(u[rows], v[rows])


def _record(first: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the smaller and the larger first key of each pair (stays, goes) at its time; `first` follows the merges."""
    from connectomake.agglomeration.small import follow

    low, high = follow(first, np.ascontiguousarray(pairs))
    return low, high


def _numbered(root: np.ndarray, first: np.ndarray, size: np.ndarray, regions: Regions) -> tuple[np.ndarray, Regions]:
    """Number clusters by their roots; flags hold for a cluster if they hold for one of its regions."""
    kept, cluster = np.unique(root, return_inverse=True)
    flags = np.zeros((2, len(kept)), bool)
    for flag, column in zip(flags, (regions.boundary, regions.decided), strict=True):
        flag[cluster[column]] = True
    return cluster, Regions(first[kept], size[kept], *flags)


def _waiting(edges: Edges, regions: Regions, rule: Rule) -> np.ndarray:
    """Return the decided small clusters that cannot vote yet, for a neighbour of theirs is open."""
    beside = np.zeros(len(regions.first), bool)
    u, v = edges.u.astype(np.int64), edges.v.astype(np.int64)
    beside[u[regions.boundary[v]]] = True
    beside[v[regions.boundary[u]]] = True
    return beside & _voters(regions, rule)  # type: ignore[no-any-return]


def _voters(regions: Regions, rule: Rule) -> np.ndarray:
    return ~regions.boundary & ~regions.decided & (regions.voxels < np.uint64(rule.absorb))  # type: ignore[no-any-return]


def _absorb(edges: Edges, regions: Regions, rule: Rule) -> tuple[np.ndarray, Merges, np.ndarray, Edges]:
    """Return the votes, the merges they make, which clusters are needed above, and the edges that are."""
    from connectomake.agglomeration.exact import best_partners

    waiting = _waiting(edges, regions, rule)
    ends = np.stack([edges.u, edges.v], axis=-1).astype(np.int64)
    best = best_partners(ends, edges.total, edges.count, edges.index, _voters(regions, rule) & ~waiting)
    rows = np.unique(best[best >= 0])
    votes, merges = ends[rows], _no_merges()
    if len(rows):
        keys = np.sort(regions.first[votes], axis=1)
        kinds = np.full(len(rows), ABSORBED, np.uint8)
        merges = Merges(kinds, keys[:, 0], keys[:, 1], edges.total[rows], edges.count[rows], edges.index[rows])
    undecided = waiting | (regions.boundary & (regions.voxels < np.uint64(rule.absorb)))
    both_open = regions.boundary[ends].all(axis=1)
    kept = np.logical_or(both_open, undecided[ends].any(axis=1))
    passed_up = regions.boundary | waiting
    passed_up[ends[kept].ravel()] = True
    return votes, merges, passed_up, edges.take(kept)


def _no_merges() -> Merges:
    none = np.zeros(0, np.uint64)
    return Merges(np.zeros(0, np.uint8), none, none, none, none, none)


def concat(parts: list[Merges]) -> Merges:
    """Return the rows of all parts, in order."""
    columns = ("kind", "a", "b", "total", "count", "index")
    return Merges(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))
