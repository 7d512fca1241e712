"""Mean-affinity linkage by best-first merging, with frozen clusters: the kernel of agglomeration.

Edges between clusters are immutable: where a merge makes two edges one, both die and a new one is made, so entries of the heap
are edge numbers and never outdated. Every cluster has a linked list of its edges' ends; the cluster of fewer ends gives its
list to the other (O(E log E) moves). A hash table finds the edge between two clusters.

Method: mean linkage is reducible, that is, what two clusters merge to is never closer to a third than the closer of them was.
So a pair that is best for both may merge at once, whatever happens elsewhere; frozen clusters stand for those that may still
get unknown edges. After Lu, Zlateski and Seung, "Large-scale image segmentation based on distributed clustering algorithms",
arXiv 2106.10795.
"""

import numpy as np

from connectomake.agglomeration.exact import compare
from connectomake.compiled import njit

_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_ALIVE, _DEAD = np.uint8(1), np.uint8(0)


@njit(cache=True, nogil=True)
def link(ends, total, count, index, size, frozen, floor, large):  # type: ignore[no-untyped-def]
    """Merge clusters best-first down to a mean, in place.

    Parameters
    ----------
    ends
        (2 × capacity,) int64: edge e lies between clusters ends[2 e] and ends[2 e + 1]; the first half of the capacity holds
        the edges, each pair of clusters once, the rest is room for merged ones.
    total, count, index
        (capacity,) uint64: sum, number and smallest index of its voxel edges. The order is mean descending, index ascending.
    size
        (n,) uint64: voxels of the clusters; sums are left in it.
    frozen
        (n,) bool: clusters that must not merge yet. Those whose best partner is frozen become frozen.
    floor
        (2,) uint64: merges have a mean of at least floor[0] / floor[1].
    large
        (3,) uint64: two clusters of at least large[0] voxels merge only from a mean of large[1] / large[2].

    Returns
    -------
    parent : (n,) int64
        An earlier or later cluster that it was merged into, or itself.
    merges : (m, 3) int64
        Edge, cluster that stayed, cluster that went, in the order of merging.
    alive : (capacity,) uint8
        Which edges are left, between clusters that are left.
    """
    n, edges = size.size, total.size // 2
    parent = np.arange(n)
    heads, degree = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    following = np.full(ends.size, -1, np.int64)
    alive = np.zeros(total.size, np.uint8)
    table = _new_table(edges)
    mean, heap = np.empty(total.size, np.float64), np.empty(total.size, np.int64)
    waiting = _begin(mean, heap, edges, ends, total, count, index, floor, heads, following, degree, alive, table)
    merges = np.empty((n, 3), np.int64)
    done, made = 0, edges
    while waiting > 0:
        e = heap[0]
        waiting -= 1
        mean[0], heap[0] = mean[waiting], heap[waiting]
        _down(mean, heap, 0, waiting, total, count, index)
        if alive[e] == _DEAD:
            continue
        a, b = ends[2 * e], ends[2 * e + 1]
        if size[a] >= large[0] and size[b] >= large[0] and compare(total[e], count[e], large[1], large[2]) < 0:
            continue
        if frozen[a] or frozen[b]:
            frozen[a] = frozen[b] = True
            continue
        if degree[a] < degree[b]:
            a, b = b, a
        merges[done, 0], merges[done, 1], merges[done, 2] = e, a, b
        done += 1
        parent[b] = a
        size[a] += size[b]
        before, made = made, _move(a, b, e, made, ends, total, count, index, heads, following, degree, alive, table)
        waiting = _push(mean, heap, waiting, before, made, total, count, index, floor)
    return parent, merges[:done], alive


@njit(cache=True, nogil=True)
def _begin(mean, heap, edges, ends, total, count, index, floor, heads, following, degree, alive, table):  # type: ignore[no-untyped-def]
    """Enter the first edges everywhere, those that reach the floor in the heap, too; return how many these are."""
    waiting = 0
    for e in range(edges):
        alive[e] = _ALIVE
        _attach(e, ends, heads, following, degree)
        _insert(table, ends, e)
        if compare(total[e], count[e], floor[0], floor[1]) >= 0:
            mean[waiting], heap[waiting] = np.float64(total[e]) / np.float64(count[e]), e
            waiting += 1
    for i in range(waiting // 2 - 1, -1, -1):
        _down(mean, heap, i, waiting, total, count, index)
    return waiting


@njit(cache=True, nogil=True)
def _push(mean, heap, waiting, first, last, total, count, index, floor):  # type: ignore[no-untyped-def]
    """Put those of the edges from first to last that reach the floor on the heap; return how many wait there then."""
    for e in range(first, last):
        if compare(total[e], count[e], floor[0], floor[1]) >= 0:
            mean[waiting], heap[waiting] = np.float64(total[e]) / np.float64(count[e]), e
            _up(mean, heap, waiting, total, count, index)
            waiting += 1
    return waiting


@njit(cache=True, nogil=True)
def _move(a, b, merged, made, ends, total, count, index, heads, following, degree, alive, table):  # type: ignore[no-untyped-def]
    """Give the edges of cluster b to cluster a, joining those to a common neighbour; return the number of edges made so far."""
    _remove(table, ends, merged)
    alive[merged] = _DEAD
    degree[a] -= 1
    half = heads[b]
    while half >= 0:
        e, later = half >> 1, following[half]
        if alive[e]:
            c = ends[half ^ 1]
            _remove(table, ends, e)
            other = _find(table, ends, a, c)
            if other < 0:
                ends[half] = a
                following[half] = heads[a]
                heads[a] = half
                degree[a] += 1
                _insert(table, ends, e)
            else:
                _remove(table, ends, other)
                alive[e] = alive[other] = _DEAD
                degree[a] -= 1
                degree[c] -= 2
                ends[2 * made], ends[2 * made + 1] = a, c
                total[made], count[made] = total[e] + total[other], count[e] + count[other]
                index[made] = min(index[e], index[other])
                alive[made] = _ALIVE
                _attach(made, ends, heads, following, degree)
                _insert(table, ends, made)
                made += 1
        half = later
    return made


@njit(cache=True, nogil=True, inline="always")
def _attach(e, ends, heads, following, degree):  # type: ignore[no-untyped-def]
    """Put both ends of an edge into the lists of their clusters."""
    for half in range(2 * e, 2 * e + 2):
        cluster = ends[half]
        following[half] = heads[cluster]
        heads[cluster] = half
        degree[cluster] += 1


@njit(cache=True, nogil=True)
def _new_table(edges):  # type: ignore[no-untyped-def]
    """Return an empty table of edges for linear probing, at most half full; -1 is a free place."""
    places = 16
    while places < 2 * edges:
        places *= 2
    return np.full(places, -1, np.int64)


@njit(cache=True, nogil=True, inline="always")
def _home(a, b, mask):  # type: ignore[no-untyped-def]
    key = (np.uint64(min(a, b)) << _HALF) | np.uint64(max(a, b))
    return np.int64(((key ^ (key >> np.uint64(29))) * _MIX) >> np.uint64(20)) & mask


@njit(cache=True, nogil=True, inline="always")
def _find(table, ends, a, b):  # type: ignore[no-untyped-def]
    """Return the edge between two clusters, or -1."""
    mask = table.size - 1
    place = _home(a, b, mask)
    while table[place] >= 0:
        e = table[place]
        if (ends[2 * e] == a and ends[2 * e + 1] == b) or (ends[2 * e] == b and ends[2 * e + 1] == a):
            return e
        place = (place + 1) & mask
    return np.int64(-1)


@njit(cache=True, nogil=True, inline="always")
def _insert(table, ends, e):  # type: ignore[no-untyped-def]
    mask = table.size - 1
    place = _home(ends[2 * e], ends[2 * e + 1], mask)
    while table[place] >= 0:
        place = (place + 1) & mask
    table[place] = e


@njit(cache=True, nogil=True)
def _remove(table, ends, e):  # type: ignore[no-untyped-def]
    """Take an edge out and move later ones back, so that no gap cuts off an edge from its home."""
    mask = table.size - 1
    place = _home(ends[2 * e], ends[2 * e + 1], mask)
    while table[place] != e:
        place = (place + 1) & mask
    gap = place
    place = (place + 1) & mask
    while table[place] >= 0:
        f = table[place]
        home = _home(ends[2 * f], ends[2 * f + 1], mask)
        if ((place - home) & mask) >= ((place - gap) & mask):
            table[gap] = f
            gap = place
        place = (place + 1) & mask
    table[gap] = -1


@njit(cache=True, nogil=True, inline="always")
def _better(mean_a, a, mean_b, b, total, count, index):  # type: ignore[no-untyped-def]
    """Tell whether edge a comes before edge b. Rounded means decide where they differ by more than their rounding."""
    gap = mean_a - mean_b
    if abs(gap) > 1e-12 * mean_a:
        return gap > 0
    order = compare(total[a], count[a], total[b], count[b])
    return order > 0 or (order == 0 and index[a] < index[b])


@njit(cache=True, nogil=True)
def _down(mean, heap, i, n, total, count, index):  # type: ignore[no-untyped-def]
    """Let the entry at place i of a heap of n sink."""
    if i >= n:
        return
    m, e = mean[i], heap[i]
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and _better(mean[child + 1], heap[child + 1], mean[child], heap[child], total, count, index):
            child += 1
        if not _better(mean[child], heap[child], m, e, total, count, index):
            break
        mean[i], heap[i] = mean[child], heap[child]
        i = child
    mean[i], heap[i] = m, e


@njit(cache=True, nogil=True)
def _up(mean, heap, i, total, count, index):  # type: ignore[no-untyped-def]
    """Let the entry at place i rise."""
    m, e = mean[i], heap[i]
    while i > 0:
        above = (i - 1) // 2
        if not _better(m, e, mean[above], heap[above], total, count, index):
            break
        mean[i], heap[i] = mean[above], heap[above]
        i = above
    mean[i], heap[i] = m, e
