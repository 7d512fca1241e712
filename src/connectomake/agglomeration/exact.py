"""Exact comparison of means that are kept as an integer sum and a count: cross products of up to 128 bits."""

import numpy as np

from connectomake.compiled import njit

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@njit(cache=True, nogil=True, inline="always")
def product(a, b):  # type: ignore[no-untyped-def]
    """Return the high and the low 64 bits of the product of two uint64."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, one, two = a0 * b0, a0 * b1, a1 * b0
    middle = (low >> _HALF) + (one & _LOW) + (two & _LOW)
    return a1 * b1 + (one >> _HALF) + (two >> _HALF) + (middle >> _HALF), (low & _LOW) | (middle << _HALF)


@njit(cache=True, nogil=True)
def compare(total_a, count_a, total_b, count_b):  # type: ignore[no-untyped-def]
    """Return 1, 0 or -1: whether total_a / count_a is greater than, equal to or less than total_b / count_b, all uint64."""
    if (total_a | count_a | total_b | count_b) >> _HALF == 0:
        a, b = total_a * count_b, total_b * count_a
        return 1 if a > b else (-1 if a < b else 0)
    high_a, low_a = product(total_a, count_b)
    high_b, low_b = product(total_b, count_a)
    if high_a != high_b:
        return 1 if high_a > high_b else -1
    return 1 if low_a > low_b else (-1 if low_a < low_b else 0)


@njit(cache=True, nogil=True)
def reach(total, count, threshold):  # type: ignore[no-untyped-def]
    """Tell which means are at least threshold[0] / threshold[1], uint64: (m,) bool."""
    found = np.empty(total.size, np.bool_)
    for i in range(total.size):
        found[i] = compare(total[i], count[i], threshold[0], threshold[1]) >= 0
    return found


@njit(cache=True, nogil=True)
def best_partners(ends, total, count, index, voter):  # type: ignore[no-untyped-def]
    """Return, for each cluster that votes, its edge of the highest mean, ties for the smallest index; -1 for the others.

    `ends` is (m, 2) int64; `voter` is (n,) bool.
    """
    best = np.full(voter.size, -1, np.int64)
    for e in range(total.size):
        for side in range(2):
            cluster = ends[e, side]
            if not voter[cluster]:
                continue
            f = best[cluster]
            if f < 0:
                best[cluster] = e
                continue
            order = compare(total[e], count[e], total[f], count[f])
            if order > 0 or (order == 0 and index[e] < index[f]):
                best[cluster] = e
    return best
