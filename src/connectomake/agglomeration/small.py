"""Joining small supervoxels along their strongest voxel edges: the kernel."""

import numpy as np

from connectomake.compiled import njit
from connectomake.union_find import root


@njit(cache=True, nogil=True)
def join_small(u, v, size, unsure, least):  # type: ignore[no-untyped-def]
    """Take edges in order and join the clusters at their ends if either has fewer than `least` voxels.

    What is not certain stays: a small cluster may have unknown edges that come before (`unsure`), and then neither its state
    nor that of a small cluster whose best edge leads to it is known. A cluster that is large already stays large, so a small
    one may join it at once; an edge between two large ones is void.

    Parameters
    ----------
    u, v
        (m,) int64: ends of the edges, strongest first, ties by voxel index.
    size
        (n,) uint64: voxels; sums are left in it at the roots.
    unsure
        (n,) bool: clusters with unknown edges; those that follow are added.
    least
        uint64.

    Returns
    -------
    parent : (n,) int64
        A cluster that it was joined to, or itself.
    joins : (k, 2) int64
        Clusters joined, roots at that time: the one that stayed, the one that went.
    """
    parent = np.arange(size.size)
    joins = np.empty((size.size, 2), np.int64)
    done = 0
    for i in range(u.size):
        a, b = root(parent, u[i]), root(parent, v[i])
        if a == b or (size[a] >= least and size[b] >= least):
            continue
        if size[a] < size[b]:
            a, b = b, a
        if size[a] < least and (unsure[a] or unsure[b]):
            unsure[a] = unsure[b] = True
            continue
        if unsure[b]:
            continue
        joins[done, 0], joins[done, 1] = a, b
        done += 1
        parent[b] = a
        size[a] += size[b]
    return parent, joins[:done]


@njit(cache=True, nogil=True)
def follow(first, pairs):  # type: ignore[no-untyped-def]
    """Return the smaller and the larger key of each pair (stays, goes) of clusters when it merged; keys follow the merges."""
    low, high = np.empty(pairs.shape[0], first.dtype), np.empty(pairs.shape[0], first.dtype)
    for i in range(pairs.shape[0]):
        a, b = pairs[i, 0], pairs[i, 1]
        low[i], high[i] = min(first[a], first[b]), max(first[a], first[b])
        first[a] = low[i]
    return low, high
