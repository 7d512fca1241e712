"""The neighbours of each vertex of a skeleton, and when its parts count as one: what pruning and cutting share."""

import numpy as np

from connectomake.compiled import njit

MOST_DETOUR = 2.0
"""A branch this many times longer than what is covered is not left out, be its tip ever so near: it is bent."""
WITHIN = 1.5
"""Two branches of one radius whose borders do not touch are more than twice as far apart."""


@njit(cache=True, nogil=True)
def neighbours(count, edges):  # type: ignore[no-untyped-def]
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
