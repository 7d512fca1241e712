r"""Quadric edge collapse on a grid of integers, with locked vertices and a bound on how far the surface moves.

Source of the method: Garland and Heckbert, *Surface simplification using quadric error metrics*, SIGGRAPH 1997. Differences:
new vertices lie on the integer grid that the mesh is stored on, so storing it loses nothing; a locked vertex never moves, so
meshes that share locked vertices still fit; every vertex carries a bound of how far the surface has moved around it; the
many collapses that cost next to nothing are done in a few sweeps over the vertices, only the rest in the order of a heap.

A collapse of the edge (a, b) puts a at p and removes b and the two triangles at the edge::

        .---.---.            .---.---.
       / \ / \ / \          / \  |  / \
      .---a---b---.   ->   .---- p ----.
       \ / \ / \ /          \ /  |  \ /
        '---'---'            '---'---'
"""

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit

_NONE = -1
_REGULAR = 1e-6
_TIE = 1e-4
_MIN_COSINE = 0.2
_SWEEPS = (0.1, 0.2, 0.4)


class _Mesh(NamedTuple):
    """A mesh while it is simplified: n vertices, m triangles."""

    positions: np.ndarray  # (n, 3) float64, nm
    quadrics: np.ndarray  # (n, 11) float64
    locked: np.ndarray  # (n,) bool
    drift: np.ndarray  # (n,) float64: how far the surface may have moved, nm
    version: np.ndarray  # (n,) int64: changes with the vertex
    faces: np.ndarray  # (m, 3) int32
    alive: np.ndarray  # (m,) bool
    head: np.ndarray  # (n,) int32: first corner (3 * triangle + place) of each vertex
    chain: np.ndarray  # (3 m,) int32: next corner of the same vertex
    mark: np.ndarray  # (n,) int64: scratch
    stamp: np.ndarray  # (1,) int64: scratch
    step: np.ndarray  # (3,) float64, nm
    top: float
    limit: float


@njit(cache=True, nogil=True)
def _normal(positions, a, b, c):  # type: ignore[no-untyped-def]
    """Cross product of two sides: the normal, as long as twice the area."""
    ux, uy, uz = positions[b, 0] - positions[a, 0], positions[b, 1] - positions[a, 1], positions[b, 2] - positions[a, 2]
    vx, vy, vz = positions[c, 0] - positions[a, 0], positions[c, 1] - positions[a, 1], positions[c, 2] - positions[a, 2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@njit(cache=True, nogil=True)
def _quadrics(positions, faces):  # type: ignore[no-untyped-def]
    """Sum per vertex the quadrics of its triangles' planes, weighted by area; the eleventh number is the weight."""
    out = np.zeros((len(positions), 11), np.float64)
    for t in range(len(faces)):
        a = faces[t, 0]
        nx, ny, nz = _normal(positions, a, faces[t, 1], faces[t, 2])
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length == 0.0:
            continue
        nx, ny, nz = nx / length, ny / length, nz / length
        d = -(nx * positions[a, 0] + ny * positions[a, 1] + nz * positions[a, 2])
        w = 0.5 * length
        for corner in range(3):
            q = out[faces[t, corner]]
            q[0] += w * nx * nx
            q[1] += w * nx * ny
            q[2] += w * nx * nz
            q[3] += w * nx * d
            q[4] += w * ny * ny
            q[5] += w * ny * nz
            q[6] += w * ny * d
            q[7] += w * nz * nz
            q[8] += w * nz * d
            q[9] += w * d * d
            q[10] += w
    return out


@njit(cache=True, nogil=True)
def _evaluate(q, r, x, y, z):  # type: ignore[no-untyped-def]
    """Value of the sum of two quadrics at a point: area times squared distance."""
    return max(
        (q[0] + r[0]) * x * x + (q[4] + r[4]) * y * y + (q[7] + r[7]) * z * z + (q[9] + r[9])
        + 2.0 * ((q[1] + r[1]) * x * y + (q[2] + r[2]) * x * z + (q[5] + r[5]) * y * z)
        + 2.0 * ((q[3] + r[3]) * x + (q[6] + r[6]) * y + (q[8] + r[8]) * z),
        0.0,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _minimum(q, r, mx, my, mz):  # type: ignore[no-untyped-def]
    """Point where the sum of two quadrics is least; where that is a line or plane, its point nearest to (mx, my, mz)."""
    e = _REGULAR * (q[10] + r[10])
    a, b, c = q[0] + r[0] + e, q[1] + r[1], q[2] + r[2]
    d, f, g = q[4] + r[4] + e, q[5] + r[5], q[7] + r[7] + e
    u, v, w = e * mx - q[3] - r[3], e * my - q[6] - r[6], e * mz - q[8] - r[8]
    m0, m1, m2 = d * g - f * f, c * f - b * g, b * f - c * d
    det = a * m0 + b * m1 + c * m2
    if det <= 0.0:
        return mx, my, mz
    m3, m4, m5 = a * g - c * c, b * c - a * f, a * d - b * b
    return (m0 * u + m1 * v + m2 * w) / det, (m1 * u + m3 * v + m4 * w) / det, (m2 * u + m4 * v + m5 * w) / det


@njit(cache=True, nogil=True)
def _place(m, a, b):  # type: ignore[no-untyped-def]
    """Return cost and position of the collapse of (a, b): the best of the minimum on the grid and both ends."""
    q, r = m.quadrics[a], m.quadrics[b]
    ax, ay, az = m.positions[a, 0], m.positions[a, 1], m.positions[a, 2]
    bx, by, bz = m.positions[b, 0], m.positions[b, 1], m.positions[b, 2]
    if m.locked[a]:
        return _evaluate(q, r, ax, ay, az), ax, ay, az
    best, x, y, z = _evaluate(q, r, bx, by, bz), bx, by, bz
    if m.locked[b]:
        return best, x, y, z
    cost = _evaluate(q, r, ax, ay, az)
    if cost < best:
        best, x, y, z = cost, ax, ay, az
    px, py, pz = _minimum(q, r, 0.5 * (ax + bx), 0.5 * (ay + by), 0.5 * (az + bz))
    sx, sy, sz = m.step[0], m.step[1], m.step[2]
    px, py, pz = np.rint(px / sx) * sx, np.rint(py / sy) * sy, np.rint(pz / sz) * sz
    inside = 0.0 <= px <= m.top * sx and 0.0 <= py <= m.top * sy and 0.0 <= pz <= m.top * sz
    cost = _evaluate(q, r, px, py, pz)
    if inside and cost < best:
        best, x, y, z = cost, px, py, pz
    return best, x, y, z


@njit(cache=True, nogil=True)
def _priority(m, a, b, limit):  # type: ignore[no-untyped-def]
    """Return the cost of the collapse of (a, b) for ordering; infinite if locked or certainly beyond the limit.

    Short edges go first among equals, so that flat parts keep well-shaped triangles.
    """
    if m.locked[a] and m.locked[b]:
        return np.inf
    cost, _, _, _ = _place(m, a, b)
    weight = m.quadrics[a, 10] + m.quadrics[b, 10]
    if cost > weight * limit * limit:
        return np.inf
    x, y, z = (
        m.positions[a, 0] - m.positions[b, 0], m.positions[a, 1] - m.positions[b, 1], m.positions[a, 2] - m.positions[b, 2]
    )  # fmt: skip
    return cost + _TIE * weight * (x * x + y * y + z * z)


@njit(cache=True, nogil=True)
def _corner_lists(faces, count):  # type: ignore[no-untyped-def]
    """Chain the corners (3 * triangle + place) of every vertex into a list."""
    head = np.full(count, _NONE, np.int32)
    chain = np.full(3 * len(faces), _NONE, np.int32)
    for corner in range(3 * len(faces) - 1, -1, -1):
        vertex = faces[corner // 3, corner % 3]
        chain[corner] = head[vertex]
        head[vertex] = corner
    return head, chain


@njit(cache=True, nogil=True)
def _keeps_topology(m, a, b):  # type: ignore[no-untyped-def]
    """Whether the edge has two triangles, its ends just their two other corners in common, and the rest does not fold."""
    m.stamp[0] += 2
    seen = m.stamp[0]
    shared = around = common = 0
    corner = m.head[a]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        if m.alive[t]:
            for turn in (1, 2):
                other = m.faces[t, (place + turn) % 3]
                shared += other == b
                if other != b and m.mark[other] != seen:
                    m.mark[other] = seen
                    around += 1
        corner = m.chain[corner]
    corner = m.head[b]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        if m.alive[t]:
            for turn in (1, 2):
                other = m.faces[t, (place + turn) % 3]
                if other == a or m.mark[other] == seen + 1:
                    continue
                common += m.mark[other] == seen
                around += m.mark[other] != seen
                m.mark[other] = seen + 1
        corner = m.chain[corner]
    return shared == 2 and common == 2 and around > 2


@njit(cache=True, nogil=True)
def _shift(m, a, b, x, y, z):  # type: ignore[no-untyped-def]
    """Return how far the surface moves when `a` goes to a point; infinite if a triangle without `b` turns over.

    The greater of the distances of the point from the old planes around `a` and of `a` from the new ones.
    """
    dx, dy, dz = x - m.positions[a, 0], y - m.positions[a, 1], z - m.positions[a, 2]
    farthest = 0.0
    corner = m.head[a]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        u, w = m.faces[t, (place + 1) % 3], m.faces[t, (place + 2) % 3]
        corner = m.chain[corner]
        if not m.alive[t]:
            continue
        nx, ny, nz = _normal(m.positions, a, u, w)
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length == 0.0:
            continue
        farthest = max(farthest, abs(nx * dx + ny * dy + nz * dz) / length)
        if b in (u, w):
            continue
        ux, uy, uz = m.positions[u, 0] - x, m.positions[u, 1] - y, m.positions[u, 2] - z
        vx, vy, vz = m.positions[w, 0] - x, m.positions[w, 1] - y, m.positions[w, 2] - z
        mx, my, mz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        moved = np.sqrt(mx * mx + my * my + mz * mz)
        if nx * mx + ny * my + nz * mz <= _MIN_COSINE * length * moved:
            return np.inf
        farthest = max(farthest, abs(mx * dx + my * dy + mz * dz) / moved)
    return farthest


@njit(cache=True, nogil=True)
def _merge(m, a, b):  # type: ignore[no-untyped-def]
    """Let `a` take the triangles of `b`, drop those of both; return how many were dropped."""
    dropped = 0
    first = last = _NONE
    for vertex in (a, b):
        corner = m.head[vertex]
        while corner != _NONE:
            following = m.chain[corner]
            t, place = corner // 3, corner % 3
            if m.alive[t]:
                if vertex == a and b in (m.faces[t, (place + 1) % 3], m.faces[t, (place + 2) % 3]):
                    m.alive[t] = False
                    dropped += 1
                else:
                    m.faces[t, place] = a
                    first = corner if first == _NONE else first
                    if last != _NONE:
                        m.chain[last] = corner
                    last = corner
            corner = following
    if last != _NONE:
        m.chain[last] = _NONE
    m.head[a], m.head[b] = first, _NONE
    return dropped


@njit(cache=True, nogil=True)
def _collapse(m, a, b):  # type: ignore[no-untyped-def]
    """Collapse (a, b) into a if topology and limit allow; return the number of triangles dropped."""
    if not _keeps_topology(m, a, b):
        return 0
    _, x, y, z = _place(m, a, b)
    moved = max(_shift(m, a, b, x, y, z), _shift(m, b, a, x, y, z)) + max(m.drift[a], m.drift[b])
    if moved > m.limit:
        return 0
    dropped = _merge(m, a, b)
    m.positions[a, 0], m.positions[a, 1], m.positions[a, 2] = x, y, z
    for i in range(11):
        m.quadrics[a, i] += m.quadrics[b, i]
    m.drift[a], m.locked[a] = moved, m.locked[a] or m.locked[b]
    m.version[a] += 1
    m.version[b] += 1 << 40
    return dropped


@njit(cache=True, nogil=True)
def _sweep(m, limit, left, target):  # type: ignore[no-untyped-def]
    """Collapse each vertex's cheapest edge below a limit, none twice; return how many triangles are left."""
    before = m.version.copy()
    for a in range(len(m.head)):
        if left <= target:
            break
        if m.version[a] != before[a]:
            continue
        best, partner = np.inf, _NONE
        corner = m.head[a]
        while corner != _NONE:
            t, place = corner // 3, corner % 3
            if m.alive[t]:
                other = m.faces[t, (place + 1) % 3]
                cost = _priority(m, a, other, limit) if m.version[other] == before[other] else np.inf
                if cost < best:
                    best, partner = cost, other
            corner = m.chain[corner]
        if partner != _NONE:
            left -= _collapse(m, a, partner)
    return left


@njit(cache=True, nogil=True)
def _push(m, heap, a, b):  # type: ignore[no-untyped-def]
    cost = _priority(m, a, b, m.limit)
    if cost < np.inf:
        heapq.heappush(heap, (cost, np.int64(min(a, b)), np.int64(max(a, b)), m.version[a] + m.version[b]))


@njit(cache=True, nogil=True)
def _push_around(m, heap, a):  # type: ignore[no-untyped-def]
    corner = m.head[a]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        if m.alive[t]:
            _push(m, heap, a, m.faces[t, (place + 1) % 3])
        corner = m.chain[corner]


@njit(cache=True, nogil=True)
def _drain(m, left, target):  # type: ignore[no-untyped-def]
    """Collapse edges, cheapest first; return how many triangles are left."""
    heap = [(0.0, np.int64(0), np.int64(0), np.int64(-1))]
    for t in range(len(m.faces)):
        for place in range(3):
            a, b = m.faces[t, place], m.faces[t, (place + 1) % 3]
            if m.alive[t] and a < b:
                _push(m, heap, a, b)
    while len(heap) > 0 and left > target:
        _, a, b, wanted = heapq.heappop(heap)
        if m.version[a] + m.version[b] != wanted:
            continue
        dropped = _collapse(m, a, b)
        if dropped > 0:
            left -= dropped
            _push_around(m, heap, a)
    return left


@njit(cache=True, nogil=True)
def _compact(positions, faces, alive, step, vertices_out, faces_out):  # type: ignore[no-untyped-def]
    """Write the vertices in use, as grid integers, and the triangles left; return how many."""
    place = np.full(len(positions), _NONE, np.int32)
    n_vertices = n_faces = 0
    for t in range(len(faces)):
        if not alive[t]:
            continue
        for corner in range(3):
            vertex = faces[t, corner]
            if place[vertex] == _NONE:
                place[vertex] = n_vertices
                for axis in range(3):
                    vertices_out[n_vertices, axis] = np.int32(np.rint(positions[vertex, axis] / step[axis]))
                n_vertices += 1
            faces_out[n_faces, corner] = place[vertex]
        n_faces += 1
    return n_vertices, n_faces


@njit(cache=True, nogil=True)
def simplify(
    vertices: np.ndarray, faces: np.ndarray, locked: np.ndarray, step: np.ndarray, top: int, factor: float, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Simplify one triangle mesh.

    Parameters
    ----------
    vertices : (n, 3) int32
        Positions on the grid, each coordinate from 0 to `top`.
    faces : (m, 3) int32
        Corners of the triangles; every edge that is not between locked vertices has two triangles.
    locked : (n,) bool
        Vertices that must stay where they are.
    step : (3,) float64
        Distance between grid points per axis, in nm.
    top
        Greatest coordinate of the grid; vertices stay within it.
    factor
        Stop when no more than ``m / factor`` triangles are left.
    limit
        Bound of how far the surface may move, in nm: along every chain of collapses the distances of the new vertex from the
        planes it replaces are summed, and the sum never exceeds the limit.

    Returns
    -------
    vertices : (k, 3) int32
        Those in use, in the order of the triangles.
    faces : (j, 3) int32
        In their old order.
    """
    count, target = len(vertices), len(faces) / factor
    positions, corners = vertices.astype(np.float64) * step, faces.copy()
    head, chain = _corner_lists(corners, count)
    m = _Mesh(
        positions, _quadrics(positions, corners), locked.copy(), np.zeros(count, np.float64), np.zeros(count, np.int64),
        corners, np.ones(len(faces), np.bool_), head, chain, np.zeros(count, np.int64), np.zeros(1, np.int64),
        step, float(top), float(limit),
    )  # fmt: skip
    left = len(faces)
    for share in _SWEEPS:
        left = _sweep(m, share * limit, left, target)
    _drain(m, left, target)
    vertices_out, faces_out = np.empty_like(vertices), np.empty_like(faces)
    n, k = _compact(positions, corners, m.alive, step, vertices_out, faces_out)
    return vertices_out[:n].copy(), faces_out[:k].copy()
