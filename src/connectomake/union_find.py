"""Union-find, compiled: the sets that pairs of numbered elements make; a loop halves the paths that it follows."""

import numpy as np

from connectomake.compiled import njit


@njit(cache=True, nogil=True)
def root(parents, i):  # type: ignore[no-untyped-def]
    """Return the root of the set that element `i` is in."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@njit(cache=True, nogil=True)
def union(parents, a, b):  # type: ignore[no-untyped-def]
    """Put the sets of `a` and `b` together under the smaller root."""
    a, b = root(parents, a), root(parents, b)
    parents[max(a, b)] = min(a, b)


@njit(cache=True, nogil=True)
def number(parents, first):  # type: ignore[no-untyped-def]
    """Turn parents, none above its element, into numbers of sets in place, from `first` by their roots; return how many."""
    count = 0
    for i in range(parents.size):
        if parents[i] == i:
            parents[i] = first + count
            count += 1
        else:
            parents[i] = parents[parents[i]]  # the parent comes earlier and is numbered already
    return count


@njit(cache=True, nogil=True)
def roots(parents):  # type: ignore[no-untyped-def]
    """Return the root (n,) int64 of every element."""
    found = np.empty(parents.size, np.int64)
    for i in range(parents.size):
        found[i] = root(parents, i)
    return found


@njit(cache=True, nogil=True)
def unite(count, pairs):  # type: ignore[no-untyped-def]
    """Return the smallest member (count,) int64 of the set that each element is in, with pairs (m, 2) joined."""
    return roots(_joined(count, pairs))


@njit(cache=True, nogil=True)
def sets(count, pairs):  # type: ignore[no-untyped-def]
    """Return the number (count,) int64, from 0, of the set that each element is in, with pairs (m, 2) joined; and how many."""
    parents = _joined(count, pairs)
    return parents, number(parents, 0)


@njit(cache=True, nogil=True)
def _joined(count, pairs):  # type: ignore[no-untyped-def]
    parents = np.arange(count)
    for i in range(pairs.shape[0]):
        union(parents, pairs[i, 0], pairs[i, 1])
    return parents
