"""A triangle mesh whose edges can be collapsed: state, checks and the collapse itself.

Each vertex has a mask of coordinates that must stay: bit 1 for z, 2 for y, 4 for x. All three: the vertex is locked. One: it
may move within a plane, the middle of a mesh that is cut there into 2 x 2 x 2 parts, and no triangle may come to cross it.
"""

from typing import NamedTuple

import numpy as np

from connectomake.compiled import njit
from connectomake.meshes.lattice import LOCKED
from connectomake.meshes.quadrics import add, evaluate, minimum, normal

NONE = -1
_MIN_COSINE = 0.2


class CollapsibleMesh(NamedTuple):
    """A mesh while it is simplified: n vertices, m triangles."""

    positions: np.ndarray  # (n, 3) float64, nm
    quadrics: np.ndarray  # (n, 11) float64
    fixed: np.ndarray  # (n,) uint8: which coordinates stay
    max_shift: np.ndarray  # (n,) float64: how far the surface may have moved, nm
    version: np.ndarray  # (n,) int64: changes with the vertex
    faces: np.ndarray  # (m, 3) int32
    alive: np.ndarray  # (m,) bool
    head: np.ndarray  # (n,) int32: first corner (3 * triangle + place) of each vertex
    next_corner: np.ndarray  # (3 m,) int32: next corner of the same vertex
    mark: np.ndarray  # (n,) int64: scratch
    counter: np.ndarray  # (1,) int64: the last value set in `mark`
    step: np.ndarray  # (3,) float64, nm
    top: float
    middle: float  # plane that no triangle crosses, on each axis; 0: none
    limit: float


@njit(cache=True, nogil=True)
def corner_lists(faces, count):  # type: ignore[no-untyped-def]
    """Chain the corners (3 * triangle + place) of every vertex into a list."""
    head = np.full(count, NONE, np.int32)
    next_corner = np.full(3 * len(faces), NONE, np.int32)
    for corner in range(3 * len(faces) - 1, -1, -1):
        vertex = faces[corner // 3, corner % 3]
        next_corner[corner] = head[vertex]
        head[vertex] = corner
    return head, next_corner


@njit(cache=True, nogil=True)
def _keeps(fixed, ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]
    """Whether two points are equal in the coordinates that must stay; the first is z, whatever its name."""
    if fixed == 0:
        return True
    return (not fixed & 1 or ax == bx) and (not fixed & 2 or ay == by) and (not fixed & 4 or az == bz)


@njit(cache=True, nogil=True)
def _snapped(m, value, axis, a, b):  # type: ignore[no-untyped-def]
    """Return a coordinate on the grid or, where it must stay, as it was, and whether it is on the right side of all planes."""
    bit = 1 << axis
    if m.fixed[a] & bit:
        same = not m.fixed[b] & bit or m.positions[a, axis] == m.positions[b, axis]
        return m.positions[a, axis], same
    if m.fixed[b] & bit:
        return m.positions[b, axis], True
    step = m.step[axis]
    place = np.rint(value / step)
    if m.positions[a, axis] < m.middle * step:
        return place * step, 0.0 < place < m.middle
    return place * step, m.middle < place < m.top


@njit(cache=True, nogil=True)
def best_end(m, q, a, b):  # type: ignore[no-untyped-def]
    """Return cost and position of the collapse of (a, b) to the better of its ends; `q` is the sum of their quadrics.

    The cost is infinite if neither keeps the coordinates that must stay.
    """
    ax, ay, az = m.positions[a, 0], m.positions[a, 1], m.positions[a, 2]
    bx, by, bz = m.positions[b, 0], m.positions[b, 1], m.positions[b, 2]
    at_a = evaluate(q, ax, ay, az) if _keeps(m.fixed[b], ax, ay, az, bx, by, bz) else np.inf
    at_b = evaluate(q, bx, by, bz) if _keeps(m.fixed[a], ax, ay, az, bx, by, bz) else np.inf
    if at_a < at_b:
        return at_a, ax, ay, az
    return at_b, bx, by, bz


@njit(cache=True, nogil=True)
def place_collapse(m, a, b):  # type: ignore[no-untyped-def]
    """Return cost and position of the collapse of (a, b): the best of the minimum on the grid and both ends.

    The cost is infinite if no place keeps the coordinates that must stay.
    """
    q = add(m.quadrics[a], m.quadrics[b])
    best, x, y, z = best_end(m, q, a, b)
    if m.fixed[a] == LOCKED or m.fixed[b] == LOCKED:
        return best, x, y, z
    mx = 0.5 * (m.positions[a, 0] + m.positions[b, 0])
    my = 0.5 * (m.positions[a, 1] + m.positions[b, 1])
    mz = 0.5 * (m.positions[a, 2] + m.positions[b, 2])
    px, py, pz = minimum(q, mx, my, mz)
    px, inside_x = _snapped(m, px, 0, a, b)
    py, inside_y = _snapped(m, py, 1, a, b)
    pz, inside_z = _snapped(m, pz, 2, a, b)
    if inside_x and inside_y and inside_z:
        cost = evaluate(q, px, py, pz)
        if cost < best:
            best, x, y, z = cost, px, py, pz
    return best, x, y, z


@njit(cache=True, nogil=True)
def _keeps_topology(m, a, b):  # type: ignore[no-untyped-def]
    """Whether the edge has two triangles, its ends just their two other corners in common, and the rest does not fold."""
    m.counter[0] += 3
    seen = m.counter[0]
    shared = around = common = 0
    corner = m.head[a]
    while corner != NONE:
        t, place = corner // 3, corner % 3
        if m.alive[t]:
            for turn in (1, 2):
                other = m.faces[t, (place + turn) % 3]
                shared += other == b
                if other != b and m.mark[other] != seen:
                    m.mark[other] = seen
                    around += 1
        corner = m.next_corner[corner]
    corner = m.head[b]
    while corner != NONE:
        t, place = corner // 3, corner % 3
        if m.alive[t]:
            for turn in (1, 2):
                other = m.faces[t, (place + turn) % 3]
                if other == a or m.mark[other] > seen:
                    continue
                common += m.mark[other] == seen
                around += m.mark[other] != seen
                m.mark[other] = seen + 2 if m.mark[other] == seen else seen + 1
        corner = m.next_corner[corner]
    return shared == 2 and common == 2 and around > 2


@njit(cache=True, nogil=True)
def _makes_chord(m, locked, gone, mark):  # type: ignore[no-untyped-def]
    """Whether giving `locked` the neighbours of `gone` that have a mark joins it to another locked vertex of its outer plane.

    The mesh on the other side of that plane might get the same edge, which would then have four triangles.
    """
    corner = m.head[gone]
    while corner != NONE:
        t, place = corner // 3, corner % 3
        corner = m.next_corner[corner]
        if not m.alive[t]:
            continue
        for turn in (1, 2):
            other = m.faces[t, (place + turn) % 3]
            if m.fixed[other] != LOCKED or m.mark[other] != mark:
                continue
            for axis in range(3):
                at = m.positions[locked, axis]
                if at == m.positions[other, axis] and (at == 0.0 or at == m.top * m.step[axis]):
                    return True
    return False


@njit(cache=True, nogil=True)
def _shift(m, a, b, x, y, z):  # type: ignore[no-untyped-def]
    """Return how far the surface moves when `a` goes to a point; infinite if a triangle without `b` turns over.

    The greater of the distances of the point from the old planes around `a` and of `a` from the new ones.
    """
    dx, dy, dz = x - m.positions[a, 0], y - m.positions[a, 1], z - m.positions[a, 2]
    farthest = 0.0  # squared
    corner = m.head[a]
    while corner != NONE:
        t, place = corner // 3, corner % 3
        u, w = m.faces[t, (place + 1) % 3], m.faces[t, (place + 2) % 3]
        corner = m.next_corner[corner]
        if not m.alive[t]:
            continue
        nx, ny, nz = normal(m.positions, a, u, w)
        length = nx * nx + ny * ny + nz * nz
        if length == 0.0:
            continue
        away = nx * dx + ny * dy + nz * dz
        farthest = max(farthest, away * away / length)
        if b in (u, w):
            continue
        ux, uy, uz = m.positions[u, 0] - x, m.positions[u, 1] - y, m.positions[u, 2] - z
        vx, vy, vz = m.positions[w, 0] - x, m.positions[w, 1] - y, m.positions[w, 2] - z
        mx, my, mz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        moved = mx * mx + my * my + mz * mz
        cosine = nx * mx + ny * my + nz * mz
        if cosine <= 0.0 or cosine * cosine <= _MIN_COSINE * _MIN_COSINE * length * moved:
            return np.inf
        away = mx * dx + my * dy + mz * dz
        farthest = max(farthest, away * away / moved)
    return np.sqrt(farthest)


@njit(cache=True, nogil=True)
def _merge(m, a, b):  # type: ignore[no-untyped-def]
    """Let `a` take the triangles of `b`, drop those of both; return how many were dropped."""
    dropped = 0
    first = last = NONE
    for vertex in (a, b):
        corner = m.head[vertex]
        while corner != NONE:
            following = m.next_corner[corner]
            t, place = corner // 3, corner % 3
            if m.alive[t]:
                if vertex == a and b in (m.faces[t, (place + 1) % 3], m.faces[t, (place + 2) % 3]):
                    m.alive[t] = False
                    dropped += 1
                else:
                    m.faces[t, place] = a
                    first = corner if first == NONE else first
                    if last != NONE:
                        m.next_corner[last] = corner
                    last = corner
            corner = following
    if last != NONE:
        m.next_corner[last] = NONE
    m.head[a], m.head[b] = first, NONE
    return dropped


@njit(cache=True, nogil=True)
def collapse(m, a, b):  # type: ignore[no-untyped-def]
    """Collapse (a, b) into a if topology and limit allow; return the number of triangles dropped."""
    if not _keeps_topology(m, a, b):
        return 0
    if m.fixed[a] == LOCKED and _makes_chord(m, a, b, m.counter[0] + 1):
        return 0
    if m.fixed[b] == LOCKED and _makes_chord(m, b, a, m.counter[0]):
        return 0
    cost, x, y, z = place_collapse(m, a, b)
    if cost == np.inf:
        return 0
    moved = max(_shift(m, a, b, x, y, z), _shift(m, b, a, x, y, z)) + max(m.max_shift[a], m.max_shift[b])
    if moved > m.limit:
        return 0
    dropped = _merge(m, a, b)
    m.positions[a, 0], m.positions[a, 1], m.positions[a, 2] = x, y, z
    for i in range(11):
        m.quadrics[a, i] += m.quadrics[b, i]
    m.max_shift[a], m.fixed[a] = moved, m.fixed[a] | m.fixed[b]
    m.version[a] += 1
    m.version[b] += 1 << 40
    return dropped


@njit(cache=True, nogil=True)
def compact(positions, faces, alive, step, vertices_out, faces_out):  # type: ignore[no-untyped-def]
    """Write the vertices in use, as grid integers, and the triangles left; return how many."""
    place = np.full(len(positions), NONE, np.int32)
    n_vertices = n_faces = 0
    for t in range(len(faces)):
        if not alive[t]:
            continue
        for corner in range(3):
            vertex = faces[t, corner]
            if place[vertex] == NONE:
                place[vertex] = n_vertices
                for axis in range(3):
                    vertices_out[n_vertices, axis] = np.int32(np.rint(positions[vertex, axis] / step[axis]))
                n_vertices += 1
            faces_out[n_faces, corner] = place[vertex]
        n_faces += 1
    return n_vertices, n_faces
