"""Quadrics: sums of squared distances from planes, eleven numbers each; the last is the planes' weight.

Source: Garland and Heckbert, *Surface simplification using quadric error metrics*, SIGGRAPH 1997.
"""

import numpy as np

from connectomake.compiled import njit

_REGULAR = 1e-6


@njit(cache=True, nogil=True)
def normal(positions, a, b, c):  # type: ignore[no-untyped-def]
    """Cross product of two sides: the normal, as long as twice the area."""
    ux, uy, uz = positions[b, 0] - positions[a, 0], positions[b, 1] - positions[a, 1], positions[b, 2] - positions[a, 2]
    vx, vy, vz = positions[c, 0] - positions[a, 0], positions[c, 1] - positions[a, 1], positions[c, 2] - positions[a, 2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@njit(cache=True, nogil=True)
def plane_quadrics(positions, faces):  # type: ignore[no-untyped-def]
    """Sum per vertex the quadrics of its triangles' planes, weighted by area; the eleventh number is the weight."""
    out = np.zeros((len(positions), 11), np.float64)
    for t in range(len(faces)):
        a = faces[t, 0]
        nx, ny, nz = normal(positions, a, faces[t, 1], faces[t, 2])
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
def add(q, r):  # type: ignore[no-untyped-def]
    """Return the sum of two quadrics as a tuple of eleven numbers, which compiled code keeps in registers."""
    return (
        q[0] + r[0], q[1] + r[1], q[2] + r[2], q[3] + r[3], q[4] + r[4], q[5] + r[5],
        q[6] + r[6], q[7] + r[7], q[8] + r[8], q[9] + r[9], q[10] + r[10],
    )  # fmt: skip


@njit(cache=True, nogil=True)
def evaluate(q, x, y, z):  # type: ignore[no-untyped-def]
    """Value of a quadric at a point: area times squared distance."""
    return max(
        q[0] * x * x + q[4] * y * y + q[7] * z * z + q[9]
        + 2.0 * (q[1] * x * y + q[2] * x * z + q[5] * y * z)
        + 2.0 * (q[3] * x + q[6] * y + q[8] * z),
        0.0,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def minimum(q, mx, my, mz):  # type: ignore[no-untyped-def]
    """Point where a quadric is least; where that is a line or plane, its point nearest to (mx, my, mz)."""
    e = _REGULAR * q[10]
    a, b, c = q[0] + e, q[1], q[2]
    d, f, g = q[4] + e, q[5], q[7] + e
    u, v, w = e * mx - q[3], e * my - q[6], e * mz - q[8]
    m0, m1, m2 = d * g - f * f, c * f - b * g, b * f - c * d
    det = a * m0 + b * m1 + c * m2
    if det <= 0.0:
        return mx, my, mz
    m3, m4, m5 = a * g - c * c, b * c - a * f, a * d - b * b
    return (m0 * u + m1 * v + m2 * w) / det, (m1 * u + m3 * v + m4 * w) / det, (m2 * u + m4 * v + m5 * w) / det
