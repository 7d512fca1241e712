"""Ends of skeletons that turn back within one wide part of an object.

Where cells meet inside a wide part, a ball say, each cell has joined its own centres on the shared planes. What stays when the
loops are cut may still run out and back within that part::

    ╭───╮
    │ ╷ │      ╷ the end, ╿ the widest vertex: the end is cut off back to it
    │ ╰─╿──    though it is longer than twice its own reach
    ╰───╯
"""

import numpy as np

from connectomake.compiled import njit
from connectomake.skeletons.adjacency import MOST_DETOUR, WITHIN, neighbours


@njit(cache=True, nogil=True)
def _distance(points, a, b):  # type: ignore[no-untyped-def]
    return np.sqrt(((points[a] - points[b]) ** 2).sum())


@njit(cache=True, nogil=True)
def _lies_around(widest, path, count, points, reach):  # type: ignore[no-untyped-def]
    """Whether the first ``count`` vertices of a path all lie within the reach of one of them."""
    far = 0.0
    for i in range(count):
        far = max(far, _distance(points, path[i], path[widest]))
    return far <= reach[path[widest]]


@njit(cache=True, nogil=True)
def _end_of_turn(tip, stays, degree, first, other, number, lengths, points, radius, reach, far, path):  # type: ignore[no-untyped-def]
    """Write a path from a tip inwards to ``path``; return how many of its vertices an end has that turns back, or 0.

    The end turns back if a vertex is reached on a way more than `MOST_DETOUR` times its distance from the tip, and all on
    that way lies within the reach of the widest vertex on it. What lies before the widest vertex is the end.
    """
    v, before, length, count, widest, cut = tip, -1, 0.0, 0, 0, 0
    while True:
        path[count] = v
        if radius[v] > radius[path[widest]]:
            widest = count
        count += 1
        away = _distance(points, tip, v)
        if away > far:
            return cut
        if length > max(MOST_DETOUR * away, reach[tip]) and _lies_around(widest, path, count, points, reach):
            cut = widest
        if degree[v] > 2 or (degree[v] == 1 and v != tip) or degree[v] == 0:
            return cut
        for i in range(first[v], first[v + 1]):
            if stays[other[i]] and other[i] != before:
                before, v = v, other[i]
                length += lengths[number[i]]
                break


@njit(cache=True, nogil=True)
def _cut_object(edges, lengths, points, radius, reach, stays):  # type: ignore[no-untyped-def]
    first, other, number = neighbours(len(points), edges)
    degree = np.zeros(len(points), np.int64)
    for i in range(len(edges)):
        if stays[edges[i, 0]] and stays[edges[i, 1]]:
            degree[edges[i, 0]] += 1
            degree[edges[i, 1]] += 1
    path, far = np.empty(len(points), np.int64), 2.0 * reach.max()
    for tip in np.flatnonzero(stays & (degree == 1)):
        if degree[tip] != 1:
            continue  # its other end was cut off up to here
        cut = _end_of_turn(tip, stays, degree, first, other, number, lengths, points, radius, reach, far, path)
        for i in range(cut):
            stays[path[i]] = False
        if cut:
            degree[path[cut]] -= 1


@njit(cache=True, nogil=True)
def cut_hairpins(bounds, edge_bounds, edges, lengths, points, radius, slack, stays):  # type: ignore[no-untyped-def]
    """Cut off the ends that turn back, object by object; ``stays`` (n,) bool is brought up to date.

    Parameters: ``bounds`` (objects + 1,) of the vertices, ``edge_bounds`` of the edges; ``edges`` (m, 2) rows of their ends;
    ``lengths`` (m,) nm; ``points`` (n, 3) and ``radius`` (n,) nm; ``slack`` a voxel's diagonal, nm.
    """
    reach = WITHIN * radius + slack
    for i in range(len(bounds) - 1):
        a, b = bounds[i], bounds[i + 1]
        e, f = edge_bounds[i], edge_bounds[i + 1]
        if f - e > 2:
            _cut_object(edges[e:f] - a, lengths[e:f], points[a:b], radius[a:b], reach[a:b], stays[a:b])
