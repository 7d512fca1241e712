r"""Quadric edge collapse on a grid of integers, with locked vertices and a bound on how far the surface moves.

Source of the method: Garland and Heckbert, *Surface simplification using quadric error metrics*, SIGGRAPH 1997. Differences:
new vertices lie on the integer grid that the mesh is stored on, so storing it loses nothing; a locked vertex never moves, so
meshes that share locked vertices still fit; every vertex carries a bound of how far the surface has moved around it; instead
of the order of a heap there are sweeps over the vertices, each collapsing only what costs little, the next one more.

A collapse of the edge (a, b) puts a at p and removes b and the two triangles at the edge::

        .---.---.            .---.---.
       / \ / \ / \          / \  |  / \
      .---a---b---.   ->   .---- p ----.
       \ / \ / \ /          \ /  |  \ /
        '---'---'            '---'---'
"""

import numpy as np

from connectomake.compiled import njit
from connectomake.meshes.collapse import NONE, CollapsibleMesh, best_end, collapse, compact, corner_lists
from connectomake.meshes.lattice import LOCKED
from connectomake.meshes.quadrics import add, plane_quadrics

_TIE = 1e-4
_SHARES = (0.05, 0.1, 0.2, 0.4, 1.0)
"""Shares of the limit that an edge's root mean square distance may have, sweep by sweep; the last one is repeated."""
_WORTH = 0.95
"""It ends after a sweep that leaves more than this share of the triangles."""


@njit(cache=True, nogil=True)
def _cost(m, a, b, limit):  # type: ignore[no-untyped-def]
    """Return the cost, for ordering, of collapsing (a, b) to the better end; infinite if locked or beyond the limit.

    It is a bound of that at the best place, and quicker. Short edges go first among equals, so that flat parts keep
    well-shaped triangles.
    """
    if m.fixed[a] == LOCKED and m.fixed[b] == LOCKED:
        return np.inf
    cost, _, _, _ = best_end(m, add(m.quadrics[a], m.quadrics[b]), a, b)
    weight = m.quadrics[a, 10] + m.quadrics[b, 10]
    if cost > weight * limit * limit:
        return np.inf
    x, y, z = (
        m.positions[a, 0] - m.positions[b, 0], m.positions[a, 1] - m.positions[b, 1], m.positions[a, 2] - m.positions[b, 2]
    )  # fmt: skip
    return cost + _TIE * weight * (x * x + y * y + z * z)


@njit(cache=True, nogil=True)
def _sweep(m, limit, left, target):  # type: ignore[no-untyped-def]
    """Collapse each vertex's cheapest edge below a limit, none twice; return how many triangles are left."""
    before = m.version.copy()
    for a in range(len(m.head)):
        if left <= target:
            break
        if m.version[a] != before[a]:
            continue
        best, partner = np.inf, NONE
        corner = m.head[a]
        while corner != NONE:
            t, place = corner // 3, corner % 3
            if m.alive[t]:
                other = m.faces[t, (place + 1) % 3]
                cost = _cost(m, a, other, limit) if m.version[other] == before[other] else np.inf
                if cost < best:
                    best, partner = cost, other
            corner = m.next_corner[corner]
        if partner != NONE:
            left -= collapse(m, a, partner)
    return left


@njit(cache=True, nogil=True)
def _sweeps(m, limit, left, target):  # type: ignore[no-untyped-def]
    """Sweep until the target is reached or little is gained."""
    for share in _SHARES:
        before, left = left, _sweep(m, share * limit, left, target)
    while target < left < _WORTH * before:
        before, left = left, _sweep(m, limit, left, target)


@njit(cache=True, nogil=True)
def simplify(
    vertices: np.ndarray,
    faces: np.ndarray,
    fixed: np.ndarray,
    step: np.ndarray,
    top: int,
    middle: int,
    factor: float,
    limit: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Simplify one triangle mesh.

    Parameters
    ----------
    vertices : (n, 3) int32
        Positions on the grid, each coordinate from 0 to `top`; only locked vertices are at 0 or `top`.
    faces : (m, 3) int32
        Corners of the triangles; every edge that is not between locked vertices has two triangles.
    fixed : (n,) uint8
        Coordinates that must stay: bit 1 for z, 2 for y, 4 for x; 7 locks a vertex.
    step : (3,) float64
        Distance between grid points per axis, in nm.
    top
        Greatest coordinate of the grid; other vertices stay within it.
    middle
        Coordinate of three planes that no triangle crosses, if none does at the start and vertices on them are fixed to
        them; 0 for none.
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
    head, next_corner = corner_lists(corners, count)
    m = CollapsibleMesh(
        positions, plane_quadrics(positions, corners), fixed.copy(), np.zeros(count, np.float64), np.zeros(count, np.int64),
        corners, np.ones(len(faces), np.bool_), head, next_corner, np.zeros(count, np.int64), np.zeros(1, np.int64),
        step, float(top), float(middle), float(limit),
    )  # fmt: skip
    _sweeps(m, limit, len(faces), target)
    vertices_out, faces_out = np.empty_like(vertices), np.empty_like(faces)
    n, k = compact(positions, corners, m.alive, step, vertices_out, faces_out)
    return vertices_out[:n].copy(), faces_out[:k].copy()
