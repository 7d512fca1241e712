r"""Quadric edge collapse on a grid of integers, with locked vertices and a bound on how far the surface moves.

Source of the method: Garland and Heckbert, *Surface simplification using quadric error metrics*, SIGGRAPH 1997. Differences:
new vertices lie on the integer grid that the mesh is stored on, so storing it loses nothing; a locked vertex never moves, so
meshes that share locked vertices still fit; every vertex carries a bound of how far the surface has moved around it.

A collapse of the edge (a, b) puts a at p and removes b and the two triangles at the edge::

        .---.---.            .---.---.
       / \ / \ / \          / \  |  / \
      .---a---b---.   ->   .---- p ----.
       \ / \ / \ /          \ /  |  \ /
        '---'---'            '---'---'
"""

import heapq

import numpy as np
from numba import njit

_NONE = -1
_REGULAR = 1e-6
_TIE = 1e-4
_MIN_COSINE = 0.2


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
def _place(a, b, positions, quadrics, locked, step, top):  # type: ignore[no-untyped-def]
    """Return cost and position of the collapse of (a, b): the best of the minimum on the grid and both ends."""
    q, r = quadrics[a], quadrics[b]
    ax, ay, az = positions[a, 0], positions[a, 1], positions[a, 2]
    bx, by, bz = positions[b, 0], positions[b, 1], positions[b, 2]
    if locked[a]:
        return _evaluate(q, r, ax, ay, az), ax, ay, az
    best, x, y, z = _evaluate(q, r, bx, by, bz), bx, by, bz
    if locked[b]:
        return best, x, y, z
    cost = _evaluate(q, r, ax, ay, az)
    if cost < best:
        best, x, y, z = cost, ax, ay, az
    px, py, pz = _minimum(q, r, 0.5 * (ax + bx), 0.5 * (ay + by), 0.5 * (az + bz))
    px, py, pz = np.rint(px / step[0]) * step[0], np.rint(py / step[1]) * step[1], np.rint(pz / step[2]) * step[2]
    inside = 0.0 <= px <= top * step[0] and 0.0 <= py <= top * step[1] and 0.0 <= pz <= top * step[2]
    cost = _evaluate(q, r, px, py, pz)
    if inside and cost < best:
        best, x, y, z = cost, px, py, pz
    return best, x, y, z


@njit(cache=True, nogil=True)
def _push(heap, a, b, positions, quadrics, locked, version, step, top, limit):  # type: ignore[no-untyped-def]
    """Put the edge (a, b) on the heap unless it is locked or certainly moves the surface too far.

    Short edges go first among equals, so that flat parts keep well-shaped triangles.
    """
    if locked[a] and locked[b]:
        return
    if a > b:
        a, b = b, a
    cost, _, _, _ = _place(a, b, positions, quadrics, locked, step, top)
    weight = quadrics[a, 10] + quadrics[b, 10]
    if cost > weight * limit * limit:
        return
    x, y, z = positions[a, 0] - positions[b, 0], positions[a, 1] - positions[b, 1], positions[a, 2] - positions[b, 2]
    tie = _TIE * weight * (x * x + y * y + z * z)
    heapq.heappush(heap, (cost + tie, np.int64(a), np.int64(b), version[a] + version[b]))


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
def _keeps_topology(a, b, faces, alive, head, chain, mark, stamp):  # type: ignore[no-untyped-def]
    """Whether the edge has two triangles, its ends just their two other corners in common, and the rest does not fold."""
    shared = around = common = 0
    corner = head[a]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        if alive[t]:
            for turn in (1, 2):
                other = faces[t, (place + turn) % 3]
                shared += other == b
                if other != b and mark[other] != stamp:
                    mark[other] = stamp
                    around += 1
        corner = chain[corner]
    corner = head[b]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        if alive[t]:
            for turn in (1, 2):
                other = faces[t, (place + turn) % 3]
                if other == a or mark[other] == stamp + 1:
                    continue
                common += mark[other] == stamp
                around += mark[other] != stamp
                mark[other] = stamp + 1
        corner = chain[corner]
    return shared == 2 and common == 2 and around > 2


@njit(cache=True, nogil=True)
def _shift(a, b, x, y, z, positions, faces, alive, head, chain):  # type: ignore[no-untyped-def]
    """Return how far moving `a` to a point leaves the planes of its triangles; infinite if one without `b` turns over."""
    farthest = 0.0
    corner = head[a]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        u, w = faces[t, (place + 1) % 3], faces[t, (place + 2) % 3]
        corner = chain[corner]
        if not alive[t]:
            continue
        nx, ny, nz = _normal(positions, a, u, w)
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length == 0.0:
            continue
        dx, dy, dz = x - positions[a, 0], y - positions[a, 1], z - positions[a, 2]
        farthest = max(farthest, abs(nx * dx + ny * dy + nz * dz) / length)
        if b in (u, w):
            continue
        ux, uy, uz = positions[u, 0] - x, positions[u, 1] - y, positions[u, 2] - z
        vx, vy, vz = positions[w, 0] - x, positions[w, 1] - y, positions[w, 2] - z
        mx, my, mz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        moved = np.sqrt(mx * mx + my * my + mz * mz)
        if nx * mx + ny * my + nz * mz <= _MIN_COSINE * length * moved:
            return np.inf
    return farthest


@njit(cache=True, nogil=True)
def _merge(a, b, faces, alive, head, chain):  # type: ignore[no-untyped-def]
    """Let `a` take the triangles of `b`, drop those of both; return how many were dropped."""
    dropped = 0
    first = last = _NONE
    for vertex in (a, b):
        corner = head[vertex]
        while corner != _NONE:
            following = chain[corner]
            t, place = corner // 3, corner % 3
            if alive[t]:
                if vertex == a and b in (faces[t, (place + 1) % 3], faces[t, (place + 2) % 3]):
                    alive[t] = False
                    dropped += 1
                else:
                    faces[t, place] = a
                    first = corner if first == _NONE else first
                    if last != _NONE:
                        chain[last] = corner
                    last = corner
            corner = following
    if last != _NONE:
        chain[last] = _NONE
    head[a], head[b] = first, _NONE
    return dropped


@njit(cache=True, nogil=True)
def _first_edges(heap, faces, positions, quadrics, locked, version, step, top, limit):  # type: ignore[no-untyped-def]
    for t in range(len(faces)):
        for place in range(3):
            a, b = faces[t, place], faces[t, (place + 1) % 3]
            if a < b:
                _push(heap, a, b, positions, quadrics, locked, version, step, top, limit)


@njit(cache=True, nogil=True)
def _edges_around(heap, a, faces, alive, head, chain, mark, stamp, positions, quadrics, locked, version, step, top, limit):  # type: ignore[no-untyped-def]
    corner = head[a]
    while corner != _NONE:
        t, place = corner // 3, corner % 3
        if alive[t]:
            for turn in (1, 2):
                other = faces[t, (place + turn) % 3]
                if mark[other] != stamp:
                    mark[other] = stamp
                    _push(heap, a, other, positions, quadrics, locked, version, step, top, limit)
        corner = chain[corner]


@njit(cache=True, nogil=True)
def _collapse_edges(positions, locked, faces, step, top, target, limit):  # type: ignore[no-untyped-def]
    """Collapse edges in place, cheapest first; return which triangles are left."""
    count = len(positions)
    quadrics = _quadrics(positions, faces)
    head, chain = _corner_lists(faces, count)
    alive = np.ones(len(faces), np.bool_)
    version, mark, drift = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.float64)
    stamp, left = 0, len(faces)
    heap = [(0.0, np.int64(0), np.int64(0), np.int64(-1))]
    _first_edges(heap, faces, positions, quadrics, locked, version, step, top, limit)
    while len(heap) > 0 and left > target:
        _, a, b, wanted = heapq.heappop(heap)
        if version[a] + version[b] != wanted:
            continue
        stamp += 3
        if not _keeps_topology(a, b, faces, alive, head, chain, mark, stamp):
            continue
        _, x, y, z = _place(a, b, positions, quadrics, locked, step, top)
        moved = max(
            _shift(a, b, x, y, z, positions, faces, alive, head, chain),
            _shift(b, a, x, y, z, positions, faces, alive, head, chain),
        ) + max(drift[a], drift[b])
        if moved > limit:
            continue
        left -= _merge(a, b, faces, alive, head, chain)
        positions[a, 0], positions[a, 1], positions[a, 2] = x, y, z
        quadrics[a] += quadrics[b]
        drift[a], locked[a] = moved, locked[a] or locked[b]
        version[a] += 1
        version[b] += 1 << 40
        _edges_around(
            heap, a, faces, alive, head, chain, mark, stamp + 2, positions, quadrics, locked, version, step, top, limit
        )
    return alive


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
    positions = vertices.astype(np.float64) * step
    work = faces.copy()
    alive = _collapse_edges(positions, locked.copy(), work, step, float(top), len(faces) / factor, limit)
    vertices_out, faces_out = np.empty_like(vertices), np.empty_like(faces)
    n, m = _compact(positions, work, alive, step, vertices_out, faces_out)
    return vertices_out[:n].copy(), faces_out[:m].copy()
